"""The page's tables for a spreadsheet."""
import csv
import io
from typing import List, Optional


def table_csv(rows: List[dict], costs: List[dict]) -> str:
    """The results and costs as comma-separated values, a row for each method.

    Args:
        rows (list[dict]): What :func:`results` returns.
        costs (list[dict]): What :func:`costs` returns, with the same keys.
    """
    metrics = [cell['metric'] for cell in rows[0]['cells']]
    header = ['method', 'config', 'role', 'seeds', 'gain', 'gain standard deviation',
              'to teacher']
    for metric in metrics:
        title = f'{metric.title} %' if metric.percent else metric.title
        header += [title, f'{title} standard deviation']
    header += ['minutes of training', 'parameters', 'multiply-adds', 'bytes of weights', 'note']
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(header)
    by_key = {cost['key']: cost for cost in costs}
    for row in rows:
        gain, cost = row['gain'], by_key.get(row['key'], dict(minutes=None, size=None))
        line = [row['name'], row['stem'], row['role'], row['seeds'], gain and gain.mean,
                gain and gain.spread, row['behind']]
        for cell in row['cells']:
            line += [cell['mean'], cell['spread']]
        size = cost['size']
        line += [cost['minutes'], *((size.parameters, size.operations, size.weights) if size
                                    else (None, ) * 3), row['note']]
        writer.writerow(_text(value) for value in line)
    return buffer.getvalue()


def _text(value: Optional[object]) -> str:
    """Six digits; a leading sign that a spreadsheet takes for a formula is quoted."""
    if value is None:
        return ''
    if isinstance(value, float):
        return f'{value:.6g}'
    text = str(value)
    return f"'{text}" if text[:1] in ('=', '+', '-', '@') else text

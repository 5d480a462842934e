"""Reads the curves that a run has written to its work directory."""
import json
from pathlib import Path
from typing import Dict, List, Tuple

Series = Tuple[List[float], List[float]]


def read_scalars(work_dir: str) -> Dict[str, Series]:
    """Curves of a run, all its resumed parts joined.

    Where a resumed part repeats iterations that an interrupted one had done
    already, the later part counts.

    Args:
        work_dir (str): The run's work directory, as mmengine fills it.

    Returns:
        dict[str, tuple[list, list]]: For each name the steps (iterations; for
        ``coco/...`` the epochs, or iterations in iteration-based runs) and
        the values.

    Raises:
        FileNotFoundError: if the directory holds no ``scalars.json``.
    """
    files = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    if not files:
        raise FileNotFoundError(f'{work_dir} is no work directory of a run: it contains no '
                                '*/vis_data/scalars.json')
    series: Dict[str, Dict[float, float]] = {}
    for file in files:
        for line in file.read_text(encoding='utf-8').splitlines():
            record = _parse(line)
            for name, value in record.items():
                if name != 'step' and isinstance(value, (int, float)):
                    series.setdefault(name, {})[record['step']] = value
    return {name: (sorted(points), [points[step] for step in sorted(points)])
            for name, points in series.items()}


def _parse(line: str) -> dict:
    """A record, or nothing if a killed run left half a line."""
    try:
        record = json.loads(line)
    except json.JSONDecodeError:
        return {}
    return record if 'step' in record else {}

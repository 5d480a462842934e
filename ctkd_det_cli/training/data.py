"""Whether the data of a training are there, told from its config."""
import os.path
from typing import Any, Iterator, Optional

PARTS = dict(train='training', val='validation')


def missing_data(cfg: Any) -> Optional[str]:
    """The first annotation file that is not there, in a sentence.

    Only local files are looked at; None if all are there.
    """
    for part, name in PARTS.items():
        for file in _ann_files((cfg.get(f'{part}_dataloader') or {}).get('dataset')):
            if '://' not in file and not os.path.exists(file):
                return (f'the {name} data are not there: {os.path.abspath(file)} does not exist. '
                        'To distil on a data set of your own: ctkd-det distill ... --data FOLDER')
    return None


def _ann_files(dataset: Any) -> Iterator[str]:
    """Of a data set, or of all that a wrapper or a concatenation consists of."""
    if not hasattr(dataset, 'get'):
        return
    for inner in (dataset.get('dataset'), *(dataset.get('datasets') or ())):
        yield from _ann_files(inner)
    file, root = dataset.get('ann_file'), dataset.get('data_root') or ''
    # the files system of backend_args may be another one
    if isinstance(file, str) and file and not dataset.get('backend_args'):
        yield os.path.join(root, file) if '://' not in file else file

"""Whether an image that is to be shown lies where the data are."""
import os
from pathlib import Path
from typing import Any, Iterator


def folder_of(dataset: Any) -> str:
    """The folder that a data set's file names are relative to."""
    prefix = getattr(dataset, 'data_prefix', None) or {}
    return prefix.get('img') or getattr(dataset, 'data_root', None) or ''


def is_inside(path: str, folder: str) -> bool:
    """Whether a path stays in a folder, links not followed.

    An annotation file may be a stranger's, and its ``file_name`` lead
    elsewhere (``../../x.png``).
    """
    return Path(os.path.abspath(path)).is_relative_to(os.path.abspath(folder))


def folders_of(dataset: Any) -> Iterator[str]:
    """The folder of a data set, or of all that a wrapper or a concatenation consists of."""
    inner = [*getattr(dataset, 'datasets', ()), *filter(None, [getattr(dataset, 'dataset', None)])]
    if not inner:
        yield folder_of(dataset)
    for one in inner:
        yield from folders_of(one)

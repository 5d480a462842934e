"""Checks that detections are judged by the boxes of the images that they are made on."""
from pathlib import Path
from typing import Any, Iterator, List, Sequence

from ctkd_det_data import FAIL, DataError, Finding, Part, read


def judges_of(cfg: Any, name: str) -> List[Path]:
    """The annotation files on this machine that the evaluator of a part (``'val'``) reads."""
    evaluators = cfg.get(f'{name}_evaluator') or ()
    evaluators = evaluators if isinstance(evaluators, (list, tuple)) else [evaluators]
    files = [one.get('ann_file') for one in evaluators if hasattr(one, 'get')]
    return [Path(file) for file in files if isinstance(file, str) and '://' not in file]


def judged_by(parts: Sequence[Part], judges: Sequence[Path], name: str) -> Iterator[Finding]:
    """Compare an evaluator's files with that of the data, which may be another with its images.

    Ids of images count from 1 in every part, so that boxes of other images
    are taken without a message, and mAP is near 0.

    Args:
        parts (Sequence[Part]): The data sets, with what their files say. Several
            in one loader are passed over.
        judges (Sequence[Path]): As :func:`judges_of` gives them.
        name (str): Of the loader and the evaluator: 'val' or 'test'.
    """
    if len(parts) != 1 or not parts[0].evaluated:
        return
    part = parts[0]
    for judge in judges:
        if not judge.is_file():
            yield Finding(FAIL, part.file, f'{name}_evaluator reads {judge.absolute()}, which is '
                          'not there', f'give {name}_evaluator.ann_file the path of this file')
        elif not judge.samefile(part.file) and _images(judge) != _names(part.content):
            yield Finding(FAIL, part.file, f'{name}_evaluator judges by {judge}, which has other '
                          'images, or other ids for them',
                          f'give {name}_evaluator.ann_file the path of this file')


def _images(file: Path) -> dict:
    try:
        return _names(read(file)[0])
    except DataError:
        return {}


def _names(content: dict) -> dict:
    return {entry['id']: Path(str(entry['file_name'])).name for entry in content['images']}

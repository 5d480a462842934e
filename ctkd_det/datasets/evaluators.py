"""Checks that detections are evaluated against the boxes of the images that they are made on."""
from pathlib import Path
from typing import Any, Iterator, List, Sequence

from ctkd_det_data import FAIL, DataError, Finding, Part
from ctkd_det_data.reading import read_json


def judges_of(cfg: Any, name: str) -> List[Path]:
    """The annotation files on this machine that the evaluator of a part (``'val'``) reads."""
    evaluators = cfg.get(f'{name}_evaluator') or ()
    evaluators = evaluators if isinstance(evaluators, (list, tuple)) else [evaluators]
    files = [one.get('ann_file') for one in evaluators if hasattr(one, 'get')
             and (one.get('backend_args') or {}).get('backend', 'local') == 'local']
    return [Path(file) for file in files if isinstance(file, str) and '://' not in file]


def judged_by(parts: Sequence[Part], judges: Sequence[Path], name: str) -> Iterator[Finding]:
    """Compare an evaluator's files with that of the data, which may be another with its images.

    Ids of images count from 1 in every part. So boxes of other images are
    taken without a message, and mAP is near 0.

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
            continue
        if judge.samefile(part.file):
            continue
        try:
            content = read_json(judge)[0]
        except DataError as error:
            yield Finding(FAIL, part.file, f'{name}_evaluator reads {error.message}', error.mend)
            continue
        images = content.get('images') if isinstance(content, dict) else None
        if isinstance(images, list) and _names(images) != _names(part.content['images']):
            yield Finding(FAIL, part.file, f'{name}_evaluator evaluates against {judge}, which has '
                          'other images, or other ids for them',
                          f'give {name}_evaluator.ann_file the path of this file')


def _names(images: List[dict]) -> dict:
    return {str(entry.get('id')): Path(str(entry.get('file_name')).replace('\\', '/')).name
            for entry in images if isinstance(entry, dict)}

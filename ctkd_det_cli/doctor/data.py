"""The findings of a data set's check, as rows of the table."""
from pathlib import Path
from typing import Iterator

from ctkd_det_data import FAIL, OK, WARN, CocoFolder, DataError, find_coco
from .rows import Row


def check_data(root: Path, asked: bool) -> Iterator[Row]:
    """Look at a data set; its absence is a failure only if the user named it.

    The first row sums up, with the worst state of the findings; each finding
    has a row of its own.
    """
    try:
        data = find_coco(root)
    except DataError as error:
        yield Row(f'data {root}', FAIL if asked else WARN, error.message,
                  (error.mend or 'put annotations and images there, see ctkd-det distill --help')
                  if asked else 'ctkd-det doctor --data FOLDER')
        return
    levels = {finding.level_when_cleaned for finding in data.findings}
    yield Row(f'data {root}', FAIL if FAIL in levels else WARN if WARN in levels else OK,
              _summary(data))
    for finding in data.findings:
        mend = finding.mend + (f'; or nothing: ctkd-det distill --data reads it right ('
                               f'{finding.read_as})' if finding.read_as else '')
        yield Row(finding.file.name, finding.level_when_cleaned, finding.what, mend)


def _summary(data: CocoFolder) -> str:
    parts = [f'{len(split.content["images"])} {name}'
             for name, split in (('train', data.train), ('val', data.val))]
    text = f'{", ".join(parts)}, {len(data.classes)} classes'
    if data.findings and not data.failures:
        boxes = [f'{split.usable} of {split.total} boxes {use}' for split, use in (
            (data.train, 'are learnt from'), (data.val, 'evaluated on'))]
        text += f'; {", ".join(boxes)}'
    return text + ('; training and validation are the same images' if data.is_one_file_twice
                   else '')

"""Loading a teacher's checkpoint strictly, and saying clearly what is wrong with it."""
import os.path as osp
from pathlib import Path
from typing import Optional, Sequence, Tuple

from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader
from torch import nn

from ...compat.reading import CheckpointError
from ..not_finite import not_finite_weights
from .weights import find_weights


class TeacherError(RuntimeError):
    """The teacher cannot be what the configuration says it is."""


def load_strictly(model: nn.Module, filename: str) -> Optional[Tuple[str, ...]]:
    """Load every weight of ``model`` from ``filename``, or fail.

    Args:
        model (nn.Module): The teacher.
        filename (str): A path, or anything that mmengine can fetch
            (``https://``, ``s3://``, ``open-mmlab://`` ...).

    Returns:
        tuple[str] or None: The class names the checkpoint was trained with,
        if it says so.

    Raises:
        FileNotFoundError: if the file does not exist.
        TeacherError: if it cannot be read or downloaded, contains code, or
            does not hold exactly the weights of ``model``, all of them finite;
            the message names the file and the keys.
    """
    checkpoint = _read(filename)
    try:
        weights, notes = find_weights(checkpoint.get('state_dict', checkpoint),
                                      model.state_dict().keys())
    except ValueError as error:
        raise TeacherError(f'teacher_ckpt {filename} {error}') from None
    for note in notes:
        print_log(f'teacher_ckpt {filename} holds {note}', logger='current')
    try:
        model.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise TeacherError(
            f'teacher_ckpt {filename} does not hold the weights of teacher_config '
            f'({type(model).__name__}): {error}\nGive the checkpoint that was trained with '
            'this very config. A teacher with missing weights would teach noise.') from None
    bad = not_finite_weights(model, 'teacher')
    if bad:
        raise TeacherError(
            f'teacher_ckpt {filename}: {bad[0]} are NaN or infinite'
            + (f', and those of {len(bad) - 1} others' if bad[1:] else '')
            + '. Its training has failed; give an earlier checkpoint of it.')
    return classes_of_checkpoint(checkpoint)


def _read(filename: str) -> dict:
    try:
        return CheckpointLoader.load_checkpoint(filename, map_location='cpu')
    except FileNotFoundError:
        raise FileNotFoundError(
            f'teacher_ckpt {filename} does not exist (working directory: {osp.abspath(".")}). '
            f'{_others(filename)}Train the teacher first, or give the URL of a checkpoint: '
            "ctkd-det distill --teacher-ckpt auto writes that of MMDetection's model zoo"
        ) from None
    except CheckpointError as error:
        raise TeacherError(f'teacher_ckpt {error}') from None


def _others(filename: str) -> str:
    """The checkpoints in the folder where one was looked for."""
    folder = Path(filename).absolute().parent
    found = sorted(file.name for file in folder.glob('*.pth'))[:5]
    return f'In {folder} there are {", ".join(found)}. ' if found else ''


def classes_of_checkpoint(checkpoint: dict) -> Optional[Tuple[str, ...]]:
    """Class names as mmdet 3.x and its candidates (``dataset_meta``) and 2.x store them."""
    meta = checkpoint.get('meta', {})
    dataset = meta.get('dataset_meta') or {}
    classes = dataset.get('classes') or dataset.get('CLASSES') or meta.get('CLASSES')
    return tuple(classes) if classes else None


def class_difference(learnt: Optional[Sequence[str]], names: Optional[Sequence[str]]) -> str:
    """Where two lists of classes first differ, in words; empty if nowhere, or one is not known."""
    learnt, names = list(map(str, learnt or names or ())), list(names or learnt or ())
    if len(learnt) != len(names):
        return f'{len(learnt)} and {len(names)}'
    return next((f'label {i} is {a!r} and {b!r}'
                 for i, (a, b) in enumerate(zip(learnt, names, strict=True)) if a != b), '')

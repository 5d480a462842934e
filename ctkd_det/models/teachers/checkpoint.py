"""Loading a teacher's checkpoint strictly, and saying clearly what is wrong with it."""
import os.path as osp
from pathlib import Path
from typing import Any, Mapping, NamedTuple, Optional, Tuple

from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

from ...compat.addresses import checked_address
from ...compat.contents import UNUSED_TEXT
from ...compat.reading import CheckpointError
from ..heads import num_classes
from ..misfits import misfits
from ..not_finite import not_finite_weights
from .weights import weights_of

# what to do if a config and a checkpoint have other classes
OTHER_CONFIG = ('Give the config with which the checkpoint was trained, of which its work '
                'directory has a copy')
OTHER_CHECKPOINT = 'a checkpoint that was trained on the classes of this config'


class TeacherError(RuntimeError):
    """The teacher cannot be what the configuration says it is."""


class Stated(NamedTuple):
    """What a checkpoint says of the training that it comes from.

    Attributes:
        classes: The names of the classes; None if it states none.
        config: The text of the config, to be read as values; '' if there is none.
    """
    classes: Optional[Tuple[str, ...]]
    config: str


def load_strictly(model: nn.Module, filename: str) -> Stated:
    """Load every weight of ``model`` from ``filename``, or fail.

    Args:
        model (nn.Module): The teacher.
        filename (str): A path, or anything that mmengine can fetch
            (``https://``, ``s3://``, ``open-mmlab://`` ...).

    Returns:
        Stated: What it says of its training.

    Raises:
        FileNotFoundError: if the file does not exist.
        TeacherError: if it cannot be read or downloaded, contains code, or
            does not hold exactly the weights of ``model``, all of them finite;
            the message names the file and the keys.
    """
    checkpoint, own = _read(filename), model.state_dict()
    try:
        weights, notes = weights_of(checkpoint, own.keys())
        classes = classes_of_checkpoint(checkpoint)
    except ValueError as error:
        raise TeacherError(f'teacher_ckpt {filename} {error}') from None
    for note in notes:
        print_log(f'teacher_ckpt {filename} holds {note}', logger='current')
    _check_numbers(filename, weights, own)
    try:
        model.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        advice = ('Give the checkpoint that was trained with this very config. A teacher with '
                  'missing weights would teach noise')
        if classes and len(classes) != num_classes(model):
            advice = (f'The checkpoint has {len(classes)} classes, {classes}, and its config '
                      f'{num_classes(model)}. {OTHER_CONFIG}, or {OTHER_CHECKPOINT}')
        raise TeacherError(
            f'teacher_ckpt {filename} does not hold the weights of teacher_config '
            f'({type(model).__name__}). {advice}.\n{misfits(error)}') from None
    bad = not_finite_weights(model, 'teacher')
    if bad:
        raise TeacherError(
            f'teacher_ckpt {filename}: {bad[0]} are NaN or infinite'
            + (f', and those of {len(bad) - 1} others' if bad[1:] else '')
            + '. Its training has failed; give an earlier checkpoint of it.')
    text = checkpoint.get('meta', {}).get(UNUSED_TEXT)
    return Stated(classes, text if isinstance(text, str) else '')


def _check_numbers(filename: str, weights: Mapping[str, Any], own: Mapping[str, Tensor]) -> None:
    """Refuse numbers that loading would turn into others in silence.

    Quantised weights are integers without their scales, and the imaginary part
    of complex ones would be dropped. Other precisions are as good, and so is a
    counter of steps in half precision.
    """
    wrong = [(name, weights[name].dtype) for name, value in own.items()
             if isinstance(weights.get(name), Tensor) and (
                 weights[name].is_complex() != value.is_complex()
                 or value.is_floating_point() and not weights[name].is_floating_point())]
    if wrong:
        raise TeacherError(
            f'teacher_ckpt {filename}: {wrong[0][0]} holds {wrong[0][1]}, not floating-point '
            'numbers' + (f', and so do {len(wrong) - 1} others' if wrong[1:] else '')
            + '. Give the checkpoint from which these weights were made')


def _read(filename: str) -> dict:
    try:
        return CheckpointLoader.load_checkpoint(checked_address(filename), map_location='cpu')
    except FileNotFoundError:
        raise FileNotFoundError(
            f'teacher_ckpt {filename} does not exist (working directory: {osp.abspath(".")}). '
            f'{_others(filename)}Train the teacher first, or give the URL of a checkpoint: '
            "ctkd-det distill --teacher-ckpt auto writes that of MMDetection's model zoo"
        ) from None
    except CheckpointError as error:
        raise TeacherError(f'teacher_ckpt {error}') from None
    except ImportError as error:  # of s3:// and pavi://
        raise TeacherError(
            f'teacher_ckpt {filename} cannot be fetched, for want of a package ({error}). '
            'Download the file and give its path') from None


def _others(filename: str) -> str:
    """The checkpoints in the folder where one was looked for."""
    folder = Path(filename).absolute().parent
    found = sorted(file.name for file in folder.glob('*.pth'))[:5]
    return f'In {folder} there are {", ".join(found)}. ' if found else ''


def classes_of_checkpoint(checkpoint: dict) -> Optional[Tuple[str, ...]]:
    """Class names as mmdet 3.x and its candidates (``dataset_meta``) and 2.x store them.

    Raises:
        ValueError: if they are no sequence of names; the message ends a sentence
            that begins with the file.
    """
    meta = checkpoint.get('meta', {})
    dataset = meta.get('dataset_meta') or {}
    stated = [place[name] for place, name in (
        (dataset, 'classes'), (dataset, 'CLASSES'), (meta, 'CLASSES')) if name in place]
    return next(filter(None, map(_names, stated)), None)


def _names(classes: Any) -> Tuple[str, ...]:
    if classes is None:
        return ()
    # YOLO and timm write {0: 'apple', 1: 'pear'}
    values = classes
    if isinstance(classes, dict) and list(classes) == list(range(len(classes))):
        values = tuple(classes.values())
    if not isinstance(values, (list, tuple)) or not all(isinstance(name, str) for name in values):
        raise ValueError(f'states classes ({type(classes).__name__}) that are no list of '
                         "names: save {'state_dict': ..., 'meta': {'dataset_meta': {'classes': "
                         '(...)}}} anew')
    return tuple(values)

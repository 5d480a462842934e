"""Reads how a detector's images are normalised: in its pipeline, its data_preprocessor, or both."""
import ast
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence

import torch
from mmdet.registry import MODELS
from mmengine.model import ImgDataPreprocessor
from torch import Tensor, nn

from ...configs import detector_config, transforms_of, type_name
from ...literal_config import parse_literals
from .checkpoint import OTHER_CONFIG, TeacherError

# that of the same pixel, of 255, in two normalisations that are meant to be one
_ROUNDING = 5


@dataclass(frozen=True)
class Normalisation:
    """``(pixels - mean) / std``, after the channels of the loaded BGR image were reversed or not.

    Attributes:
        reverse: Whether they were.
        mean: (3, 1, 1) or (1, 1, 1), in the order of the result's channels.
        std: Of the same shape.
    """
    reverse: bool
    mean: Tensor
    std: Tensor

    def then(self, other: 'Normalisation') -> 'Normalisation':
        """This one, and the other one on its result."""
        mean, std = ((x.flip(0) if other.reverse else x) for x in (self.mean, self.std))
        return Normalisation(self.reverse != other.reverse, mean + std * other.mean,
                             std * other.std)

    def __str__(self) -> str:
        mean, std = ([round(value, 3) for value in x.flatten().tolist()]
                     for x in (self.mean, self.std))
        return f'{"RGB" if self.reverse else "BGR"}, mean {mean}, std {std}'

    def means(self, other: 'Normalisation') -> bool:
        """Whether both give about the same image: means and deviations may be rounded."""
        pixels = torch.tensor([0.0, 255.0])
        back = (pixels - self.mean) / self.std * other.std + other.mean
        return self.reverse == other.reverse and bool(((back - pixels).abs() <= _ROUNDING).all())

    def equals(self, other: 'Normalisation') -> bool:
        """Whether both give the same image, to the last bit."""
        return self.reverse == other.reverse and torch.equal(
            self.mean, other.mean) and torch.equal(self.std, other.std)


def normalisation(preprocessor: nn.Module, pipeline: Sequence[Any], name: str) -> Normalisation:
    """What both do to an image.

    Args:
        preprocessor (nn.Module): A detector's ``data_preprocessor``.
        pipeline (Sequence): Configs of the transforms of its data.
        name (str): What to call the detector in messages.

    Raises:
        TeacherError: if neither says how images are normalised, or the
            pipeline does it in a way that cannot be read.
    """
    steps = [_of_transform(transform) for transform in pipeline if _normalises(transform, name)]
    if isinstance(preprocessor, ImgDataPreprocessor):
        steps.append(_of_preprocessor(preprocessor))
    if not steps:
        raise TeacherError(
            f'{name} does not say how its images are normalised: its model has no '
            'data_preprocessor with mean and std (configs of MMDetection 2.x have none), and its '
            "pipeline no Normalize. Add model.data_preprocessor=dict(type='DetDataPreprocessor', "
            'mean=..., std=..., bgr_to_rgb=..., pad_size_divisor=32) with what it was trained with')
    result = steps[0]
    for step in steps[1:]:
        result = result.then(step)
    return result


def check_trained_so(said: Normalisation, text: str, name: str) -> None:
    """Compare a teacher's normalisation with that of the training that its checkpoint comes from.

    Weights of "caffe" style fit the other configs of their architecture, and
    those fit theirs: only the images tell.

    Args:
        said (Normalisation): By ``teacher_config``.
        text (str): The checkpoint's config. What cannot be read in it as a
            value is passed over: nothing of it is run.
        name (str): What to call the teacher in messages.

    Raises:
        TeacherError: if the two are not the same.
    """
    learnt = _of_text(text)
    if learnt is not None and not said.means(learnt):
        raise TeacherError(
            f'{name} was trained on images that are normalised otherwise than teacher_config '
            f"says. The checkpoint's own config: {learnt}. teacher_config: {said}. {OTHER_CONFIG}. "
            "If teacher_config is right, save the file again with its 'state_dict' alone")


def _of_text(text: str) -> Optional[Normalisation]:
    """What the text of a config says; None if that is not told by plain values."""
    try:
        config = parse_literals(text, other=ast.unparse)
        own = (config.get('model') or {}).get('data_preprocessor') or config.get(
            'data_preprocessor')
        known = own and type_name(own) in ('DetDataPreprocessor', 'ImgDataPreprocessor')
        if own and not known:
            return None
        preprocessor = ImgDataPreprocessor(**{
            key: own[key] for key in ('mean', 'std', 'bgr_to_rgb', 'rgb_to_bgr') if key in own
        }) if known else nn.Identity()
        return normalisation(preprocessor, pipeline_of(config), '')
    except Exception:  # anybody's text, of any version: what cannot be read states nothing
        return None


def preprocessor_for_plain_images(config: dict, name: str) -> Optional[Dict[str, Any]]:
    """A ``data_preprocessor`` that also does what a detector's pipeline does.

    Args:
        config (dict): The detector's whole config.
        name (str): What to call it in messages.

    Returns:
        dict, optional: For images that no pipeline has normalised; None if
        the detector's own one is it, since its pipeline does not normalise.

    Raises:
        TeacherError: if the pipeline does it in a way that cannot be read.
    """
    pipeline = pipeline_of(config)
    if not any(_normalises(transform, name) for transform in pipeline):
        return None
    own = detector_config(config).get('data_preprocessor') or dict(
        type='DetDataPreprocessor', pad_size_divisor=32)
    both = normalisation(MODELS.build(own), pipeline, name)
    return dict(own, mean=both.mean.flatten().tolist(), std=both.std.flatten().tolist(),
                bgr_to_rgb=both.reverse, rgb_to_bgr=False)


def without_normalisation(pipeline: Sequence[Any]) -> List[Any]:
    """A pipeline whose images are as they were loaded."""
    return [transform for transform in pipeline if type_name(transform) != 'Normalize']


def pipeline_of(config: dict) -> List[Any]:
    """The transforms of a config's data, training's before those of validation and test.

    MMDetection 2.x has them under ``data``. An empty list where there are none.
    """
    loaders = [config.get(f'{part}_dataloader') or {} for part in ('train', 'val', 'test')]
    loaders += [dict(dataset=part) for part in (config.get('data') or {}).values()
                if isinstance(part, dict)]
    for loader in loaders:
        transforms = transforms_of(loader)
        if transforms:
            return transforms
    return []


def _of_preprocessor(preprocessor: ImgDataPreprocessor) -> Normalisation:
    mean, std = torch.zeros(3, 1, 1), torch.ones(3, 1, 1)
    if preprocessor._enable_normalize:
        mean, std = preprocessor.mean.detach().cpu(), preprocessor.std.detach().cpu()
    return Normalisation(bool(preprocessor._channel_conversion), mean, std)


def _normalises(transform: Any, name: str) -> bool:
    """Whether it is mmcv's ``Normalize``.

    Raises:
        TeacherError: if it normalises in another way, or only perhaps.
    """
    kind = type_name(transform)
    if kind == 'Normalize':
        return True
    if kind.endswith('Normalize') or _has_inside(transform):
        raise TeacherError(
            f'the pipeline of {name} normalises images inside {kind}, which cannot be undone. '
            "Normalise in model.data_preprocessor, or by a Normalize of its own in the pipeline")
    return False


def _of_transform(transform: dict) -> Normalisation:
    mean, std = (torch.tensor(transform[key], dtype=torch.float32).view(-1, 1, 1)
                 for key in ('mean', 'std'))
    return Normalisation(transform.get('to_rgb', True), mean, std)


def _has_inside(config: Any) -> bool:
    """Whether a Normalize is among the transforms that a transform (RandomApply, Albu) holds."""
    if isinstance(config, dict):
        return any(_is_normalize(value) or _has_inside(value) for value in config.values())
    return isinstance(config, (list, tuple)) and any(
        _is_normalize(value) or _has_inside(value) for value in config)


def _is_normalize(config: Any) -> bool:
    return isinstance(config, dict) and type_name(config).endswith('Normalize')

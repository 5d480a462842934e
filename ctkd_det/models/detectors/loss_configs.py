"""Reads and builds the ``distill_losses`` of a config."""
from typing import Callable, Collection, Dict, Iterable

from mmdet.registry import MODELS
from mmdet.utils import ConfigType
from torch import nn

from ...configs import registered_class, type_name
from ..building import arguments_of, build_part, nearest
from ..heads import classifiers, has_sigmoids, num_logits
from ..losses import LogitLoss
from ..teachers.pair import NECK_LOSSES


def check_configs(configs: Dict[str, ConfigType]) -> None:
    """Raise ValueError if a loss's name would be misread in the log, or its config is none."""
    for name, config in configs.items():
        if not name.startswith('loss_') or 'loss' in name[len('loss_'):] or '.' in name:
            raise ValueError(f'distill_losses: the name {name!r} must be "loss_" and a word '
                             'without "loss" or a dot, as in "loss_ctkd"')
        if not isinstance(config, dict):
            raise ValueError(f'{name}={config!r} is no loss, which is a dict with a type. To '
                             f'switch an inherited one off: {name}=dict(loss_weight=0)')


def sources_of(configs: Dict[str, ConfigType]) -> Dict[str, str]:
    """What each loss compares, see :class:`DistillLoss`, told before it is built.

    One without a type, or with one that is not registered, counts as a logit
    loss; building it will say what is wrong.
    """
    return {name: cfg.get('source', getattr(registered_class(MODELS, cfg.get('type')), 'source',
                                            'logits'))
            for name, cfg in configs.items()}


# what a student lacks if it cannot compare a source
_LACKING = dict(
    roi=f'RoI features, and a single-stage student has no RoIs: take {NECK_LOSSES}',
    distributions="box distributions, and only single-stage heads such as GFL's have these",
    vlr="box distributions, and only single-stage heads such as GFL's have these",
    boxes='boxes, which are not read of detectors of this kind',
    all_boxes='boxes at every location, and only single-stage detectors have these',
    masks='masks, and only Mask R-CNN, Cascade Mask R-CNN and RTMDet-Ins predict them')


def check_sources(configs: Dict[str, ConfigType], sources: Dict[str, str],
                  possible: Collection[str]) -> None:
    """Raise ValueError if a loss compares what this kind of students does not have.

    Args:
        configs (dict[str, dict]): By name.
        sources (dict[str, str]): Of each loss, see :func:`sources_of`.
        possible (Collection[str]): Those of the students.
    """
    for name, source in sources.items():
        if source not in possible and source in _LACKING:
            raise ValueError(
                f'{name}: {type_name(configs[name])} compares {_LACKING[source]}')


def build_losses(configs: Dict[str, ConfigType], sources: Dict[str, str],
                 settings: Callable[[str, str, ConfigType], dict]) -> nn.ModuleDict:
    """Build the losses; one whose temperature is another's name shares that one's.

    Args:
        configs (dict[str, dict]): By name.
        sources (dict[str, str]): Of each, see :func:`sources_of`.
        settings (Callable): Arguments for a loss of this name, source and
            config, where the config leaves them out.

    Raises:
        ValueError: if there is no such other loss.
    """
    losses = {}
    for name, cfg in configs.items():
        if sources[name] in ('neck', 'roi'):
            given = {key: value for key, value in cfg.items() if value is not None}
            losses[name] = build_part({**settings(name, sources[name], cfg), **given}, name)
        elif not _shares_temperature(cfg):
            losses[name] = build_part(cfg, name)
    with_own = sorted(name for name, loss in losses.items() if hasattr(loss, 'temperature'))
    for name, cfg in configs.items():
        if name in losses:
            continue
        # a temperature of boxes is not shared with one of classes
        owners = [owner for owner in with_own
                  if (sources[owner] == 'logits') == (sources[name] == 'logits')]
        if cfg['temperature'] not in owners:
            raise ValueError(f'{name}: temperature={cfg["temperature"]!r} must name a loss that '
                             f'has a temperature of its own, one of {owners}'
                             f'{nearest(cfg["temperature"], owners)}')
        losses[name] = build_part({**cfg, 'temperature': 1.0}, name)
        losses[name].share_temperature(losses[cfg['temperature']])
    _freeze_unused(losses.values())
    return nn.ModuleDict({name: losses[name] for name in configs})


def _shares_temperature(config: ConfigType) -> bool:
    cls = registered_class(MODELS, config.get('type'))
    return isinstance(config.get('temperature'), str) and (
        cls is None or 'temperature' in arguments_of(cls))


def _freeze_unused(losses: Iterable[nn.Module]) -> None:
    """Leave no gradient, not even 0, to what only losses of weight 0 have.

    A 0 more changes how the norm of all gradients is summed, and so the last
    bit of a clipped step; weight decay would move the parameter.
    """
    idle = [loss for loss in losses if loss.loss_weight == 0]
    used = {p for loss in losses if loss.loss_weight > 0 and hasattr(loss, 'temperature')
            for p in loss.temperature.parameters()}
    for loss in idle:
        for parameter in set(loss.parameters()) - used:
            parameter.requires_grad_(False)


def check_classifier(losses: nn.ModuleDict, student: nn.Module) -> None:
    """See whether losses and their temperatures are for the student's classifier.

    Raises:
        ValueError: if not, naming the loss.
    """
    for name, loss in losses.items():
        if not isinstance(loss, LogitLoss):
            continue
        head = classifiers(student)[0]
        sigmoids = has_sigmoids(head)
        # whatever is compared, the labels are the student's classes
        known = getattr(loss.temperature, 'num_classes', None)
        if known not in (None, head.num_classes):
            raise ValueError(
                f'{name}: {type(loss.temperature).__name__} has num_classes={known}, but the '
                f'student has {head.num_classes} classes. The background is no class: give it '
                f'num_classes={head.num_classes}')
        if loss.source != 'logits':
            continue
        if loss.for_sigmoids != sigmoids:
            take = ('BinaryKDLoss in its place, at any temperature but DTKDTemperature; '
                    'InstanceTemperature needs use_sigmoid=True there' if sigmoids else
                    'KDLoss in its place, at any temperature; InstanceTemperature without '
                    'use_sigmoid')
            raise ValueError(
                f"{name}: {type(loss).__name__} is {'' if loss.for_sigmoids else 'not '}for heads "
                f"with use_sigmoid=True; the student's has use_sigmoid={sigmoids}. Take {take}")
        try:
            loss.check_width(num_logits(head))
        except ValueError as error:
            raise ValueError(f'{name}: {error}') from None


def check_rotated(losses: nn.ModuleDict, has_rois: bool, teacher: object) -> None:
    """See whether losses on rotated images have RoIs there, and a teacher that can look at them.

    Raises:
        ValueError: if not, naming the loss.
    """
    for name, loss in losses.items():
        if not loss.rotated:
            continue
        if loss.source not in ('logits', 'roi'):
            raise ValueError(f'{name}: only logits and RoI features are compared on rotated '
                             f'images, and {type(loss).__name__} compares {loss.source}: leave '
                             'rotated out')
        if not has_rois:
            raise ValueError(f'{name}: what it compares is computed for RoIs on rotated images, '
                             'and a single-stage student has no RoIs')
        if teacher.learns:
            raise ValueError(f'{name} looks at rotated images, and {teacher.name} refines the maps '
                             'of the plain ones only: take another teacher')

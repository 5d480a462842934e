"""Takes only the student's weights out of a training's checkpoint, into a plain detector."""
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import click
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from ctkd_det.compat.reading import CheckpointError, read_checkpoint
from ctkd_det.configs import detector_config
from ctkd_det.log_names import parse_taus
from ctkd_det.models.misfits import misfits

EMA = 'ema_state_dict'
_PREFIX = 'module.'


def read_source(checkpoint: Path) -> dict:
    """What a checkpoint holds.

    Raises:
        click.ClickException: if it is refused.
    """
    try:
        return read_checkpoint(checkpoint)
    except CheckpointError as error:
        raise click.ClickException(str(error)) from error


def build_plain(cfg: Any) -> nn.Module:
    """The detector of a plain config, in evaluation mode and with random weights."""
    init_default_scope('mmdet')
    # of a copy: DETRs write into what they are built from, and refuse to read it again
    config = detector_config(cfg)
    config.pop('init_cfg', None)
    return MODELS.build(config).eval()


def choose_weights(checkpoint: dict, ema: Optional[bool]) -> Tuple[Dict[str, Tensor], bool]:
    """The averaged weights if the training kept some, else those it ended with.

    mmengine's EMAHook saves the averaged weights as ``state_dict``, and those
    that the optimizer works on as ``ema_state_dict``: the other way round than
    the names say.

    Args:
        checkpoint (dict): Of a training.
        ema (bool, optional): True insists on averaged weights, False on those
            of the optimizer. Defaults to None, the averaged ones if there are.

    Returns:
        tuple: Weights by name, and whether they are averaged.

    Raises:
        click.ClickException: if there are no averaged ones to insist on.
    """
    weights = dict(checkpoint.get('state_dict', checkpoint))
    has_ema = EMA in checkpoint
    if ema and not has_ema:
        raise click.ClickException('the checkpoint holds no averaged weights: the training had no '
                                   'EMAHook')
    if ema is False and has_ema:
        weights.update({key.removeprefix(_PREFIX): value for key, value in checkpoint[EMA].items()
                        if key.startswith(_PREFIX)})
    return weights, has_ema and ema is not False


def load_student(model: nn.Module, weights: Dict[str, Tensor]) -> List[str]:
    """Load the student's share of the weights strictly.

    Modules that the plain detector does not have (distillation losses,
    adapters) are left out; a weight too many in one that it has is an error.

    Returns:
        list[str]: Names of what was left out.

    Raises:
        click.ClickException: if the weights are not those of this detector.
    """
    # a detector may hold weights of its own beside its modules, as multi-scale DETRs do
    own = {name for name, _ in model.named_children()} | {
        key.partition('.')[0] for key in model.state_dict()}
    extra = [key for key in weights if key.partition('.')[0] not in own]
    load_strictly(model, {k: v for k, v in weights.items() if k not in extra})
    return extra


def load_strictly(model: nn.Module, weights: Dict[str, Tensor]) -> None:
    """Load weights, of which none may be missing or too many.

    Raises:
        click.ClickException: if they are not those of this detector.
    """
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise click.ClickException(
            f'the checkpoint is not of this config:\n{misfits(error)}') from error


def last_temperatures(checkpoint: dict) -> Dict[str, float]:
    """The last logged temperatures: ``ctkd.tau_mean`` and its like."""
    scalars = checkpoint.get('message_hub', {}).get('log_scalars', {})
    return {name.removeprefix('train/'): float(scalars[name].current())
            for name in sorted(parse_taus(scalars)) if len(scalars[name].data[0])}

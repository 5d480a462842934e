"""Writes a training step to a file (batch, weights, random states), and repeats it."""
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ContextManager, Dict, Iterator, List, NamedTuple, Optional, Tuple

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.registry import init_default_scope

from .compat.reading import read_checkpoint
from .kept_values import kept_values, restore_kept_values
from .models.detectors.distilled import DistilledDetector
from .models.losses.draws import Draws
from .models.not_finite import NotFinite, not_finite_on_the_way
from .models.temperatures import ScheduledTemperature
from .plain_batch import from_plain, to_plain
from .random_states import restore


def changing_state(model: torch.nn.Module) -> Dict[str, Any]:
    """Copies of what a forward pass changes in what only distillation needs, or no weight holds.

    Those are the losses' buffers, such as a queue, the state of all draws, and
    :func:`kept_values`. A replay needs them as they were before the pass, and
    each rank of a training has its own. Buffers that are not part of
    checkpoints are settings, such as a fixed temperature, and stay the config's.

    Returns:
        dict[str, Any]: Tensors under the names of the detector's
        ``state_dict``, and the kept values under theirs.
    """
    state = kept_values(model)
    for name, buffer in _saved_buffers(model):
        state[name] = buffer.detach().clone()
    for name, draws in _draws(model):
        state[name] = draws.get_extra_state()
    return state


@torch.no_grad()
def restore_changing_state(model: torch.nn.Module, state: Dict[str, Any]) -> None:
    """Bring it back to where :func:`changing_state` saw it.

    What ``state`` does not name stays as it is.
    """
    restore_kept_values(model, state)
    for name, buffer in _saved_buffers(model):
        if name in state:
            buffer.copy_(state[name])
    for name, draws in _draws(model):
        if name in state:
            draws.set_extra_state(state[name])


def _saved_buffers(model: torch.nn.Module) -> Iterator[Tuple[str, torch.Tensor]]:
    losses = getattr(model, 'distill_losses', None)
    if not isinstance(losses, torch.nn.Module):
        return iter(())
    saved = losses.state_dict(prefix='distill_losses.')
    return ((name, buffer) for name, buffer in losses.named_buffers('distill_losses')
            if name in saved)


def _draws(model: torch.nn.Module) -> Iterator[Tuple[str, Draws]]:
    for name, module in model.named_modules():
        if isinstance(module, Draws):
            yield f'{name}._extra_state', module


def save_step(path: Path, model: torch.nn.Module, data_batch: Any,
              changing: Dict[str, Any], classes: Any = None, **values: Any) -> None:
    """Write a step to a file that :func:`torch.load` reads restricted.

    Args:
        path (Path): The file.
        model (nn.Module): The detector, whose weights are written. The weights
            of a snapshot that teaches it are, too: no other file need have them.
        data_batch: As the loader gave it.
        changing (dict[str, Any]): What :func:`changing_state` gave before
            the step's forward pass.
        classes (Sequence[str], optional): Class names of the training's data.
        **values: Plain values that say what step it was.
    """
    weights = {key: changing.get(key, value).detach().cpu()
               for key, value in model.state_dict().items()}
    scheduled = {name: module.progress for name, module in model.named_modules()
                 if isinstance(module, ScheduledTemperature)}
    if _learns_from_snapshots(model):
        values.update(snapshots=model.teacher.snapshots)
        if model.teacher.snapshots:
            values.update(snapshot={key: value.detach().cpu() for key, value
                                    in model.teacher_model.state_dict().items()})
    kept = {key: value for key, value in changing.items() if key not in weights}
    torch.save(dict(values, state_dict=weights, kept=kept, data_batch=to_plain(data_batch),
                    scheduled=scheduled, classes=to_plain(classes)), path)


def _learns_from_snapshots(model: torch.nn.Module) -> bool:
    return isinstance(model, DistilledDetector) and model.teacher.is_snapshot


class Replay(NamedTuple):
    """A step that was run again.

    Attributes:
        step: What the file says of it.
        losses: What they are now.
        found: What is not finite, the first of it first.
    """
    step: Dict[str, Any]
    losses: Dict[str, float]
    found: List[NotFinite]


def replay(path: Path, config: Optional[Path] = None, device: str = 'cpu') -> Replay:
    """Run a step again that :func:`save_step` wrote.

    Args:
        path (Path): The file.
        config (Path, optional): The training's config, which is a program and
            is run. Defaults to None, the one that lies beside the file.
        device (str): Where to run it. Defaults to 'cpu'.

    Raises:
        CheckpointError: if the file cannot be read.
        FileNotFoundError: if there is no config.
        ValueError: if it is no such file, or not of this config.
    """
    step = read_checkpoint(path)
    if not {'data_batch', 'state_dict', 'random_states', 'config', 'classes'} <= step.keys():
        raise ValueError(f'{path} is no step that a training has written: those are named '
                         'not_finite_iter_N.pth')
    config = config or path.parent / Path(step['config']).name
    if not config.is_file():
        raise FileNotFoundError(f'there is no config {config}; name that of the training with '
                                '--config')
    cfg = Config.fromfile(config)
    init_default_scope('mmdet')
    model = MODELS.build(cfg.model).to(device).train()
    try:
        model.load_state_dict(step['state_dict'])
        restore_kept_values(model, step.get('kept', {}))
        _restore_snapshot(model, step)
    except RuntimeError as error:
        raise ValueError(f'{path} is not of the detector of {config}: {error}') from None
    hub = MessageHub.get_current_instance()
    hub.update_info_dict(dict(loop_stage='train', iter=step['iteration'], epoch=step['epoch'],
                              max_iters=step['max_iters'], max_epochs=step['max_epochs'],
                              cfg=cfg.pretty_text,
                              dataset_meta=dict(classes=step['classes'])))
    for name, progress in step['scheduled'].items():
        model.get_submodule(name).progress = progress
    restore(step['random_states'])
    losses: Dict[str, float] = {}

    def run() -> None:
        with _precision(cfg, device):
            data = model.data_preprocessor(from_plain(step['data_batch']), True)
            output = model._run_forward(data, mode='loss')
        losses.update({name: float(value) for name, value in model.parse_losses(output)[1].items()
                       if 'loss' in name})

    try:
        found = not_finite_on_the_way(model, run)
    finally:
        hub.pop_info('loop_stage')
    return Replay(step, losses, found)


def _restore_snapshot(model: torch.nn.Module, step: Dict[str, Any]) -> None:
    if not _learns_from_snapshots(model):
        return
    if step.get('snapshot'):
        model.teacher.take_snapshot(step['snapshot'])
    model.teacher.snapshots = step.get('snapshots')


def _precision(cfg: Config, device: str) -> ContextManager:
    wrapper = cfg.get('optim_wrapper') or {}
    if wrapper.get('type') != 'AmpOptimWrapper':
        return nullcontext()
    dtype = torch.bfloat16 if wrapper.get('dtype') == 'bfloat16' else torch.float16
    return torch.autocast(torch.device(device).type, dtype)

"""What each distillation loss costs by itself, and a step with it."""
import argparse
import copy
from typing import Any, Dict, List

from clock import Clock, medians
from mmengine.config import Config
from recipes import FRAGMENTS
from rich.table import Table
from steps import Step, StepBench
from torch import Tensor, nn

from ctkd_det.models.distilled_config import SELF_TAUGHT


def costs(cfg: Config, args: argparse.Namespace, clock: Clock) -> Dict[str, dict]:
    """Of each recipe: seconds of a step, and of its losses alone, forward and backward.

    Args:
        cfg (Config): Of a distilled detector, whose losses are replaced.
        args (Namespace): Of step_time.py; ``losses`` are names of recipes.
        clock (Clock): Measures.

    Returns:
        dict: By recipe ``step``, ``losses`` and ``student`` in seconds,
        ``ratio`` of a step to the student's, ``share`` of the losses in it.
    """
    names = (sorted(path.stem for path in FRAGMENTS.glob('*.py')) if args.losses == ['all']
             else args.losses)
    found = {}
    for name in names:
        changed = _with_losses(cfg, name)
        try:
            bench = StepBench(changed, args.batch, args.size, args.device)
        except ValueError as error:
            if args.losses != ['all']:
                raise
            print(f'{name} does not suit this config: {error}')
            continue
        kinds = dict(student=bench.student(), step=bench.distilled(bench.model))
        kinds.update(losses=_alone(bench.model, kinds['step']))
        for function in kinds.values():
            function()
        times = medians(clock.turns(kinds, args.rounds, budget=5))
        found[name] = dict(times, ratio=times['step'] / times['student'],
                           share=times['losses'] / times['step'])
    return found


def cost_table(found: Dict[str, dict]) -> Table:
    """The costliest losses first."""
    columns = Table('recipe', 'step, of the student', 'losses, ms', 'of the step, %')
    for name, cost in sorted(found.items(), key=lambda item: -item[1]['losses']):
        columns.add_row(name, f'{cost["ratio"]:.2f}', f'{1e3 * cost["losses"]:.2f}',
                        f'{100 * cost["share"]:.1f}')
    return columns


def _with_losses(cfg: Config, name: str) -> Config:
    fragment = Config.fromfile(FRAGMENTS / f'{name}.py')
    cfg = copy.deepcopy(cfg)
    cfg.model.distill_losses = copy.deepcopy(fragment.distill_losses)
    cfg.model.update(fragment.get('detector', {}))
    if fragment.get('teacher_config') in SELF_TAUGHT:
        cfg.model.teacher_config = fragment.teacher_config
    for loss in cfg.model.distill_losses.values():
        temperature = loss.get('temperature')
        if isinstance(temperature, dict) and 'num_classes' in temperature:
            head = cfg.model.get('bbox_head') or cfg.model.roi_head.bbox_head
            temperature.num_classes = (head[0] if isinstance(head, list) else head).num_classes
    return cfg


def _alone(model: nn.Module, step: Step) -> Step:
    """Forward and backward pass of the losses on what they receive in a step."""
    received: List[tuple] = []

    def hear(loss: nn.Module, args: tuple, kwargs: Dict[str, Any]) -> None:
        received.append((loss, _leaves(args), {key: _leaves(x) for key, x in kwargs.items()}))

    handles = [loss.register_forward_pre_hook(hear, with_kwargs=True)
               for loss in model.distill_losses.values()]
    step()
    for handle in handles:
        handle.remove()

    def alone() -> None:
        for loss, args, kwargs in received:
            loss(*args, **kwargs).backward()

    return alone


def _leaves(x: Any) -> Any:
    """A detached copy: what needs a gradient still does."""
    if isinstance(x, Tensor):
        return x.detach().requires_grad_(x.requires_grad)
    return [_leaves(y) for y in x] if isinstance(x, (list, tuple)) else x

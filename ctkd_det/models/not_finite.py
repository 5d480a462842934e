"""Finds where a forward pass stops being finite."""
from contextlib import ExitStack
from itertools import chain
from typing import Any, Callable, Iterator, List, NamedTuple, Tuple

import torch
from torch import Tensor, nn


class NotFinite(NamedTuple):
    """A tensor with values that are not finite.

    Attributes:
        what: Its name, as in "the teacher's logits for loss_ctkd".
        count: Number of its values that are NaN or infinite.
        total: Number of its values.
    """
    what: str
    count: int
    total: int

    def __str__(self) -> str:
        return f'{self.what} ({self.count} of {self.total} values)'


def not_finite_on_the_way(model: nn.Module, run: Callable[[], Any]) -> List[NotFinite]:
    """Everything that is not finite, first of all what was so first.

    Weights come first, since they were so before; then what the modules of
    student and teacher receive and return, in the order of the computation.

    Args:
        model (nn.Module): The student; distilled or plain.
        run (Callable): Runs ``model`` on a batch.

    Returns:
        list[NotFinite]: Empty if all is finite.
    """
    parts = [('student', model)]
    if hasattr(model, 'teacher_model'):
        parts.append(('teacher', model.teacher_model))
    found = [finding for who, part in parts for finding in not_finite_weights(part, who)]

    def look(label: Callable[[int], str], values: Any) -> None:
        for i, tensor in enumerate(_tensors(values)):
            found.extend(_examine(label(i), tensor))

    with ExitStack() as hooks, torch.no_grad():
        for who, part in parts:
            for name, module in part.named_modules():
                receives, returns = _labels(who, name)
                hooks.enter_context(module.register_forward_pre_hook(
                    lambda _, args, kwargs, label=receives: look(label, [args, kwargs]),
                    with_kwargs=True))
                hooks.enter_context(module.register_forward_hook(
                    lambda _, args, output, label=returns: look(label, output)))
        run()
    return found


def not_finite_weights(module: nn.Module, who: str) -> List[NotFinite]:
    """Those parameters and buffers that are not finite; an infinite variance hides its inputs."""
    return [finding for name, tensor in chain(module.named_parameters(), module.named_buffers())
            if tensor.is_floating_point()
            for finding in _examine(f"the {who}'s weights {name}", tensor)]


def _examine(what: str, tensor: Tensor) -> List[NotFinite]:
    if tensor.detach().sum().isfinite():  # then so is every term, and this is the faster question
        return []
    bad = int((~tensor.detach().isfinite()).sum())
    return [NotFinite(what, bad, tensor.numel())] if bad else []


def _labels(who: str, name: str) -> Tuple[Callable[[int], str], Callable[[int], str]]:
    """How the tensors are called that a module receives, and those it returns."""
    words = name.split('.')
    if words[0] == 'distill_losses' and len(words) == 2:
        received = ("the student's logits or features", "the teacher's logits or features")
        return (lambda i: f'{received[min(i, 1)]} for {words[1]}', lambda i: f'{words[1]}')
    if words[0] == 'distill_losses' and words[2:] == ['temperature']:
        return (lambda i: f'what the temperature of {words[1]} is given',
                lambda i: f'tau of {words[1]}')
    where = f"the {who}'s {name}" if name else f'the {who}'
    return lambda i: f'what {where} receives', lambda i: f'what {where} returns'


def _tensors(values: Any) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        if values.is_floating_point():
            yield values
    elif isinstance(values, dict):
        yield from _tensors(list(values.values()))
    elif isinstance(values, (list, tuple)):
        for value in values:
            yield from _tensors(value)

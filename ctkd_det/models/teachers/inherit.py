"""A student that starts with some of its teacher's weights."""
from typing import List, Sequence

import torch
from mmengine.logging import print_log
from torch import nn

from ..heads import num_classes


def inheritable_weights(student: nn.Module, teacher: nn.Module, prefixes: Sequence[str]) -> tuple:
    """Names of the student's weights under ``prefixes``: those it can inherit, and the others.

    A weight can be inherited if the teacher has one of its name and shape;
    buffers such as running means count.

    Raises:
        ValueError: if nothing can be inherited under one of the prefixes.
    """
    theirs = teacher.state_dict()
    common = sorted({name for name, _ in student.named_children()}
                    & {name for name, _ in teacher.named_children()} - {'data_preprocessor'})
    copied, others = [], []
    for prefix in prefixes:
        names = [name for name in student.state_dict() if f'{name}.'.startswith(f'{prefix}.')]
        fitting = [name for name in names
                   if name in theirs and theirs[name].shape == student.state_dict()[name].shape]
        if not fitting:
            raise ValueError(
                f'inherit: {prefix!r} names no weights that student and teacher have in common '
                f'({len(names)} of the student have such names, none of them fits). Both have '
                f'{common}')
        copied += fitting
        others += [name for name in names if name not in fitting]
    return copied, others


def inherited_heads(student: nn.Module, teacher: nn.Module, prefixes: Sequence[str]) -> List[str]:
    """Those of ``prefixes`` that bring the teacher's order of classes.

    Of another number of classes no classifier fits; of as many, their rows
    could be swapped.
    """
    if num_classes(student) != num_classes(teacher):
        return []
    return [name for name in prefixes if name.split('.')[0] in ('roi_head', 'bbox_head')]


@torch.no_grad()
def inherit_weights(student: nn.Module, teacher: nn.Module, prefixes: Sequence[str]) -> None:
    """Copy the weights, and say in the log what was copied and what was not."""
    copied, others = inheritable_weights(student, teacher, prefixes)
    theirs, own = teacher.state_dict(), student.state_dict()
    for name in copied:
        own[name].copy_(theirs[name])
    lines = [f'inherit: {len(copied)} weights copied from the teacher: {", ".join(copied)}']
    if others:
        lines.append(f'inherit: {len(others)} that the teacher does not have in this shape keep '
                     f'their own: {", ".join(others)}')
    print_log('\n'.join(lines), logger='current')

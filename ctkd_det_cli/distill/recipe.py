"""Writes the short config that one command line stands for."""
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Dict, Optional

import click
from torch import nn

from ctkd_det.configs import imported_modules
from ctkd_det.models.distilled_config import is_distilled
from ctkd_det.models.heads import classifiers, has_sigmoids
from .coco_folder import CocoFolder
from .methods import read_method
from .pair import build_student, check_teacher, distilled_type
from .source_code import assignment
from .student import data_for, heads_for
from .zoo import Source


@dataclass(frozen=True)
class Recipe:
    """Who learns what from whom, on which data.

    Attributes:
        student: A plain config.
        teacher: Another.
        teacher_ckpt: The teacher's weights, an absolute path or a URL.
        method: As in 'ctkd' or 'ctkd+dkd'.
        data: A data set instead of the student's own.
        options: Further arguments of the detector: ``class_mapping``,
            ``inherit``, ``teacher_stage``.
    """
    student: Source
    teacher: Source
    teacher_ckpt: str
    method: str
    data: Optional[CocoFolder] = None
    options: Dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """str: Says what it is, for the file and the work directory."""
        parts = (self.student.path.stem, self.method.replace('+', '-'), self.teacher.path.stem)
        return '_'.join(parts)

    @property
    def num_classes(self) -> int:
        """int: The student's, on these data."""
        return len(self.data.classes) if self.data else self.student.num_classes

    def check(self) -> None:
        """See whether these two can be student and teacher.

        Raises:
            click.ClickException: if not, with the reason.
        """
        for role, source in (('student', self.student), ('teacher', self.teacher)):
            if is_distilled(source.config.get('model', {})):
                raise click.ClickException(
                    f'the {role} {source.path} is a distillation config: give a plain one'
                    + ('; to train it as it is: ctkd-det train' if role == 'student' else ''))
        check_teacher(self.built, self.student.path, self.teacher, **self.options)

    @cached_property
    def built(self) -> nn.Module:
        """nn.Module: The student on these data, plain and with random weights.

        Raises:
            click.ClickException: if it cannot be distilled.
        """
        return build_student(self.student, self.head_changes)

    @property
    def head_changes(self) -> dict:
        """dict: What the student's model must merge to have the classes of the data."""
        distilled_type(self.student)  # says so if it has no heads that could be changed
        if self.num_classes == self.student.num_classes:
            return {}
        model = self.student.config.model
        head = 'roi_head' if 'roi_head' in model else 'bbox_head'
        return {head: heads_for(model[head], self.student.num_classes, self.num_classes)}

    def text(self) -> str:
        """The config file, to be read, kept and edited."""
        base = self.student.config
        method = read_method(self.method, self.num_classes,
                             has_sigmoids(classifiers(self.built)[0]))
        model = dict(
            type=distilled_type(self.student).__name__,
            teacher_config=self.teacher.reference, teacher_ckpt=self.teacher_ckpt,
            distill_losses=method.losses, **self.options, **self.head_changes)
        blocks = dict(
            _base_=self.student.reference,
            custom_imports=dict(imports=[*imported_modules(base), 'ctkd_det'],
                                allow_failed_imports=False), model=model)
        if method.hooks:  # a list of the base would be replaced, not continued
            blocks['custom_hooks'] = [*base.get('custom_hooks', []), *method.hooks]
        if method.custom_keys:
            blocks['optim_wrapper'] = dict(paramwise_cfg=dict(custom_keys=method.custom_keys))
        if self.data:
            blocks.update(data_for(base, self.data))
        return ''.join(assignment(key, value) for key, value in blocks.items())


def write(recipe: Recipe, out: Path, force: bool) -> str:
    """Write it, but not over a file that was edited.

    Returns:
        str: What the file says.

    Raises:
        click.ClickException: if ``out`` exists, says something else, and
            ``force`` is False.
    """
    text = recipe.text()
    if out.exists() and out.read_text(encoding='utf-8') != text and not force:
        raise click.ClickException(
            f'{out} exists and says something else. To train what it says: ctkd-det train {out}; '
            'to replace it: --force; to write another: --out FILE')
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding='utf-8')
    return text

"""Writes the short config that one command line stands for."""
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Dict, Optional, Set

import click
from mmengine.config import Config
from torch import nn

from ctkd_det.configs import imported_modules
from ctkd_det.models.building import arguments_of
from ctkd_det.models.detr_heads import whose_queries
from ctkd_det.models.distilled_config import is_distilled
from ctkd_det.models.heads import classifiers, has_sigmoids
from ctkd_det.models.teachers.pair import kind_of
from ctkd_det_data import CocoFolder
from ..guards import safe_hooks
from .beginning import begun_anew
from .changes import Changes
from .cycles import with_cycles
from .methods import ALONE, cross_head, read_method, sources
from .overrides import merged, over_nothing
from .pair import build_student, check_teacher, distilled_type
from .source_code import assignment, portable
from .student import data_for, heads_for
from .temperature_speed import with_speed
from .zoo import Source


@dataclass(frozen=True)
class Recipe:
    """Who learns what from whom, on which data.

    Attributes:
        student: A plain config.
        teacher: Another; None if the student learns alone, or from itself.
        teacher_ckpt: The teacher's weights, an absolute path or a URL.
        method: As in 'ctkd' or 'ctkd+dkd'; 'none' for the student alone.
        data: A data set instead of the student's own.
        options: Further arguments of the detector: ``class_mapping``,
            ``inherit``, ``teacher_stage``.
        changes: Of the student's schedule, batch, image size and seed.
    """
    student: Source
    teacher: Optional[Source]
    teacher_ckpt: str
    method: str
    data: Optional[CocoFolder] = None
    options: Dict[str, Any] = field(default_factory=dict)
    changes: Changes = Changes()

    @property
    def name(self) -> str:
        """str: Says what it is, for the file and the work directory."""
        if self.method == ALONE:
            return f'{self.student.path.stem}_alone'
        parts = [self.student.path.stem, self.method.replace('+', '-')]
        return '_'.join([*parts, self.teacher.path.stem] if self.teacher else parts)

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
            if source and is_distilled(source.config.get('model', {})):
                raise click.ClickException(
                    f'the {role} {source.path} is a distillation config: give a plain one'
                    + ('; to train it as it is: ctkd-det train' if role == 'student' else ''))
        if self.teacher is not None:
            check_teacher(self.built, self.student.path, self.teacher, self.teacher_ckpt,
                          sources=self.sources, own_data=self.data is not None,
                          cross_head=cross_head(self.method), **self.options)

    @cached_property
    def sources(self) -> Set[str]:
        """set[str]: What the method's losses compare; nothing for a student alone."""
        return set() if self.method == ALONE else sources(self.method)

    @cached_property
    def built(self) -> nn.Module:
        """nn.Module: The student on these data, plain and with random weights.

        Raises:
            click.ClickException: if it cannot be distilled.
        """
        distilled_type(self.student)  # says so if it has no heads that could be changed
        return build_student(self.student, self.head_changes, self.sources != {'neck'})

    @property
    def head_changes(self) -> dict:
        """dict: What the student's model must merge to have the classes of the data."""
        if self.num_classes == self.student.num_classes:
            return {}
        model = self.student.config.model
        head = 'roi_head' if 'roi_head' in model else 'bbox_head'
        return {head: heads_for(model[head], self.student.num_classes, self.num_classes)}

    @property
    def baseline(self) -> 'Recipe':
        """Recipe: The student alone, with the same data, schedule and seed."""
        return replace(self, teacher=None, teacher_ckpt='', method=ALONE, options={})

    def text(self, folder: Path) -> str:
        """The config file, to be read, kept and edited.

        Args:
            folder (Path): Where it will lie.
        """
        base = self.student.config
        blocks = dict(_base_=self.student.base, **begun_anew(base))
        if self.method != ALONE:
            blocks.update(self._distillation(base))
        hooks = self.changes.hooks(base)
        # a list of the base would be replaced, not continued
        if 'custom_hooks' in blocks or hooks != list(base.get('custom_hooks') or []):
            blocks['custom_hooks'] = [*hooks, *blocks.get('custom_hooks', [])]
        blocks['default_hooks'] = safe_hooks(base)
        if self.head_changes:
            blocks = merged(blocks, dict(model=self.head_changes))
        blocks = merged(blocks, self.changes.blocks(base))
        blocks = with_cycles(blocks, base)
        if self.data:
            blocks = merged(blocks, data_for(base, self.data))
        blocks = with_speed(blocks, base, self.data and len(self.data.train.content['images']))
        blocks = portable(over_nothing(blocks, base.to_dict()), folder)
        # what others refer to by its name stands before them
        order = sorted(blocks, key=lambda key: key.endswith('_dataloader'))
        return ''.join(assignment(key, blocks[key]) for key in order)

    @property
    def _teacher(self) -> Dict[str, str]:
        return {} if self.teacher is None else dict(
            teacher_config=self.teacher.reference, teacher_ckpt=self.teacher_ckpt)

    def _distillation(self, base: Config) -> Dict[str, Any]:
        sigmoids = self.sources != {'neck'} and has_sigmoids(classifiers(self.built)[0])
        method = read_method(self.method, self.num_classes, sigmoids,
                             kind_of(self.built) != 'two-stage')
        detector = distilled_type(self.student)
        for name in set(method.model).difference(arguments_of(detector)):
            raise click.ClickException(
                f'method {self.method} is not for this student: it sets {name}, which a '
                f'{detector.__name__} does not take. For every student there are ctkd and kd')
        if 'distilled_queries' in method.model:
            try:
                whose_queries(self.built, method.model['distilled_queries'])
            except ValueError as error:
                raise click.ClickException(
                    f'method {self.method} is not for this student: {error}, in a config of yours'
                ) from error
        blocks: Dict[str, Any] = dict(
            custom_imports=dict(imports=[*imported_modules(base), 'ctkd_det'],
                                allow_failed_imports=False),
            model=dict(
                type=detector.__name__,
                **method.model, **self._teacher, distill_losses=method.losses,
                **self.options))
        if method.hooks:
            blocks['custom_hooks'] = method.hooks
        if base.optim_wrapper.get('clip_grad'):  # the student's own, which its baseline has, too
            method.optim_wrapper.pop('clip_grad', None)
        if method.optim_wrapper:
            blocks['optim_wrapper'] = method.optim_wrapper
        return blocks

"""What distilled detectors of every kind have in common."""
from typing import Any, Callable, ContextManager, Dict, List, Sequence, Union

import torch
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.utils import ConfigType
from mmengine.logging import MessageHub
from torch import Tensor, nn

from ..heads import has_sigmoids
from ..taps import Logits
from ..teachers import FrozenTeacher, inherit_weights, inheritable_weights
from .log_values import log_values


class DistilledDetector:
    """Adds distillation losses to the detector it is mixed into.

    The student's loss runs once, unchanged; a tap records its logits; the
    teacher classifies the same RoIs or locations; each distillation loss
    compares the two. With all of them inactive the teacher does not run, and
    training is plain mmdet's to the last bit.

    A student may classify several times (the stages of a cascade): each
    distillation loss, with its one temperature, is applied to each stage, and
    weighted by the student's own weight of that stage.
    """

    def set_up_distillation(self, distill_losses: Dict[str, ConfigType],
                            make_teacher: Callable[[], FrozenTeacher],
                            inherit: Union[str, Sequence[str]] = (),
                            eval_teacher: bool = True) -> None:
        """Build losses and teacher; to be called at the end of ``__init__``.

        Raises:
            ValueError: if a loss is badly named or does not suit the
                student's classifier, ``inherit`` matches nothing, or
                ``eval_teacher`` is False.
        """
        if not eval_teacher:
            raise ValueError('eval_teacher=False is not supported: batch statistics of the '
                             "student's images would change the teacher")
        _check_names(distill_losses)
        # The student's initial weights must not depend on what is distilled.
        with torch.random.fork_rng(devices=[]):
            self.distill_losses = _build_losses(distill_losses)
            self.teacher = make_teacher()
        self.inherit = [inherit] if isinstance(inherit, str) else list(inherit)
        # says now, not in training, if something cannot be inherited
        inheritable_weights(self, self.teacher_model, self.inherit)
        self._check_inherited_classes()
        sigmoids = has_sigmoids(self.teacher.heads(self)[0])
        for name, loss in self.distill_losses.items():
            if loss.for_sigmoids != sigmoids:
                raise ValueError(
                    f"{name}: {type(loss).__name__} is {'' if loss.for_sigmoids else 'not '}for "
                    f"heads with use_sigmoid=True; the student's has use_sigmoid={sigmoids}")
        self._classes_checked = False

    def _check_inherited_classes(self) -> None:
        """Of another number of classes nothing fits; of as many, their rows could be swapped."""
        own, theirs = (self.teacher.heads(x)[0].num_classes for x in (self, self.teacher_model))
        heads = [name for name in self.inherit if name.split('.')[0] in ('roi_head', 'bbox_head')]
        if heads and own == theirs and self.teacher.map_classes.how is not None:
            raise ValueError(f"inherit: {heads} would bring the teacher's order of classes, which "
                             'class_mapping says may be another; inherit backbone, neck or '
                             'rpn_head only')

    @property
    def teacher_model(self) -> nn.Module:
        """nn.Module: The teacher's detector."""
        return self.teacher.model

    def _apply(self, fn: Callable, *args: Any, **kwargs: Any) -> nn.Module:
        self.teacher.apply(fn)
        return super()._apply(fn, *args, **kwargs)

    def init_weights(self) -> None:
        """Initialise the student, then give it what it inherits.

        mmengine's Runner calls this before it loads or resumes a checkpoint,
        whose weights therefore have the last word.
        """
        super().init_weights()
        if self.inherit:
            inherit_weights(self, self.teacher_model, self.inherit)

    def loss(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> dict:
        """Losses of the student, and the distillation losses.

        Args:
            batch_inputs (Tensor): (B, 3, H, W), normalised for the student.
            batch_data_samples (list[DetDataSample]): Of length B.

        Returns:
            dict[str, Tensor]: Plain mmdet's losses; each distillation loss
            under its name, of a cascade under ``s0.<name>``, ``s1.<name>``
            ...; and temperature statistics, whose keys do not contain
            ``loss``, so that mmengine logs them and adds them to nothing.
        """
        self._follow_the_runner()
        with self.tap() as records:
            losses = super().loss(batch_inputs, batch_data_samples)
        results = self._distill(batch_inputs, batch_data_samples, records)
        if losses.keys() & results.keys():
            raise ValueError('distill_losses: the student has losses of these names already: '
                             f'{sorted(losses.keys() & results.keys())}')
        return {**losses, **results}

    def tap(self) -> ContextManager[List[Logits]]:
        """What records the student's logits, of each stage."""
        raise NotImplementedError

    def teacher_logits(self, batch_inputs: Tensor, batch_data_samples: SampleList,
                       records: List[Logits]) -> List[Tensor]:
        """The teacher's answers to what the student was asked, of each stage."""
        raise NotImplementedError

    @property
    def stage_weights(self) -> Sequence[float]:
        """Sequence[float]: The student's own weights of its stages."""
        return [1.0]

    def complete(self, records: List[Logits], like: Tensor) -> List[Logits]:
        """Fill in what a step did not compute."""
        return records

    def _distill(self, batch_inputs: Tensor, batch_data_samples: SampleList,
                 records: List[Logits]) -> dict:
        if any(loss.active for loss in self.distill_losses.values()):
            records = self.complete(records, batch_inputs)
            teacher = self.teacher_logits(batch_inputs, batch_data_samples, records)
        results = {}
        for name, loss in self.distill_losses.items():
            keys = [f's{i}.{name}' for i in range(len(records))] if len(records) > 1 else [name]
            if not loss.active:
                results.update({key: _zero(loss, batch_inputs) for key in keys})
                continue
            statistics = []
            for key, record, t, stage_weight in zip(keys, records, teacher, self.stage_weights,
                                                    strict=True):
                results[key] = stage_weight * loss(
                    record.cls_score, t, record.labels, weight=record.label_weights,
                    avg_factor=record.avg_factor)
                statistics.append(loss.statistics)
            results.update(log_values(name, loss.temperature.lambda_, statistics))
        return results

    def _follow_the_runner(self) -> None:
        """In a Runner's training: move the losses' windows, and check the classes once."""
        hub = MessageHub.get_current_instance()
        if hub.get_info('loop_stage') != 'train':
            return
        for name, loss in self.distill_losses.items():
            if loss.window.by_epoch and hub.get_info('max_epochs') == 1:
                raise ValueError(f'{name}: this training has but one epoch, as every '
                                 'iteration-based one; give its window in iterations')
            loss.window.move_to(hub.get_info('iter'), hub.get_info('epoch'))
        if not self._classes_checked:
            self.teacher.check_classes(hub.get_info('dataset_meta', {}).get('classes'))
            self._classes_checked = True


def _check_names(distill_losses: Dict[str, ConfigType]) -> None:
    for name in distill_losses:
        if not name.startswith('loss_') or 'loss' in name[len('loss_'):] or '.' in name:
            raise ValueError(f'distill_losses: the name {name!r} must be "loss_" and a word '
                             'without "loss" or a dot, as in "loss_ctkd"')


def _build_losses(configs: Dict[str, ConfigType]) -> nn.ModuleDict:
    """Build the losses; one whose temperature is another's name shares that one's."""
    losses = {name: MODELS.build(cfg) for name, cfg in configs.items()
              if not isinstance(cfg.get('temperature'), str)}
    for name, cfg in configs.items():
        owner = cfg.get('temperature')
        if isinstance(owner, str):
            if owner not in losses:
                raise ValueError(f'{name}: temperature={owner!r} must name a loss that has a '
                                 f'temperature of its own, one of {sorted(losses)}')
            losses[name] = MODELS.build({**cfg, 'temperature': 1.0})
            losses[name].share_temperature(losses[owner])
    return nn.ModuleDict({name: losses[name] for name in configs})


def _zero(loss: nn.Module, like: Tensor) -> Tensor:
    """0 that keeps the parameters of an inactive loss in the graph, for DDP."""
    return sum((p.sum() * 0 for p in loss.parameters()), like.new_zeros(()))

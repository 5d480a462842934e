"""A two-stage detector that learns from a frozen teacher's RoI classifications."""
from pathlib import Path
from typing import Any, Callable, Dict, Union

import torch
from mmdet.models.detectors import TwoStageDetector
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.utils import ConfigType
from mmengine.logging import MessageHub
from torch import Tensor, nn

from ..taps import RoILogits, RoITap
from ..teachers import FrozenTeacher


@MODELS.register_module()
class KnowledgeDistillationTwoStageDetector(TwoStageDetector):
    """Adds distillation losses to a two-stage detector; otherwise it is one.

    The student's loss runs once, unchanged; a tap records its RoIs and
    logits; the teacher classifies the same RoIs; each distillation loss
    compares the two. With all of them inactive the teacher does not run, and
    training is plain mmdet's to the last bit.

    Args:
        *args, **kwargs: Those of :class:`mmdet.models.TwoStageDetector`.
        teacher_config (str | Path | dict): Config of the teacher: a path, an
            ``mmdet::`` name, or the config itself.
        teacher_ckpt (str): Its checkpoint, loaded strictly.
        distill_losses (dict[str, dict]): Configs of the losses by name; a
            name is its key in the log and starts with ``loss_``.
        eval_teacher (bool): Taken for the sake of mmdet's
            ``KnowledgeDistillationSingleStageDetector``; must be True.
        teacher_compile (bool | dict): Whether the teacher's backbone and neck
            are compiled, see :class:`FrozenTeacher`. Defaults to False.

    Raises:
        ValueError: if a loss is badly named or does not suit the student's
            classifier, or ``eval_teacher`` is False.
        FileNotFoundError, TeacherError, TypeError: see :class:`FrozenTeacher`.
    """

    def __init__(self,
                 *args,
                 teacher_config: Union[str, Path, ConfigType],
                 teacher_ckpt: str,
                 distill_losses: Dict[str, ConfigType],
                 eval_teacher: bool = True,
                 teacher_compile: Union[bool, ConfigType] = False,
                 **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if not eval_teacher:
            raise ValueError('eval_teacher=False is not supported: batch statistics of the '
                             "student's images would change the teacher")
        _check_names(distill_losses)
        # The student's initial weights must not depend on what is distilled.
        with torch.random.fork_rng(devices=[]):
            self.distill_losses = _build_losses(distill_losses)
            self.teacher = FrozenTeacher(teacher_config, teacher_ckpt, student=self,
                                         compile=teacher_compile)
        RoITap(self.roi_head)  # says now, not in training, if the head cannot be tapped
        for name, loss in self.distill_losses.items():
            if loss.for_sigmoids != _has_sigmoids(self.roi_head):
                raise ValueError(
                    f"{name}: {type(loss).__name__} is {'' if loss.for_sigmoids else 'not '}for "
                    f"heads with use_sigmoid=True; the student's has "
                    f'use_sigmoid={_has_sigmoids(self.roi_head)}')
        self._classes_checked = False

    @property
    def teacher_model(self) -> nn.Module:
        """nn.Module: The teacher's detector."""
        return self.teacher.model

    def _apply(self, fn: Callable, *args: Any, **kwargs: Any) -> nn.Module:
        self.teacher.apply(fn)
        return super()._apply(fn, *args, **kwargs)

    def loss(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> dict:
        """Losses of the student, and the distillation losses.

        Args:
            batch_inputs (Tensor): (B, 3, H, W), normalised for the student.
            batch_data_samples (list[DetDataSample]): Of length B.

        Returns:
            dict[str, Tensor]: Plain mmdet's losses; each distillation loss
            under its name; and temperature statistics, whose keys do not
            contain ``loss``, so that mmengine logs them and adds them to
            nothing.
        """
        self._follow_the_runner()
        with RoITap(self.roi_head) as record:
            losses = super().loss(batch_inputs, batch_data_samples)
        results = self._distill(batch_inputs, batch_data_samples, record)
        if losses.keys() & results.keys():
            raise ValueError('distill_losses: the student has losses of these names already: '
                             f'{sorted(losses.keys() & results.keys())}')
        return {**losses, **results}

    def _distill(self, batch_inputs: Tensor, batch_data_samples: SampleList,
                 record: RoILogits) -> dict:
        student = teacher = None
        results = {}
        for name, loss in self.distill_losses.items():
            if not loss.active:
                results[name] = _zero(loss, batch_inputs)
                continue
            if student is None:
                student = self._complete(record, batch_inputs)
                teacher = self._teacher_logits(batch_inputs, batch_data_samples, student)
            results[name] = loss(student.cls_score, teacher, student.labels,
                                 weight=student.label_weights, avg_factor=student.avg_factor)
            results.update(_log_values(name, loss))
        return results

    def _complete(self, record: RoILogits, like: Tensor) -> RoILogits:
        """Without any RoI mmdet skips the loss: stand in with empty tensors.

        So every rank still has every parameter in its graph, the classifier's
        among them, and counts no RoI in the mean over all ranks.
        """
        if record.cls_score is None:
            num_logits = self.roi_head.bbox_head.num_classes + (not _has_sigmoids(self.roi_head))
            nothing = sum(p.sum() * 0 for p in self.roi_head.bbox_head.parameters())
            record.cls_score = like.new_zeros((0, num_logits)) + nothing
            record.labels = like.new_zeros((0, ), dtype=torch.long)
            record.label_weights, record.avg_factor = like.new_zeros((0, )), 0.0
        return record

    def _teacher_logits(self, batch_inputs: Tensor, batch_data_samples: SampleList,
                        record: RoILogits) -> Tensor:
        if len(record.cls_score) == 0:
            return record.cls_score.detach()
        return self.teacher.roi_logits(batch_inputs, batch_data_samples, record.rois)

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


def _has_sigmoids(roi_head: nn.Module) -> bool:
    """Whether the classifier ends in sigmoids, without a logit for the background."""
    return bool(getattr(roi_head.bbox_head.loss_cls, 'use_sigmoid', False))


def _zero(loss: nn.Module, like: Tensor) -> Tensor:
    """0 that keeps the parameters of an inactive loss in the graph, for DDP."""
    return sum((p.sum() * 0 for p in loss.parameters()), like.new_zeros(()))


def _log_values(name: str, loss: nn.Module) -> Dict[str, Tensor]:
    """Temperature statistics and lambda as ``ctkd.tau_mean`` for ``loss_ctkd``."""
    values = dict(loss.statistics)
    if loss.temperature.lambda_ is not None:
        values['lambda'] = torch.tensor(loss.temperature.lambda_)
    return {f'{name[len("loss_"):]}.{key}': value for key, value in values.items()}

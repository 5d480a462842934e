"""What distilled detectors of every kind have in common."""
from pathlib import Path
from typing import Any, Callable, ContextManager, Dict, List, Optional, Sequence, Type, Union

import torch
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.utils import ConfigType
from mmengine.config import Config
from mmengine.logging import MessageHub
from torch import Tensor, nn

from ..heads import classifiers, has_sigmoids
from ..taps import Logits
from ..teachers import FrozenTeacher, inherit_weights
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

    Args:
        *args, **kwargs: Those of the plain detector.
        teacher_config (str | Path | dict): Config of the teacher: a path, an
            ``mmdet::`` name, or the config itself.
        teacher_ckpt (str): Its checkpoint, loaded strictly.
        distill_losses (dict[str, dict]): Configs of the losses by name; a
            name is its key in the log and starts with ``loss_``.
        class_mapping (str, optional): 'by_name' if the teacher knows the
            student's classes among others or in another order, see
            :class:`ClassMapping`. Defaults to None.
        inherit (str | Sequence[str]): The student starts with the teacher's
            weights under these names, such as ``['neck', 'rpn_head']``, where
            name and shape agree. Defaults to none.
        eval_teacher (bool): Taken for the sake of mmdet's
            ``KnowledgeDistillationSingleStageDetector``; must be True.
        teacher_compile (bool | dict): Whether the teacher's backbone and neck
            are compiled, see :class:`FrozenTeacher`. Defaults to False.
        teacher_options (dict, optional): Arguments that a subclass hands on to
            its :attr:`teacher_class`. Defaults to none.

    Raises:
        ValueError: if a loss is badly named or does not suit the student's
            classifier, or an option is out of its range.
        FileNotFoundError, TeacherError, TypeError: see :class:`FrozenTeacher`.
    """
    # answers what this kind of students asks
    teacher_class: Type[FrozenTeacher]

    def __init__(self,
                 *args,
                 teacher_config: Union[str, Path, ConfigType],
                 teacher_ckpt: str,
                 distill_losses: Dict[str, ConfigType],
                 class_mapping: Optional[str] = None,
                 inherit: Union[str, Sequence[str]] = (),
                 eval_teacher: bool = True,
                 teacher_compile: Union[bool, ConfigType] = False,
                 teacher_options: Optional[dict] = None,
                 **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if not eval_teacher:
            raise ValueError('eval_teacher=False is not supported: batch statistics of the '
                             "student's images would change the teacher")
        _check_names(distill_losses)
        # The student's initial weights must not depend on what is distilled.
        with torch.random.fork_rng(devices=[]):
            self.distill_losses = _build_losses(distill_losses)
            self.inherit = [inherit] if isinstance(inherit, str) else list(inherit)
            self.teacher = self.teacher_class(
                teacher_config, teacher_ckpt, student=self, class_mapping=class_mapping,
                inherit=self.inherit, compile=teacher_compile, **(teacher_options or {}))
        sigmoids = has_sigmoids(classifiers(self)[0])
        for name, loss in self.distill_losses.items():
            if loss.for_sigmoids != sigmoids:
                raise ValueError(
                    f"{name}: {type(loss).__name__} is {'' if loss.for_sigmoids else 'not '}for "
                    f"heads with use_sigmoid=True; the student's has use_sigmoid={sigmoids}")
        self._data_checked = False

    @property
    def teacher_model(self) -> nn.Module:
        """nn.Module: The teacher's detector."""
        return self.teacher.model

    def _apply(self, fn: Callable, *args: Any, **kwargs: Any) -> nn.Module:
        self.teacher.follow(fn)
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
        """In a Runner's training: move the losses' windows, and check the data once."""
        hub = MessageHub.get_current_instance()
        if hub.get_info('loop_stage') != 'train':
            return
        for name, loss in self.distill_losses.items():
            if loss.window.by_epoch and hub.get_info('max_epochs') == 1:
                raise ValueError(f'{name}: this training has but one epoch, as every '
                                 'iteration-based one; give its window in iterations')
            loss.window.move_to(hub.get_info('iter'), hub.get_info('epoch'))
        if not self._data_checked:
            self.teacher.check_classes(hub.get_info('dataset_meta', {}).get('classes'))
            text = hub.get_info('cfg', '')
            if 'Normalize' in text:  # few do that in the pipeline; reading takes a while
                self.teacher.check_data(Config.fromstring(text, '.py'), self)
            self._data_checked = True


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

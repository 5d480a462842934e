"""What distilled detectors of every kind have in common."""
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Callable, ContextManager, Dict, List, Optional, Sequence, Tuple, Type, Union

import torch
from mmdet.structures import SampleList
from mmdet.utils import ConfigType
from torch import Tensor, nn

from ..building import check_arguments
from ..levels import LevelMatch
from ..losses import DistillLoss, LogitLoss
from ..taps import Logits, NeckTap
from ..teachers import FrozenTeacher, inherit_weights
from .graphs import check_maps
from .loss_configs import (
    build_losses,
    check_classifier,
    check_configs,
    check_rotated,
    check_sources,
    sources_of,
)
from .loss_share import LossShare
from .start_checks import check_start
from .step import distillation_losses
from .teacher_choice import TeacherChoice
from .training_progress import OwnTraining, move_windows


class DistilledDetector:
    """Adds distillation losses to the detector it is mixed into.

    The student's loss runs once, unchanged; taps record its maps and logits;
    the teacher looks at the same images, once, and classifies the same RoIs or
    locations if a loss asks for it; each distillation loss compares the two.
    With all of them inactive the teacher does not run, and training is plain
    mmdet's to the last bit.

    A student may classify several times (the stages of a cascade): each loss
    between logits or RoI features, with its one temperature, is applied to
    each stage, and weighted by the student's own weight of that stage. Losses
    between the maps of the necks are computed once.

    Args:
        *args, **kwargs: Those of the plain detector.
        teacher_config (str | Path | dict): Config of the teacher: a path, an
            ``mmdet::`` name, or the config itself. 'snapshot' is the student
            as it was at the end of a cycle of its learning rate, as
            :class:`SnapshotHook` gives it; before that no loss is active.
            'refined' is a :class:`RefiningTeacher`.
        teacher_ckpt (str, optional): Its checkpoint, loaded strictly. A
            student that teaches itself has none. Defaults to None.
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
        teacher_fold (bool): Whether their batch norms are folded into their
            convolutions, see the same. Defaults to False.
        teacher_dtype (str, optional): 'bfloat16' or 'float16' in which they
            run, see the same. Defaults to None.
        teacher_loss_weight (float): Of the losses with which a 'refined'
            teacher learns itself; 0 switches all of it off. Defaults to 1.
        teacher_options (dict, optional): Arguments that a subclass hands on to
            its :attr:`teacher_class`. Defaults to none.

    Raises:
        ValueError: if a loss is badly named or does not suit the student, or
            an option is out of its range.
        FileNotFoundError, TeacherError, TypeError: see :class:`FrozenTeacher`.
    """
    # answers what this kind of students asks
    teacher_class: Type[FrozenTeacher]
    # what losses can compare
    sources: Tuple[str, ...] = ('logits', 'neck')

    def __init__(self,
                 *args,
                 teacher_config: Union[str, Path, ConfigType],
                 distill_losses: Dict[str, ConfigType],
                 teacher_ckpt: Optional[str] = None,
                 class_mapping: Optional[str] = None,
                 inherit: Union[str, Sequence[str]] = (),
                 eval_teacher: bool = True,
                 teacher_compile: Union[bool, ConfigType] = False,
                 teacher_fold: bool = False,
                 teacher_dtype: Optional[str] = None,
                 teacher_loss_weight: float = 1.0,
                 teacher_options: Optional[dict] = None,
                 **kwargs) -> None:
        check_arguments(type(self), kwargs, 'model')
        choice = TeacherChoice(teacher_config, (args, kwargs), teacher_loss_weight,
                               teacher_ckpt=teacher_ckpt, inherit=inherit,
                               class_mapping=class_mapping)
        super().__init__(*args, **kwargs)
        if not eval_teacher:
            raise ValueError('eval_teacher=False is not supported: batch statistics of the '
                             "student's images would change the teacher")
        check_configs(distill_losses)
        sources = sources_of(distill_losses)
        check_sources(distill_losses, sources, self.sources)
        self.compared = set(choice.needs(sources.values()))
        # The student's initial weights must not depend on what is distilled.
        with torch.random.fork_rng(devices=[]):
            self.inherit = [inherit] if isinstance(inherit, str) else list(inherit)
            # any detector can show its maps
            teacher_class = self.teacher_class if self._classifies else FrozenTeacher
            self.teacher = choice.build(
                self, teacher_class, teacher_config, teacher_ckpt, class_mapping=class_mapping,
                inherit=self.inherit, compile=teacher_compile, fold=teacher_fold,
                dtype=teacher_dtype, sources=self.compared, **(teacher_options or {}))
            if self.teacher.learns:
                self.self_teacher = self.teacher.module
                distill_losses = {name: dict(dict(window=self.teacher.window), **loss)
                                  for name, loss in distill_losses.items()}
            if 'neck' in self.compared:
                self.level_match = LevelMatch(self, self.teacher_model, self.teacher.scale.factor,
                                              self.teacher.num_maps)
            self.distill_losses = build_losses(distill_losses, sources, self._feature_settings)
            check_classifier(self.distill_losses, self)
            check_rotated(self.distill_losses, 'roi' in self.sources, self.teacher)
        self._own_training, self._data_checked = OwnTraining(), False
        self._share = LossShare()

    @property
    def _classifies(self) -> bool:
        """Whether a loss compares something that the heads compute."""
        return bool(self.compared - {'neck'})

    def _feature_settings(self, name: str, source: str, config: ConfigType) -> dict:
        """What a loss must be told of the two detectors, beside its config."""
        if source == 'neck':
            return self.level_match.settings(name, config.get('levels'))
        return self.roi_widths() if source == 'roi' else {}

    def roi_widths(self) -> Dict[str, List[int]]:
        """Widths of the RoI features of both, of each stage, as the losses take them."""
        raise NotImplementedError

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
        training = self._own_training.now()
        if training:
            move_windows(self.distill_losses, training)
            if not self._data_checked:
                check_start(self, training)
                self._data_checked = True
        neck = NeckTap(self) if 'neck' in self.compared else nullcontext([])
        heads = self.tap() if self._classifies else nullcontext([])
        with neck as maps, heads as records:
            losses = super().loss(batch_inputs, batch_data_samples)
        if any(loss.source == 'neck' and self.is_active(loss)
               for loss in self.distill_losses.values()):
            check_maps(maps, losses)
        results = distillation_losses(self, batch_inputs, batch_data_samples, maps, records)
        if losses.keys() & results.keys():
            raise ValueError('distill_losses: the student has losses of these names already: '
                             f'{sorted(losses.keys() & results.keys())}')
        if training:
            self._share.see(losses, results, [
                name for name, loss in self.distill_losses.items()
                if isinstance(loss, LogitLoss) and self.is_active(loss)])
        return {**losses, **results}

    def tap(self) -> ContextManager[List[Logits]]:
        """What records the student's logits, of each stage."""
        raise NotImplementedError

    def teacher_logits(self, batch_inputs: Tensor, batch_data_samples: SampleList,
                       records: List[Logits],
                       feats: Optional[Sequence[Tensor]] = None) -> List[Tensor]:
        """The teacher's answers to what the student was asked, of each stage.

        ``feats`` is what its neck gave for these images, if that is known.
        """
        raise NotImplementedError

    def box_sides(self, batch_data_samples: SampleList, records: List[Logits],
                  source: str) -> List[dict]:
        """What losses between boxes compare, of each stage, once the teacher has answered."""
        raise NotImplementedError

    def rotated_sides(self, batch_inputs: Tensor, batch_data_samples: SampleList,
                      records: List[Logits], losses: List[DistillLoss]) -> Dict[str, List[dict]]:
        """What these losses compare on rotated images, of each stage; see ``both_sides``."""
        raise NotImplementedError

    def mask_sides(self, batch_data_samples: SampleList, records: List[Logits],
                   feats: Sequence[Tensor]) -> List[dict]:
        """What losses between masks compare, of each stage, once the teacher has answered."""
        raise NotImplementedError

    @property
    def stage_weights(self) -> Sequence[float]:
        """Sequence[float]: The student's own weights of its stages."""
        return [1.0]

    def complete(self, records: List[Logits], like: Tensor) -> List[Logits]:
        """Fill in what a step did not compute."""
        return records

    def is_active(self, loss: DistillLoss) -> bool:
        """Whether a loss contributes anything to this step."""
        return loss.active and self.teacher.ready

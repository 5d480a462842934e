"""The parts of a distillation step, apart and together, on one batch.

What other code bases do is written here from their published behaviour:
Detectron2-based code classifies the student's RoIs a second time to get the
logits that its loss has thrown away; MMRazor's ``SingleTeacherDistill`` runs
the teacher's whole ``loss``, with its RPN, its own RoIs and its losses.
"""
import copy
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Callable, ContextManager, Dict, List, Optional, Sequence, Tuple

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData
from torch import Tensor, nn

from ctkd_det.configs import read_config
from ctkd_det.models.detectors.distilled import DistilledDetector
from ctkd_det.models.distilled_config import SELF_TAUGHT, plain_model, plain_parent
from ctkd_det.models.heads import num_classes, of_stage
from ctkd_det.models.masks import mask_heads
from ctkd_det.models.taps import Logits, NeckTap

Step = Callable[[], None]
# of a model config, by the name of a cheaper teacher
VARIANTS: Dict[str, dict] = dict(
    fold=dict(teacher_fold=True), bf16=dict(teacher_dtype='bfloat16'),
    fold_bf16=dict(teacher_fold=True, teacher_dtype='bfloat16'),
    compile=dict(teacher_compile=True),
    fold_compile=dict(teacher_fold=True, teacher_compile=True))


def build(cfg: Config, **options: Any) -> DistilledDetector:
    """The detector in training mode.

    Random weights stand for those that are not here: the backbone's that are
    downloaded, and a teacher's whose file does not exist. They decide nothing
    about time but how many proposals survive.

    Args:
        cfg (Config): Of a distilled detector, which is not changed.
        **options: Changes of its model.

    Raises:
        ValueError: if the student teaches itself, so that there is no teacher to time.
    """
    model = copy.deepcopy(cfg.model)
    model.update(options)
    if isinstance(model.teacher_config, str) and model.teacher_config in SELF_TAUGHT:
        raise ValueError('the student teaches itself: there is no teacher whose pass has a time')
    model.backbone.init_cfg = None
    if Path(model.teacher_ckpt).is_file():
        return MODELS.build(model).train()
    teacher = read_config(model.teacher_config)
    teacher.model.backbone.init_cfg = None
    with tempfile.TemporaryDirectory() as folder:
        file = f'{folder}/teacher.pth'
        torch.save(dict(state_dict=MODELS.build(teacher.model).state_dict()), file)
        model.update(teacher_config=teacher.to_dict(), teacher_ckpt=file)
        return MODELS.build(model).train()


def random_batch(model: nn.Module, images: int, size: Tuple[int, int]) -> dict:
    """Images of noise, with eight boxes each, as a data loader gives them."""
    height, width = size
    samples = []
    for _ in range(images):
        corner = torch.rand(8, 2) * torch.tensor([width, height]) * 0.7
        sides = (0.1 + 0.2 * torch.rand(8, 2)) * min(size)
        sample = DetDataSample(metainfo=dict(img_shape=size, scale_factor=(1, 1),
                                             ori_shape=size, pad_shape=size))
        sample.gt_instances = InstanceData(
            bboxes=torch.cat([corner, corner + sides], 1),
            labels=torch.randint(num_classes(model), (8, )))
        if mask_heads(model):  # only its size takes time
            from mmdet.structures.mask import BitmapMasks  # needs mmcv's operators
            sample.gt_instances.masks = BitmapMasks(
                torch.ones(8, height, width, dtype=torch.uint8).numpy(), height, width)
        samples.append(sample)
    return dict(inputs=[torch.randint(256, (3, *size), dtype=torch.uint8) for _ in samples],
                data_samples=samples)


class StepBench:
    """One batch, and all that can be done with it.

    Args:
        cfg (Config): Of a distilled detector.
        images (int): In the batch.
        size (tuple[int, int]): Their height and width.
        device (str): Where.
        amp (torch.dtype, optional): Of autocast around each step. Defaults to None.
        channels_last (bool): How student and teacher store their weights.
        **options: Changes of the model's config.
    """

    def __init__(self, cfg: Config, images: int, size: Tuple[int, int], device: str = 'cpu',
                 amp: Optional[torch.dtype] = None, channels_last: bool = False,
                 **options: Any) -> None:
        self.cfg, self.device, self.amp, self.options = cfg, torch.device(device), amp, options
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.model = self._placed(build(cfg, **options))
        self.batch = random_batch(self.model, images, size)
        data = self.model.data_preprocessor(self.batch, True)
        self.images, self.samples = data['inputs'], data['data_samples']
        self.records = self._records()

    def kinds(self) -> Dict[str, Step]:
        """Student alone, teacher alone, both as we do it and as others do."""
        kinds = dict(student=self.student(), teacher=self.teacher,
                     distilled=self.distilled(self.model))
        if hasattr(self.model, 'roi_head'):
            kinds['second head pass'] = self.distilled(self.with_second_head_pass())
        # with other classes the teacher cannot compute its losses from the student's labels, and
        # what a whole loss does not return it cannot hand over
        mapped = {**self.cfg.model, **self.options}.get('class_mapping')
        if not self.model.compared & {'roi', 'boxes'} and not mapped:
            kinds["teacher's full loss"] = self.distilled(self.with_full_teacher_loss())
        return kinds

    def variant(self, name: str) -> Step:
        """A distillation step whose teacher is cheaper, see ``VARIANTS``."""
        model = self._placed(build(self.cfg, **{**self.options, **VARIANTS[name]}))
        model.load_state_dict(self.model.state_dict())
        return self.distilled(model)

    def student(self) -> Step:
        """A step of plain MMDetection with the same weights."""
        config = copy.deepcopy(plain_model(self.cfg.model))
        config['backbone'].init_cfg = None
        student = self._placed(MODELS.build(config)).train()
        student.load_state_dict(self.model.state_dict(), strict=False)
        return self.distilled(student)

    def distilled(self, model: nn.Module) -> Step:
        """Forward and backward pass of a detector."""

        def step() -> None:
            model.zero_grad(set_to_none=True)
            torch.manual_seed(0)  # the same RoIs
            data = model.data_preprocessor(self.batch, training=True)
            with self.autocast():
                loss, _ = model.parse_losses(model(**data, mode='loss'))
            loss.backward()

        return step

    def teacher(self) -> None:
        """What the teacher computes in a step: no more than the losses compare."""
        feats = None
        with self.autocast():
            if 'neck' in self.model.compared:
                feats = self.model.teacher.features(self.images, self.samples)
            if self.records:
                self.model.teacher_logits(self.images, self.samples, self.records, feats)

    def autocast(self) -> ContextManager:
        """What surrounds each forward pass."""
        return torch.autocast(self.device.type, self.amp) if self.amp else nullcontext()

    def _placed(self, model: nn.Module) -> nn.Module:
        return model.to(self.device).to(memory_format=self.format)

    @torch.no_grad()
    def _records(self) -> List[Logits]:
        """What the student's heads are asked in this batch."""
        if not self.model.compared & {'logits', 'roi', 'boxes'}:
            return []
        torch.manual_seed(0)
        with self.autocast(), self.model.tap() as records:
            plain_parent(type(self.model)).loss(self.model, self.images, self.samples)
        return self.model.complete(records, self.images)

    def with_second_head_pass(self) -> nn.Module:
        """The detector with logits that its RoI head computes again."""
        model = copy.deepcopy(self.model)
        loss, complete, held = model.loss, model.complete, [None]

        def again(records: List[Logits], like: Tensor) -> List[Logits]:
            for stage, record in enumerate(complete(records, like)):
                record.cls_score = model.roi_head._bbox_forward(
                    *of_stage(model.roi_head, stage), held[0], record.rois)['cls_score']
            return records

        def listening(images: Tensor, samples: Sequence) -> dict:
            with NeckTap(model) as heard:
                held[0] = heard
                return loss(images, samples)

        model.complete, model.loss = again, listening
        return model

    def with_full_teacher_loss(self) -> nn.Module:
        """The detector whose teacher computes its own losses on its own RoIs, for the same end."""
        model = copy.deepcopy(self.model)
        teacher = model.teacher
        answers = self.model.teacher_logits(
            self.images, self.samples, self.records) if self.records else []

        @torch.no_grad()
        def features(images: Tensor, samples: Sequence) -> Sequence[Tensor]:
            with NeckTap(teacher.model) as maps:
                teacher.model.loss(teacher.prepare(images, samples), teacher.describe(samples))
            return maps

        def logits(images: Tensor, samples: Sequence, records: List[Logits],
                   feats: Optional[Sequence[Tensor]] = None) -> List[Tensor]:
            if feats is None:
                features(images, samples)
            return answers

        teacher.features, model.teacher_logits = features, logits
        return model

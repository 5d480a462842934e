"""The benches: which student learns from which teacher on which images, and how runs begin.

Each config is that of ``configs/shapes`` with the changes stated here. How their data are made,
see recipe_search.py.
"""
import copy
from typing import Dict, NamedTuple, Optional, Tuple

from mmengine.config import Config
from recipes import FRAGMENTS

SHAPES = FRAGMENTS.parents[1] / 'shapes'
# keys of mmdet's MobileNetV2; which file that is, docs/dataset.md says
IMAGENET = 'data/mobilenet_v2_imagenet_mmdet.pth'


class Pair(NamedTuple):
    """A student and its teacher.

    Attributes:
        data_root: The folder of their images.
        classes: Of these images; None: those of the embedded example.
        student: What its model has that ``student.py``'s has not.
        teacher: What its model has that ``teacher.py``'s has not; None: it is that model, with
            ``teacher_ckpt``.
        teacher_ckpt: The shipped weights, or others of that model.
        settings: What else both configs have: data loaders, learning rate.
        compiled: Whether the teacher's backbone and neck are compiled.
        teacher_epochs: Of its own teacher's training.
    """
    data_root: str
    classes: Optional[Tuple[str, ...]] = None
    student: Optional[dict] = None
    teacher: Optional[dict] = None
    teacher_ckpt: str = str(SHAPES / 'teacher.pth')
    settings: Optional[dict] = None
    compiled: bool = False
    teacher_epochs: int = 16


class Bench(NamedTuple):
    """How the runs of a bench begin, and how long they take.

    Attributes:
        epochs: Of each run; the learning rate falls to 0 in a cosine.
        val_interval: In epochs.
        pair: Whose teacher and trunks it uses.
        start: ``'trunk'`` of the run's seed, ``'shared trunk'`` or ``'shared backbone'`` of
            seed 0, or ``'scratch'``.
        warm_up: Iterations in which the learning rate rises.
    """
    epochs: int
    val_interval: int
    pair: str = 'shapes'
    start: str = 'trunk'
    warm_up: int = 0


def _width(backbone: int, neck: int, fc: int, num_classes: int = 5, **of_backbone: int) -> dict:
    """A Faster R-CNN of these channels."""
    return dict(
        backbone=dict(base_channels=backbone, **of_backbone),
        neck=dict(in_channels=[backbone, 2 * backbone, 4 * backbone], out_channels=neck),
        rpn_head=dict(in_channels=neck, feat_channels=neck),
        roi_head=dict(
            bbox_roi_extractor=dict(out_channels=neck),
            bbox_head=dict(in_channels=neck, fc_out_channels=fc, num_classes=num_classes)))


def _mobilenet(indices: Tuple[int, ...], channels: Tuple[int, ...], num_classes: int,
               frozen_stages: int = -1) -> dict:
    """MobileNetV2 with ImageNet weights under the embedded example's heads, 256 wide.

    Frozen down to stride 4 (``frozen_stages=2``) a step takes two thirds of the time.
    """
    return dict(
        backbone=dict(
            _delete_=True, type='MobileNetV2', out_indices=indices,
            frozen_stages=frozen_stages, norm_eval=False,
            init_cfg=dict(type='Pretrained', checkpoint=IMAGENET)),
        neck=dict(in_channels=list(channels), num_outs=len(channels)),
        roi_head=dict(bbox_head=dict(num_classes=num_classes, fc_out_channels=256)))


def _four_levels(model: dict) -> dict:
    """The model with levels of strides 4 to 32, for objects of a third of the image."""
    strides = [4, 8, 16, 32]
    model.setdefault('rpn_head', {})['anchor_generator'] = dict(
        scales=[4], ratios=[0.5, 1.0, 2.0], strides=strides)
    model['roi_head'].setdefault('bbox_roi_extractor', {}).update(
        featmap_strides=strides, finest_scale=28)
    return model


def _gfl(backbone: int, head: int, convs: int) -> dict:
    """A GFL of these channels in place of the Faster R-CNN, with levels of strides 4 to 16."""
    return dict(
        _delete_=True, type='GFL',
        data_preprocessor=dict(
            type='DetDataPreprocessor', mean=[123.675, 116.28, 103.53],
            std=[58.395, 57.12, 57.375], bgr_to_rgb=True, pad_size_divisor=32),
        backbone=dict(
            type='ResNet', depth=18, num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1),
            out_indices=(0, 1, 2), base_channels=backbone, norm_eval=False),
        neck=dict(type='FPN', in_channels=[backbone, 2 * backbone, 4 * backbone],
                  out_channels=head, num_outs=3),
        bbox_head=dict(
            type='GFLHead', num_classes=8, in_channels=head, feat_channels=head,
            stacked_convs=convs, norm_cfg=dict(type='GN', num_groups=4, requires_grad=True),
            # 16, 32 and 64 pixels wide
            anchor_generator=dict(type='AnchorGenerator', ratios=[1.0], octave_base_scale=4,
                                  scales_per_octave=1, strides=[4, 8, 16]),
            loss_cls=dict(type='QualityFocalLoss', use_sigmoid=True, beta=2.0, loss_weight=1.0),
            loss_dfl=dict(type='DistributionFocalLoss', loss_weight=0.25), reg_max=16,
            loss_bbox=dict(type='GIoULoss', loss_weight=2.0)),
        train_cfg=dict(assigner=dict(type='ATSSAssigner', topk=9), allowed_border=-1,
                       pos_weight=-1, debug=False),
        test_cfg=dict(nms_pre=200, min_bbox_size=0, score_thr=0.05,
                      nms=dict(type='nms', iou_threshold=0.6), max_per_img=50))


def _real(train_pipeline: Optional[list] = None, test_pipeline: Optional[list] = None) -> dict:
    """Images beside their annotations, eight in a batch."""

    def loader(pipeline: Optional[list]) -> dict:
        dataset = dict(data_prefix=dict(img='images/'))
        return dict(batch_size=8, dataset=dict(dataset, pipeline=pipeline) if pipeline else dataset)

    test = loader(test_pipeline)
    return dict(train_dataloader=loader(train_pipeline), val_dataloader=test, test_dataloader=test,
                optim_wrapper=dict(optimizer=dict(lr=0.02)))


def _photographs() -> dict:
    """At most 224 x 160 pixels, those of one orientation in a batch: little is padding."""
    resize = dict(type='Resize', scale=(224, 160), keep_ratio=True)
    settings = _real([
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations', with_bbox=True),
        resize,
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackDetInputs'),
    ], [
        dict(type='LoadImageFromFile'),
        resize,
        # in the pixels of the image, as mmdet expects them
        dict(type='LoadAnnotations', with_bbox=True),
        dict(type='PackDetInputs',
             meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
    ])
    settings['train_dataloader']['batch_sampler'] = dict(type='AspectRatioBatchSampler')
    return settings


def _deep_student(num_classes: int, channels: int = 8) -> dict:
    """Four stages, this many channels in the first."""
    model = _width(channels, 2 * channels, 8 * channels, num_classes=num_classes, num_stages=4,
                   strides=(1, 2, 2, 2), dilations=(1, 1, 1, 1), out_indices=(0, 1, 2, 3))
    model['neck'].update(in_channels=[channels * 2 ** stage for stage in range(4)], num_outs=4)
    return model


PAIRS: Dict[str, Pair] = {
    'shapes': Pair('data/shapes_bench/'),
    # on which no setting was chosen: 80 pixels, five classes
    'shapes_b': Pair(
        'data/shapes_bench_b/', ('triangle', 'square', 'pentagon', 'hexagon', 'circle'),
        student=_width(10, 20, 48), teacher=_width(24, 32, 128, depth=34)),
    # a fifth of the training labels is wrong: the students', the trunk's and the teacher's
    'shapes_noisy': Pair(
        'data/shapes_bench/', teacher={},
        settings=dict(train_dataloader=dict(dataset=dict(ann_file='train_noisy.json')))),
    # an over-confident teacher: the shipped one with class logits times 3
    'shapes_sharp': Pair('data/shapes_bench/',
                         teacher_ckpt='data/shapes_bench/teacher_sharp.pth'),
    # single-stage, with box distributions
    'shapes_gfl': Pair('data/shapes_bench/', student=_gfl(8, 16, 2), teacher=_gfl(32, 64, 2),
                       settings=dict(optim_wrapper=dict(optimizer=dict(lr=0.02))),
                       teacher_epochs=8),
    # heads of one width, which can be crossed
    'shapes_gfl_wide': Pair('data/shapes_bench/', student=_gfl(8, 64, 2), teacher=_gfl(32, 64, 2),
                            settings=dict(optim_wrapper=dict(optimizer=dict(lr=0.02))),
                            teacher_epochs=8),
    # defects of printed circuit boards, some 17 of 320 pixels wide: trained on quarters of images
    'deeppcb': Pair(
        'data/deeppcb/', ('open', 'short', 'mousebite', 'spur', 'copper', 'pin-hole'),
        student=_width(8, 16, 64, num_classes=6),
        teacher=_mobilenet((1, 2, 4), (24, 32, 96), num_classes=6),
        settings=_real([
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='RandomCrop', crop_size=(160, 160)),
            dict(type='RandomFlip', prob=[0.25, 0.25, 0.25],
                 direction=['horizontal', 'vertical', 'diagonal']),
            dict(type='PackDetInputs')]),
        compiled=True),
    # defects of rolled steel, some 68 of 200 pixels wide
    'neu_det': Pair(
        'data/neu_det/', ('crazing', 'patches', 'inclusion', 'pitted_surface',
                          'rolled-in_scale', 'scratches'),
        student=_four_levels(_deep_student(num_classes=6)),
        teacher=_four_levels(_mobilenet((1, 2, 4, 6), (24, 32, 96, 320), num_classes=6,
                                        frozen_stages=2)),
        settings=_real(), compiled=True),
    # the 20 classes of COCO that have most boxes there, in COCO's order
    'coco_real': Pair(
        'data/coco_real/', (
            'person', 'bicycle', 'car', 'motorcycle', 'truck', 'traffic light', 'bench',
            'backpack', 'umbrella', 'handbag', 'suitcase', 'skis', 'sports ball', 'bottle',
            'wine glass', 'cup', 'bowl', 'chair', 'dining table', 'book'),
        student=_four_levels(_deep_student(num_classes=20, channels=16)),
        teacher=_four_levels(_mobilenet((1, 2, 4, 6), (24, 32, 96, 320), num_classes=20,
                                        frozen_stages=2)),
        settings=_photographs(), compiled=True),
}
BENCHES: Dict[str, Bench] = {
    'shapes': Bench(epochs=3, val_interval=3),
    'shapes_order': Bench(epochs=3, val_interval=3, start='shared trunk'),
    'shapes_long': Bench(epochs=8, val_interval=2, start='shared trunk', warm_up=200),
    'shapes_warm': Bench(epochs=8, val_interval=2, start='shared backbone', warm_up=200),
    # as long as its teacher was trained
    'shapes_scratch': Bench(epochs=16, val_interval=2, start='scratch', warm_up=200),
    'shapes_noisy': Bench(
        epochs=8, val_interval=4, pair='shapes_noisy', start='shared backbone', warm_up=200),
    'shapes_sharp': Bench(
        epochs=8, val_interval=4, pair='shapes_sharp', start='shared backbone', warm_up=200),
    'shapes_b': Bench(epochs=3, val_interval=3, pair='shapes_b'),
    'shapes_b_warm': Bench(
        epochs=8, val_interval=2, pair='shapes_b', start='shared backbone', warm_up=200),
    'shapes_gfl': Bench(
        epochs=5, val_interval=5, pair='shapes_gfl', start='shared backbone', warm_up=200),
    'shapes_gfl_wide': Bench(
        epochs=5, val_interval=5, pair='shapes_gfl_wide', start='shared backbone', warm_up=200),
    'deeppcb': Bench(
        epochs=12, val_interval=4, pair='deeppcb', start='shared backbone', warm_up=200),
    'deeppcb_scratch': Bench(
        epochs=24, val_interval=6, pair='deeppcb', start='scratch', warm_up=200),
    'neu_det': Bench(
        epochs=16, val_interval=8, pair='neu_det', start='shared backbone', warm_up=200),
    'coco_real': Bench(
        epochs=8, val_interval=4, pair='coco_real', start='shared backbone', warm_up=200),
}
TRUNK_EPOCHS = 12


def student_config(name: str) -> Config:
    """The student alone in a bench."""
    bench = BENCHES[name]
    cfg = _on_data('student', PAIRS[bench.pair], PAIRS[bench.pair].student)
    cfg.merge_from_dict(dict(
        max_epochs=bench.epochs,
        train_cfg=dict(max_epochs=bench.epochs, val_interval=bench.val_interval)))
    cosine = dict(type='CosineAnnealingLR', eta_min_ratio=0.01, begin=0, end=bench.epochs,
                  by_epoch=True, convert_to_iter_based=True)
    cfg.param_scheduler = [*_rise(bench.warm_up), cosine]
    return cfg


def trunk_config(pair: str) -> Config:
    """The student alone at a constant learning rate; its branches are what is validated."""
    cfg = _on_data('student', PAIRS[pair], PAIRS[pair].student)
    cfg.merge_from_dict(dict(max_epochs=TRUNK_EPOCHS, train_cfg=dict(max_epochs=TRUNK_EPOCHS)))
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.test_cfg = cfg.test_dataloader = cfg.test_evaluator = None
    cfg.param_scheduler = _rise(200)
    return cfg


def teacher_config(pair: str) -> Optional[Config]:
    """The pair's own teacher; None if it has the shipped one."""
    if PAIRS[pair].teacher is None:
        return None
    cfg = _on_data('teacher', PAIRS[pair], PAIRS[pair].teacher)
    cfg.max_epochs = cfg.train_cfg.max_epochs = PAIRS[pair].teacher_epochs
    cfg.param_scheduler[-1].end = cfg.max_epochs
    return cfg


def _rise(iterations: int) -> list:
    return [dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=iterations)
            ] if iterations else []


def _on_data(name: str, pair: Pair, model: Optional[dict]) -> Config:
    """A config of the embedded example on a pair's images."""
    cfg = Config.fromfile(SHAPES / f'{name}.py')
    dataset = dict(data_root=pair.data_root)
    if pair.classes:
        dataset['metainfo'] = dict(classes=pair.classes)
    evaluator = dict(type='FasterCocoMetric', ann_file=f'{pair.data_root}val.json')
    cfg.merge_from_dict(dict(
        dataset, train_dataloader=dict(dataset=dataset),
        val_dataloader=dict(dataset=dataset), test_dataloader=dict(dataset=dataset),
        val_evaluator=evaluator, test_evaluator=evaluator))
    # mmengine takes `_delete_` out of what it merges
    cfg.merge_from_dict(copy.deepcopy(dict(pair.settings or {}, model=model or {})))
    cfg.custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
    return cfg

"""The detectors of mmdet's own configs, shrunk until a step takes a moment."""
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Callable, Iterator, Union
from unittest.mock import patch

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.hub import get_config

import helpers

TWO_STAGE = dict(
    faster='faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
    mask='mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py',
    cascade='cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py',
    cascade_mask='cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco.py',
    dynamic='dynamic_rcnn/dynamic-rcnn_r50_fpn_1x_coco.py',
    libra='libra_rcnn/libra-faster-rcnn_r50_fpn_1x_coco.py',
    double_head='double_heads/dh-faster-rcnn_r50_fpn_1x_coco.py',
    pisa='pisa/faster-rcnn_r50_fpn_pisa_1x_coco.py',
    grid='grid_rcnn/grid-rcnn_r50_fpn_gn-head_2x_coco.py',
    groie='groie/faste-rcnn_r50_fpn_groie_1x_coco.py',
    sabl='sabl/sabl-faster-rcnn_r50_fpn_1x_coco.py',
    mask_scoring='ms_rcnn/ms-rcnn_r50_fpn_1x_coco.py',
    point_rend='point_rend/point-rend_r50-caffe_fpn_ms-1x_coco.py')
DENSE = dict(
    retinanet='retinanet/retinanet_r50_fpn_1x_coco.py',
    fcos='fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py',
    atss='atss/atss_r50_fpn_1x_coco.py',
    gfl='gfl/gfl_r50_fpn_1x_coco.py',
    rtmdet='rtmdet/rtmdet_tiny_8xb32-300e_coco.py',
    rtmdet_ins='rtmdet/rtmdet-ins_tiny_8xb32-300e_coco.py',
    yolox='yolox/yolox_tiny_8xb8-300e_coco.py',
    tood='tood/tood_r50_fpn_1x_coco.py',
    vfnet='vfnet/vfnet_r50_fpn_1x_coco.py',
    paa='paa/paa_r50_fpn_1x_coco.py',
    ddod='ddod/ddod_r50_fpn_1x_coco.py',
    yolof='yolof/yolof_r50-c5_8xb8-1x_coco.py',
    autoassign='autoassign/autoassign_r50-caffe_fpn_1x_coco.py')
DETR = dict(
    deformable='deformable_detr/deformable-detr_r50_16xb2-50e_coco.py',
    dab='dab_detr/dab-detr_r50_8xb2-50e_coco.py',
    conditional='conditional_detr/conditional-detr_r50_8xb2-50e_coco.py',
    dino='dino/dino-4scale_r50_8xb2-12e_coco.py')
# their norms are of the batch, or their own
OWN_NORMS = ('retinanet', 'rtmdet', 'rtmdet_ins', 'yolox', 'yolof')
# value by key and value in the original
SMALLER = {
    ('depth', 50): 18, ('init_cfg', ...): None, ('in_channels', 256): 16, ('out_channels', 256): 16,
    ('feat_channels', 256): 16, ('conv_out_channels', 256): 16, ('conv_out_channels', 1024): 32,
    ('fc_out_channels', 1024): 32, ('num_classes', 80): 8, ('stacked_convs', 4): 1,
    ('cls_in_channels', 256): 16, ('reg_in_channels', 256): 16, ('cls_out_channels', 1024): 32,
    ('reg_offset_out_channels', 256): 16, ('reg_cls_out_channels', 256): 16,
    ('point_feat_channels', 64): 4, ('nms_pre', ...): 100, ('feat_channels', 96): 16,
    ('out_channels', 96): 16, ('in_channels', 96): 16, ('stacked_convs', 2): 1,
    ('stacked_convs', 6): 2, ('in_channels', 512): 16, ('out_channels', 512): 16,
    ('block_mid_channels', 128): 8, ('embed_dims', 256): 16, ('num_feats', 128): 8,
    ('feedforward_channels', 1024): 16, ('feedforward_channels', 2048): 16, ('num_layers', 6): 2,
    ('num_queries', 300): 10, ('num_queries', 900): 10, ('dropout', 0.1): 0.0,
    ('ffn_drop', 0.1): 0.0, ('max_per_img', 300): 40,
    ('batch_augments', ...): None, ('max_per_img', 2000): 40,
    ('max_per_img', 1000): 40, ('num_convs', 8): 1}


def tiny(family: str) -> Config:
    """The config of a family, with a thin R18; all else is mmdet's."""
    name = {**TWO_STAGE, **DENSE, **DETR}[family]
    model = get_config(f'mmdet::{name}').model
    _shrink(model)
    if family in DETR:
        return _tiny_detr(family, model)
    if model.backbone.type.startswith('CSP'):
        model.backbone.update(widen_factor=0.125, deepen_factor=0.1)
    else:
        model.backbone.update(base_channels=8, frozen_stages=-1, norm_eval=True)
    for neck in model.neck if isinstance(model.neck, list) else [model.neck]:
        if neck.type == 'FPN':
            neck.in_channels = [8, 16, 32, 64]
        elif neck.type.endswith('PAFPN'):
            neck.in_channels = [32, 64, 128]
        elif neck.type == 'DilatedEncoder':
            neck.in_channels = 64
    if 'roi_head' in model:
        for rcnn in (model.train_cfg.rcnn if isinstance(model.train_cfg.rcnn, list) else [
                model.train_cfg.rcnn]):
            rcnn.sampler.num = 32
    elif family not in OWN_NORMS:
        model.bbox_head.norm_cfg = dict(type='GN', num_groups=4)
    if family == 'pisa':  # no score is above 1, so no nms_match, an operator of full mmcv
        model.train_cfg.rcnn.sampler.score_thr = 1.0
    return Config(dict(model=model))


def _tiny_detr(family: str, model: ConfigDict) -> Config:
    model.backbone.update(base_channels=8, frozen_stages=-1, norm_eval=True)
    model.neck.update(in_channels=[8 * 2**i for i in model.backbone.out_indices])
    if model.neck.get('norm_cfg'):
        model.neck.norm_cfg = dict(type='GN', num_groups=4)
    model.bbox_head.embed_dims = 16
    model.test_cfg.max_per_img = 40  # of 10 queries and 8 classes
    if family in ('dino', 'conditional'):  # mmdet has written widths of theirs into the code
        _shrink(model, {('embed_dims', 16): 256, ('num_feats', 8): 128, ('out_channels', 16): 256})
    return Config(dict(model=model))


def _shrink(node: Any, smaller: dict = SMALLER) -> None:
    items = node.items() if isinstance(node, ConfigDict) else enumerate(node)
    for key, value in list(items):
        if isinstance(value, (dict, list)) and (key, ...) not in smaller:
            _shrink(value, smaller)
            continue
        new = smaller.get((key, ...), value)
        if not isinstance(value, (dict, list)):
            new = smaller.get((key, value), new)
        node[key] = new


def save_teacher(folder: Path, cfg: Config, classes: tuple = helpers.CLASSES,
                 weights: Union[dict, None] = None) -> dict:
    """Save ``cfg`` and weights, random ones if none are given; the detector's arguments."""
    # as Config.dump would, which spends seconds on the layout
    (folder / 'teacher.py').write_text(
        ''.join(f'{key} = {value!r}\n' for key, value in cfg.to_dict().items()))
    if weights is None:
        weights = make_opinionated(helpers.build(cfg), seed=1).state_dict()
    torch.save(dict(state_dict=weights, meta=dict(dataset_meta=dict(classes=classes))),
               folder / 'teacher.pth')
    return dict(teacher_config=str(folder / 'teacher.py'),
                teacher_ckpt=str(folder / 'teacher.pth'))


def saved_teachers(folders: pytest.TempPathFactory,
                   config: Callable[[str], Config] = tiny) -> Callable[[str], dict]:
    """The detector's arguments for a teacher of a family, saved once for each."""
    @cache
    def saved(family: str) -> dict:
        return save_teacher(folders.mktemp(family), config(family))

    return lambda family: dict(saved(family))


def make_opinionated(model: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Give its classifiers weights that make different logits for different RoIs."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if 'fc_cls' in name or name.startswith('bbox_head') and 'cls' in name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
    return model


def batch(model: torch.nn.Module, **kwargs) -> dict:
    """Like ``helpers.batch``, with a mask for each object: its box."""
    from mmdet.structures.mask import BitmapMasks  # needs mmcv's operators, as ctkd_det gives them
    data = helpers.batch(model, **kwargs)
    for sample in data['data_samples']:
        height, width = sample.img_shape
        masks = np.zeros((len(sample.gt_instances), height, width), dtype=np.uint8)
        for mask, box in zip(masks, sample.gt_instances.bboxes.int().tolist(), strict=True):
            mask[box[1]:box[3] + 1, box[0]:box[2] + 1] = 1
        sample.gt_instances.masks = BitmapMasks(masks, height, width)
    return data


def trained(model: torch.nn.Module, steps: int = 3) -> dict:
    """Its weights after some steps of SGD with seeded samplers."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
    data = batch(model)
    torch.manual_seed(3)
    for _ in range(steps):
        total, _ = model.parse_losses(model(**data, mode='loss'))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    return model.state_dict()


# part of the name of a module that predicts classes or boxes -> the spread and the mean it gets
_LIVELY = {'retina_cls': (2, -1), 'atss_cls': (2, -1), 'gfl_cls': (2, -1), 'conv_cls': (2, -1),
           'rtm_cls': (2, -1), 'fc_cls': (2, -1), 'conv_centerness': (1, 0),
           'atss_centerness': (1, 0), 'conv_obj': (2, 0), 'rpn_reg': (0.3, 0), 'fc_reg': (0.3, 0),
           'retina_reg': (0.3, 0), 'gfl_reg': (1, 0), 'atss_reg': (0.3, 0), 'rtm_reg': (0.5, 1),
           'conv_reg': (0.5, 1), 'conv_logits': (2, 0)}


def make_lively(model: torch.nn.Module, data: dict) -> torch.nn.Module:
    """Give what predicts weights with which an image has many different detections.

    Args:
        model: In evaluation mode.
        data: An image as ``test_step`` takes it.
    """
    generator = torch.Generator().manual_seed(0)
    done = set()

    def scale(module, inputs, _):
        if module not in done:
            done.add(module)
            spread, mean = module.wanted
            module.weight.data = torch.randn(module.weight.shape, generator=generator)
            module.bias.data.zero_()
            out = module.forward(*inputs)
            module.weight.data *= spread / out.std()
            module.bias.data = mean - out.mean([d for d in range(out.ndim) if d != 1]) * (
                spread / out.std())
        return module.forward(*inputs)

    hooks = []
    for name, module in model.named_modules():
        part = next((part for part in _LIVELY if part in name), None)
        if part and isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)) and '.conv.' not in name:
            module.wanted = _LIVELY[part]
            hooks.append(module.register_forward_hook(scale))
    with torch.no_grad():
        model.test_step(data)
    for hook in hooks:
        hook.remove()
    return model


@contextmanager
def no_proposals(model: torch.nn.Module) -> Iterator[None]:
    """The RPN of a two-stage detector proposes no box."""
    propose = model.rpn_head.loss_and_predict

    def nothing(*args, **kwargs):
        losses, proposals = propose(*args, **kwargs)
        return losses, [p[:0] for p in proposals]

    with patch.object(model.rpn_head, 'loss_and_predict', nothing):
        yield

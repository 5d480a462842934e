"""Detectors that learn from features: what is taken, from whom, and how often."""
from contextlib import contextmanager
from unittest.mock import patch

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.hub import get_config
from mmengine.model import ExponentialMovingAverage

import families
from ctkd_det.models.levels import LevelMatch, _counterparts, neck_levels
from ctkd_det.models.losses import Window
from ctkd_det.models.losses.features.fgd_loss import box_mask
from ctkd_det.models.teachers import TeacherError
from helpers import FEATURES, GLOBAL, batch, build, distill, make_teacher, student_config

NECK = dict(
    loss_fitnet=dict(type='FitNetLoss'), loss_at=dict(type='ATLoss', loss_weight=100.),
    loss_vid=dict(type='VIDLoss'), loss_pkd=dict(type='PKDLoss'), loss_cwd=dict(type='CWDLoss'),
    loss_review=dict(type='ReviewKDLoss', mid_channels=8), loss_mgd=dict(
        type='MGDLoss', reduction='mean'), loss_fgd=dict(type='FGDLoss'))
ROI = dict(
    loss_fitnet_roi=dict(type='FitNetLoss', source='roi'),
    loss_vid_roi=dict(type='VIDLoss', source='roi'), loss_sp=dict(type='SPLoss'),
    loss_pkt=dict(type='PKTLoss'), loss_srrl=dict(type='SRRLLoss'),
    loss_crd=dict(type='CRDLoss', embed_channels=8, queue_size=16))
EVERY = {**NECK, **ROI, 'loss_ctkd': GLOBAL}


@pytest.fixture(scope='module')
def wide_teacher(tmp_path_factory):
    """Wider than the student in its neck and in its RoI features."""
    return make_teacher(tmp_path_factory.mktemp('wide'), neck=dict(out_channels=32),
                        rpn_head=dict(in_channels=32), roi_head=dict(
                            bbox_roi_extractor=dict(out_channels=32),
                            bbox_head=dict(in_channels=32, fc_out_channels=48)))


def distilled(teacher, losses):
    return build(distill(student_config(), teacher, losses)).train()


def loss_values(losses):
    return {key: value.item() for key, value in losses.items() if 'loss' in key
            and not isinstance(value, list)}


@contextmanager
def counting(**modules):
    """Names of the modules that run, in order."""
    calls = []
    handles = [module.register_forward_hook(lambda *_, name=name: calls.append(name))
               for name, module in modules.items()]
    yield calls
    for handle in handles:
        handle.remove()


def trained(model, steps=3):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    data = batch(model)
    torch.manual_seed(3)  # the sampler of RoIs draws from it
    for _ in range(steps):
        total, _ = model.parse_losses(model(**data, mode='loss'))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    return model.state_dict()


def test_weight_zero_is_plain_mmdet_to_the_last_bit(wide_teacher):
    losses = {name: dict(loss, loss_weight=0.0) for name, loss in EVERY.items()}
    plain, student = build(student_config()).train(), distilled(wide_teacher, losses)
    before = student.state_dict()
    assert all(torch.equal(v, before[k]) for k, v in plain.state_dict().items())
    with patch.object(student.teacher, 'features', side_effect=AssertionError):
        weights = trained(student)
    assert all(torch.equal(v, weights[k]) for k, v in trained(plain).items())


def test_a_step_with_every_loss(wide_teacher):
    """All at once: finite, everything in the graph, the same RoIs as without them."""
    model = distilled(wide_teacher, EVERY)
    extra = model.state_dict().keys() - build(student_config()).state_dict().keys()
    assert all(key.startswith('distill_losses.') for key in extra)
    data = batch(model)
    torch.manual_seed(3)
    losses = model(**data, mode='loss')
    total, log = model.parse_losses(losses)
    total.backward()
    assert set(EVERY) < losses.keys() and all(v > 0 for k, v in log.items() if k in EVERY)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    assert all(p.grad is None for p in model.teacher_model.parameters())
    assert {'pkd.level0', 'pkd.level2'} < losses.keys()
    # the student's own losses, on the RoIs that it draws, are those of plain mmdet
    plain = build(student_config()).train()
    torch.manual_seed(3)
    for key, value in plain.parse_losses(plain(**data, mode='loss'))[1].items():
        if key != 'loss':
            assert torch.equal(value, log[key]), key


@pytest.mark.parametrize('name', FEATURES)
def test_each_method_alone(wide_teacher, name):
    """Nothing leans on another loss's presence."""
    model = distilled(wide_teacher, {name: FEATURES[name]})
    losses = model(**batch(model), mode='loss')
    model.parse_losses(losses)[0].backward()
    assert losses[name] != 0
    assert all(p.grad is not None for p in model.distill_losses.parameters())


def test_one_pass_of_the_teacher_serves_all(teacher):
    model = distilled(teacher, dict(
        loss_pkd=dict(type='PKDLoss'), loss_at=dict(type='ATLoss'), loss_sp=dict(type='SPLoss'),
        loss_srrl=dict(type='SRRLLoss'), loss_kd=GLOBAL))
    parts = dict(backbone=model.teacher_model.backbone, neck=model.teacher_model.neck,
                 head=model.teacher_model.roi_head.bbox_head, rpn=model.teacher_model.rpn_head,
                 student=model.roi_head.bbox_head)
    with counting(**parts) as calls:
        model(**batch(model), mode='loss')
    assert calls == ['student', 'backbone', 'neck', 'head']
    for name in ('loss_sp', 'loss_srrl', 'loss_kd'):
        model.distill_losses[name].loss_weight = 0.0
    with counting(**parts) as calls:
        model(**batch(model), mode='loss')
    assert calls == ['student', 'backbone', 'neck']
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert not any(m._forward_hooks or m._forward_pre_hooks
                   for m in model.teacher_model.modules())


def test_the_same_weights_have_the_same_features(teacher):
    """Nothing is lost between two equal detectors, so both sides are taken at the same place."""
    model = distilled(teacher, {name: loss for name, loss in EVERY.items() if name in (
        'loss_fitnet', 'loss_fitnet_roi', 'loss_at', 'loss_pkd', 'loss_cwd', 'loss_sp', 'loss_pkt',
        'loss_fgd')})
    model.load_state_dict(model.teacher_model.state_dict(), strict=False)
    for module in model.modules():  # batch statistics would tell them apart
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    losses = model(**batch(model), mode='loss')
    values = {name: losses[name].item() for name in model.distill_losses}
    assert values == pytest.approx({name: 0 for name in values}, abs=1e-5)
    assert all(isinstance(a, torch.nn.Identity) for loss in model.distill_losses.values()
               for a in loss.adapters)


def test_without_any_roi_the_neck_still_learns(wide_teacher):
    model = distilled(wide_teacher, EVERY)
    with families.no_proposals(model):
        losses = model(**batch(model, num_objects=0), mode='loss')
    model.parse_losses(losses)[0].backward()
    assert losses['loss_pkd'] > 0
    assert all(losses[name].item() == 0 for name in ROI)
    assert all(p.grad is not None for p in model.distill_losses.parameters())


def test_bf16_autocast_trains(wide_teacher):
    model = distilled(wide_teacher, EVERY)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = model(**batch(model), mode='loss')
    total, _ = model.parse_losses(losses)
    total.backward()
    assert total.isfinite() and all(losses[name].dtype == torch.float32 for name in EVERY)


def test_ema_and_half_precision(wide_teacher):
    model = distilled(wide_teacher, EVERY)
    average = ExponentialMovingAverage(model, momentum=0.5, update_buffers=True)
    model(**batch(model), mode='loss')
    average.update_parameters(model)
    assert average.module.distill_losses['loss_mgd'].draws is not model.distill_losses[
        'loss_mgd'].draws
    model.to(torch.bfloat16)
    data = batch(model)
    data['inputs'] = data['inputs'].bfloat16()
    total, _ = model.parse_losses(model(**data, mode='loss'))
    assert total.isfinite()


def test_a_cascade_compares_its_neck_once(tmp_path):
    cfg = families.tiny('cascade')
    taught = families.save_teacher(tmp_path, families.tiny('cascade'))
    model = build(distill(cfg, taught, dict(
        loss_pkd=dict(type='PKDLoss'), loss_sp=dict(type='SPLoss'),
        loss_srrl=dict(type='SRRLLoss')))).train()
    model.roi_head.stage_loss_weights = [1, 0.5, 0.25]
    seen, layers = [], []
    for loss in model.distill_losses.values():
        loss.register_forward_hook(lambda m, args, out: seen.append((m.source, out.item())))
    model.distill_losses['loss_srrl'].register_forward_pre_hook(
        lambda m, args, kwargs: layers.append((kwargs['classifier'], args[1])), with_kwargs=True)
    losses = model(**batch(model), mode='loss')
    ours = {k: v.item() for k, v in losses.items() if 'pkd' in k or 'sp' in k or 'srrl' in k}
    assert ours.keys() == {'loss_pkd', *(f'pkd.level{i}' for i in range(4)),
                           *(f's{i}.loss_{n}' for i in range(3) for n in ('sp', 'srrl'))}
    roi = [value for source, value in seen if source == 'roi']
    assert [ours[f's{i}.loss_sp'] for i in range(3)] == pytest.approx(
        [roi[0], roi[1] / 2, roi[2] / 4])
    assert len(model.distill_losses['loss_srrl'].adapters) == 3
    # each stage learns by the classifier of the teacher's own
    for (classify, x), head in zip(layers, model.teacher_model.roi_head.bbox_head, strict=True):
        assert torch.equal(classify(x), head.fc_cls(x))
    # P6 is a subsample of P5
    assert model.distill_losses['loss_pkd'].levels == (0, 1, 2, 3)
    assert neck_levels(model) == ((16, ) * 5, (4, 8, 16, 32, 64), (True, ) * 4 + (False, ))
    assert model.training and model.roi_head.training


def dino():
    cfg = get_config('mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py')
    cfg.model.backbone.update(depth=18, base_channels=8, init_cfg=None)
    cfg.model.neck.update(in_channels=[16, 32, 64])
    cfg.model.encoder.num_layers = cfg.model.decoder.num_layers = 1
    cfg.model.bbox_head.update(num_classes=3)
    return cfg


def swin():
    cfg = get_config('mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py')
    cfg.model.backbone.update(embed_dims=12, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2],
                              init_cfg=None)
    cfg.model.neck.update(in_channels=[12, 24, 48, 96], out_channels=24)
    cfg.model.rpn_head.update(in_channels=24)
    cfg.model.roi_head.bbox_roi_extractor.out_channels = 24
    cfg.model.roi_head.bbox_head.update(in_channels=24, fc_out_channels=32, num_classes=5)
    cfg.model.roi_head.mask_roi_extractor.out_channels = 24
    cfg.model.roi_head.mask_head.update(in_channels=24, num_classes=5)
    return cfg


def ssd(strides=(2, 1, 1, 1), paddings=(1, 1, 0, 0)):
    """As SSD300's, its neck takes no image of 128 pixels; the backbone is that of SSDLite."""
    cfg = get_config('mmdet::ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco.py')
    cfg.model.neck.update(level_strides=strides, level_paddings=paddings)
    return cfg


STRANGERS = {  # teacher, student's levels that are compared
    'retinanet_teaches_faster': ('retinanet', 'faster', (1, 2, 3)),
    'faster_teaches_retinanet': ('faster', 'retinanet', (0, 1, 2)),
    'dino_teaches_faster': (dino, 'faster', (1, 2, 3)),
    'swin_teaches_retinanet': (swin, 'retinanet', (0, 1, 2)),
}


@pytest.mark.parametrize('name', STRANGERS)
def test_any_teacher_teaches_through_the_neck(tmp_path, name):
    taught, student, levels = STRANGERS[name]
    teacher_cfg = families.tiny(taught) if isinstance(taught, str) else taught()
    taught = families.save_teacher(tmp_path, teacher_cfg, classes=('a', 'b', 'c'))
    cfg = distill(families.tiny(student), taught, dict(
        loss_pkd=dict(type='PKDLoss'), loss_fgd=dict(type='FGDLoss')))
    if student == 'retinanet':
        cfg.model.type = 'KnowledgeDistillationDenseDetector'
    model = build(cfg).train()
    assert model.distill_losses['loss_pkd'].levels == levels
    losses = model(**batch(model), mode='loss')
    model.parse_losses(losses)[0].backward()
    assert losses['loss_pkd'] > 0 and losses['loss_fgd'] > 0
    cfg.model.distill_losses = dict(cfg.model.distill_losses, loss_kd=dict(
        type='KDLoss' if student == 'faster' else 'BinaryKDLoss', temperature=1.0))
    with pytest.raises((TeacherError, TypeError), match='logits|classif|distilled'):
        MODELS.build(cfg.model)


def yolov3():
    """The widths of its maps are 96, 32 and 8, the coarsest first."""
    cfg = get_config('mmdet::yolo/yolov3_mobilenetv2_8xb24-320-300e_coco.py')
    cfg.model.backbone.init_cfg = None
    cfg.model.neck.out_channels = cfg.model.bbox_head.in_channels = [96, 32, 8]
    return cfg


def test_the_finest_level_is_0_whatever_the_necks_order():
    """That of YOLOv3 gives its coarsest map first."""
    yolo, retinanet = build(yolov3()).eval(), build(families.tiny('retinanet')).eval()
    images = torch.zeros(1, 3, 64, 64)
    maps = yolo.extract_feat(images), retinanet.extract_feat(images)
    for student, teacher, first, second in (
            (yolo, retinanet, *maps), (retinanet, yolo, *maps[::-1])):
        match = LevelMatch(student, teacher)
        assert match.student.strides[:3] == match.teacher.strides[:3] == (8, 16, 32)
        assert match.counterparts == [0, 1, 2, None, None][:len(first)]
        settings = match.settings('loss_review', None)
        assert settings['levels'] == (0, 1, 2)
        sides = match.align(first, second, (64, 64))
        for aligned, widths in zip(sides, (settings['student_channels'],
                                           settings['teacher_channels']), strict=False):
            assert [x.shape[1:] for x in aligned[:3]] == [
                (width, size, size) for width, size in zip(widths, (8, 4, 2), strict=False)]
        assert {8, 32, 96} <= {*settings['student_channels'], *settings['teacher_channels']}


def test_an_ssd_teaches_through_the_neck(tmp_path):
    cfg = distill(families.tiny('retinanet'), families.save_teacher(tmp_path, ssd()),
                  dict(loss_pkd=dict(type='PKDLoss')))
    cfg.model.type = 'KnowledgeDistillationDenseDetector'
    model = build(cfg).train()
    assert model.level_match.teacher.strides[:3] == (16, 32, 64)
    assert model(**batch(model, size=320), mode='loss')['loss_pkd'] > 0


def test_strides_of_levels_that_are_single_positions_of_a_small_image():
    """The coarsest three of SSDLite are, at 128 pixels."""
    levels = neck_levels(build(ssd((2, 2, 2, 2), (1, 1, 1, 1))))
    assert levels.strides == (16, 32, 64, 128, 256, 512)


def test_the_look_at_an_ordinary_detector_is_one_image():
    model = build(families.tiny('retinanet'))
    with counting(neck=model.neck) as calls:
        assert neck_levels(model).strides == (8, 16, 32, 64, 128)
    assert calls == ['neck']


def test_a_detector_without_maps_is_refused_with_a_sentence():
    with pytest.raises(TeacherError, match='^a Linear has no backbone of its own'):
        neck_levels(torch.nn.Linear(1, 1))
    model = build(families.tiny('retinanet'))
    model.neck.forward = lambda maps: maps['p3']
    with pytest.raises(TeacherError, match=r'RetinaNet fail on .* 300 x 300 pixels \(TypeError: .*'
                                           'take another detector'):
        neck_levels(model)


def test_a_single_stage_student_has_no_rois(tmp_path):
    taught = families.save_teacher(tmp_path, families.tiny('retinanet'))
    cfg = distill(families.tiny('retinanet'), taught, dict(loss_sp=dict(type='SPLoss')))
    cfg.model.type = 'KnowledgeDistillationDenseDetector'
    with pytest.raises(ValueError, match='loss_sp: SPLoss compares RoI features'):
        MODELS.build(cfg.model)


def test_roi_features_need_no_common_classes(tmp_path):
    """But a teacher with RoIs, and one stage."""
    few = make_teacher(tmp_path / 'few', classes=('a', 'b'),
                       roi_head=dict(bbox_head=dict(num_classes=2)))
    losses = dict(loss_sp=dict(type='SPLoss'), loss_srrl=dict(type='SRRLLoss'))
    model = distilled(few, losses)
    assert model(**batch(model), mode='loss')['loss_srrl'] > 0
    with pytest.raises(TeacherError, match='2 classes'):
        distilled(few, dict(losses, loss_kd=GLOBAL))
    with pytest.raises(ValueError, match="teacher_stage='mean'"):
        distilled(dict(few, teacher_stage='mean'), losses)
    dense = families.save_teacher(tmp_path, families.tiny('retinanet'))
    with pytest.raises(TeacherError, match='single-stage'):
        distilled(dense, losses)


def test_boxes_lie_where_the_cut_maps_see_them(wide_teacher):
    """A width of 769: the student pads to 800, the teacher 1538 to 1568, which is 784."""
    model = distilled(dict(wide_teacher, teacher_scale=2.0), dict(loss_fgd=dict(type='FGDLoss')))
    student, teacher = ([torch.zeros(1, 1, height, width) for height, width in sizes]
                        for sizes in (((24, 200), (12, 100), (6, 50)),
                                      ((48, 392), (24, 196), (12, 98))))
    student, teacher, covered = model.level_match.align(student, teacher, (96, 800))
    assert [x.shape[2:] for x in student[:2]] == [x.shape[2:] for x in teacher[:2]] == [
        (24, 196), (12, 98)]
    assert covered == (96, 784)
    # in positions of 4 pixels x from 96 to 98, y from 2 to 4; of 8 pixels 48, 49 and 1, 2
    for x, (rows, columns) in zip(teacher, (((2, 4), (96, 98)), ((1, 2), (48, 49))), strict=False):
        mask = box_mask([torch.tensor([[384., 8, 392, 16]])], covered, x)[0]
        found = mask.nonzero()
        assert (found.amin(0).tolist(), found.amax(0).tolist()) == (
            [rows[0], columns[0]], [rows[1], columns[1]])
    seen = []
    model.distill_losses['loss_fgd'].register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs['image_shape']), with_kwargs=True)
    # 72 is padded to 96, the teacher's 144 to 160
    assert model(**batch(model, size=72), mode='loss')['loss_fgd'].isfinite()
    assert seen == [(80, 80)]


@pytest.mark.parametrize('student, teacher, expected', [
    ([8, 16, 32], [4, 8, 16], [1, 2, None]),
    ([8, 16, 16], [8, 16, 16], [0, 1, 2]),  # a dilated backbone
    ([4, 4], [4, 4], [0, 1]), ([4], [4, 4], [1]), ([4, 4], [4], [None, 0]),  # stacked hourglasses
    ([64], [100.0], [None]), ([64], [], [None]),
    # SSD300, as 512 pixels show it, and RetinaNet: two of its strides are near 64
    ([8, 16, 32, 64, 512 / 6, 128], [8, 16, 32, 64, 128], [0, 1, 2, 3, None, 4]),
    ([8, 16, 32, 64, 128], [8, 16, 32, 64, 512 / 6, 128], [0, 1, 2, 3, 5])])
def test_each_level_of_the_teacher_is_compared_once(student, teacher, expected):
    assert _counterparts(student, teacher) == expected


def test_a_teacher_that_looks_at_larger_images(wide_teacher):
    """Strides are compared in the student's pixels; what only one side's padding has is cut."""
    model = distilled(dict(wide_teacher, teacher_scale=2.0), dict(loss_fitnet=dict(
        type='FitNetLoss')))
    assert model.distill_losses['loss_fitnet'].levels == (0, 1)
    assert model.level_match.counterparts == [1, 2, None]
    data = batch(model, size=72)  # padded to 96, the teacher's 144 to 160
    seen = []
    model.distill_losses['loss_fitnet'].register_forward_pre_hook(
        lambda module, args: seen.append(args))
    assert model(**data, mode='loss')['loss_fitnet'].isfinite()
    (student, teacher), = seen
    assert [x.shape[-1] for x in student[:2]] == [x.shape[-1] for x in teacher[:2]] == [20, 10]
    with pytest.raises(ValueError, match=r'levels=\(2,\).*strides.*2.0 times as large'):
        distilled(dict(wide_teacher, teacher_scale=2.0), dict(loss_fitnet=dict(
            type='FitNetLoss', levels=(2, ))))


def test_hidden_roi_features_are_an_error(teacher):
    model = distilled(teacher, dict(loss_sp=dict(type='SPLoss')))
    head = model.roi_head.bbox_head
    forward = head.forward
    head.forward = lambda x: torch.utils.checkpoint.checkpoint(forward, x, use_reentrant=True)
    with pytest.raises(RuntimeError, match=(
            'activation checkpointing of roi_head .* with_cp=True .* such as backbone.layer3')):
        model(**batch(model), mode='loss')
    model = distilled(teacher, dict(loss_pkd=dict(type='PKDLoss')))
    neck = model.neck.forward
    model.neck.forward = lambda x: torch.utils.checkpoint.checkpoint(neck, x, use_reentrant=False)
    losses = model(**batch(model), mode='loss')
    losses['loss_pkd'].backward()
    assert model.backbone.conv1.weight.grad.abs().sum() > 0


def test_roi_features_of_a_frozen_student_are_an_error(teacher):
    """Nothing is checkpointed there; one layer that learns is enough."""
    model = distilled(teacher, dict(loss_srrl=dict(type='SRRLLoss')))
    head = model.roi_head.bbox_head
    for part in (model.backbone, model.neck, head.shared_fcs):
        part.requires_grad_(False)
    with pytest.raises(RuntimeError, match='^backbone, neck and the layers before fc_cls are froz'):
        model(**batch(model), mode='loss')
    head.shared_fcs[-1].requires_grad_(True)
    model(**batch(model), mode='loss')['loss_srrl'].backward()
    assert head.shared_fcs[-1].weight.grad.abs().sum() > 0


@pytest.mark.parametrize('loss', ['ATLoss', 'PKDLoss', 'MGDLoss'])
def test_maps_of_a_frozen_neck_are_an_error(wide_teacher, loss):
    """Also where adapters learn; not for a loss that waits, nor where nothing learns."""
    said = 'the maps of the neck have no graph, .* If backbone and neck are frozen: leave it out'
    model = distilled(wide_teacher, dict(loss_x=dict(type=loss)))
    for part in (model.backbone, model.neck):
        part.requires_grad_(False)
    with pytest.raises(RuntimeError, match=said):
        model(**batch(model), mode='loss')
    with torch.no_grad():
        model(**batch(model), mode='loss')
    model.neck.fpn_convs[0].requires_grad_(True)  # one layer that learns is enough
    model(**batch(model), mode='loss')['loss_x'].backward()
    assert model.neck.fpn_convs[0].conv.weight.grad.abs().sum() > 0
    model.neck.requires_grad_(False)
    model.distill_losses['loss_x'].window = Window(begin=10)
    model(**batch(model), mode='loss')


def test_draws_are_in_the_checkpoint(teacher):
    losses = dict(loss_mgd=dict(type='MGDLoss', reduction='mean'))
    model, other = distilled(teacher, losses), distilled(teacher, losses)
    data = batch(model)
    model(**data, mode='loss')
    other.load_state_dict(model.state_dict())
    model.eval(), other.eval()  # batch statistics have nothing to do with it
    first, second = (m.distill_losses['loss_mgd'] for m in (model, other))
    maps = [torch.randn(1, 16, 4, 4)] * 3
    assert first(maps, maps) == second(maps, maps)

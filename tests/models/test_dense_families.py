"""Single-stage detectors, as student and as teacher."""
import copy
import logging
import re

import pytest
import torch
from dense_targets import flat, logits, targets
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import init_default_scope

import families
import helpers
from ctkd_det.models.boxes.dense import location_boxes
from ctkd_det.models.dense.differences import different_priors, has_quality_branch
from ctkd_det.models.heads import dense_head
from ctkd_det.models.teachers import TeacherError

TAU = 2.0
KD = dict(type='BinaryKDLoss', temperature=TAU)


@pytest.fixture(scope='module')
def teacher_of(tmp_path_factory):
    return families.saved_teachers(tmp_path_factory)


def build(family: str, teacher: dict = None, loss: dict = KD, **options):
    cfg = families.tiny(family)
    if teacher is not None:
        cfg.model.update(type='KnowledgeDistillationDenseDetector',
                         distill_losses=dict(loss_kd=loss), **teacher, **options)
    return families.make_opinionated(helpers.build(cfg), seed=2).train()


@pytest.fixture(autouse=True)
def first_epoch():
    """As in a Runner: TOOD asks it for the epoch."""
    MessageHub.get_current_instance().update_info('epoch', 0)


def batch(model, **options):
    """With masks for the one family that needs them; large enough for YOLOF's anchors."""
    if type(model.bbox_head).__name__ == 'YOLOFHead':
        options = dict(size=128, **options)
    masks = type(model.bbox_head).__name__.startswith('RTMDetIns')
    return (families.batch if masks else helpers.batch)(model, **options)


def kd_by_hand(student, teacher, weights, avg_factor):
    """Sum over classes of the KL between two Bernoullis, times tau squared, in float64."""
    p, q = (1 / (1 + (-z.detach().double() / TAU).exp()) for z in (teacher, student))
    kl = (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).sum(1) * TAU**2
    return ((kl * weights.double()).sum() / avg_factor).item()


PAIRS = [(family, family) for family in families.DENSE] + [
    ('atss', 'gfl'), ('gfl', 'atss'), ('fcos', 'gfl'), ('atss', 'fcos'), ('atss', 'tood'),
    ('rtmdet', 'yolox'), ('yolox', 'rtmdet_ins'), ('fcos', 'autoassign')]


@pytest.mark.parametrize('student,teacher,epoch', [(*pair, 0) for pair in PAIRS] + [
    ('tood', 'tood', 4)])  # from its epoch 4 on by its own alignment
def test_every_location_is_distilled_and_the_rest_is_plain_mmdet(
        student, teacher, epoch, teacher_of):
    MessageHub.get_current_instance().update_info('epoch', epoch)
    model = build(student, teacher_of(teacher))
    data = batch(model)
    plain = build(student)(**copy.deepcopy(data), mode='loss')
    scores, (weights, labels, avg_factor) = [], targets(model, data)
    handle = model.bbox_head.register_forward_hook(lambda m, args, out: scores.append(out))
    losses = model(**data, mode='loss')
    handle.remove()
    assert losses.keys() - plain.keys() == {
        'loss_kd', 'kd.tau_mean', 'kd.tau_min', 'kd.tau_max'}
    for name, value in plain.items():  # to the last bit
        for a, b in zip(*[v if isinstance(v, list) else [v] for v in (value, losses[name])],
                        strict=True):
            assert torch.equal(a, b), name
    assert len(scores) == 1, "the student's head runs once"
    with torch.no_grad():
        images = model.teacher.convert(data['inputs'], data['data_samples'])
        theirs = model.teacher_model.bbox_head(model.teacher_model.extract_feat(images))
        theirs = logits(model.teacher_model.bbox_head, theirs)
    assert (labels < 8).sum() > 0 and len(labels) == len(theirs)
    expected = kd_by_hand(logits(model.bbox_head, scores[0]), theirs, weights, avg_factor)
    # a sum of some hundred float32 values in another order
    assert losses['loss_kd'].item() == pytest.approx(expected, rel=2e-5) and expected > 1e-3


@pytest.mark.parametrize('family', families.DENSE)
def test_a_teacher_with_the_students_weights_gives_exactly_zero(family, tmp_path):
    weights = build(family).state_dict()
    model = build(family, families.save_teacher(tmp_path, families.tiny(family), weights=weights))
    for module in model.modules():  # those of the teacher are
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()
    assert model(**batch(model), mode='loss')['loss_kd'].item() == 0.0


@pytest.mark.parametrize('family', ['retinanet', 'yolox'])
def test_with_weight_zero_it_trains_as_plain_mmdet_to_the_last_bit(family, teacher_of):
    plain = families.trained(build(family))
    ours = families.trained(build(family, teacher_of(family), dict(KD, loss_weight=0.0)))
    assert all(value.isfinite().all() for value in plain.values())
    assert all(torch.equal(value, ours[key]) for key, value in plain.items())


def test_retinanet_ignores_what_its_assigner_ignores(teacher_of):
    model = build('retinanet', teacher_of('retinanet'))
    weights, labels, _ = targets(model, batch(model))
    assert set(weights.tolist()) == {0.0, 1.0}, 'some anchors are neither object nor background'


@pytest.mark.parametrize('foreground_weight', [0.0, 1.0])
def test_foreground_is_what_the_student_was_assigned(foreground_weight, teacher_of):
    loss = dict(KD, foreground_weight=foreground_weight)
    model = build('atss', teacher_of('atss'), loss)
    data, logits = batch(model), []
    model.distill_losses['loss_kd'].register_forward_pre_hook(
        lambda module, args: logits.append(args[:2]))
    found = model(**data, mode='loss')['loss_kd'].item()
    weights, labels, _ = targets(model, data)
    chosen = (labels < 8) == bool(foreground_weight)
    # the mean over the group, not its sum over the number of objects
    group = kd_by_hand(*logits[0], weights * chosen, (weights * chosen).sum())
    assert found == pytest.approx(group, rel=2e-5)


def test_learned_temperature_moves_and_everything_gets_gradients(teacher_of):
    loss = dict(type='BinaryKDLoss', temperature=dict(type='GlobalTemperature'))
    model = build('gfl', teacher_of('gfl'), loss)
    temperature = model.distill_losses['loss_kd'].temperature
    temperature.grl.lambda_ = 1.0
    model.parse_losses(model(**batch(model), mode='loss'))[0].backward()
    assert temperature.theta.grad != 0
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize('num_objects', [0, 3])
def test_images_without_objects(num_objects, teacher_of):
    for family in families.DENSE:
        model = build(family, teacher_of(family))
        total, _ = model.parse_losses(model(**batch(model, num_objects=num_objects),
                                            mode='loss'))
        assert total.isfinite()


@pytest.mark.parametrize('family', ['rtmdet', 'atss'])
def test_rtmdet_gets_syncbn_on_several_ranks_as_plain_mmdet_gives_it(
        family, teacher_of, monkeypatch):
    for module in ('mmdet.models.detectors.rtmdet', 'ctkd_det.models.detectors.kd_dense'):
        monkeypatch.setattr(f'{module}.get_world_size', lambda: 2)

    def kinds(model):
        return [(name, type(module)) for name, module in model.named_modules()
                if not name.startswith('distill_losses') and name]

    synced, ours = kinds(build(family)), kinds(build(family, teacher_of(family)))
    assert ours == synced and (family == 'rtmdet') == any(
        kind is torch.nn.SyncBatchNorm for _, kind in synced)
    if family == 'rtmdet':
        ours = kinds(build(family, teacher_of(family), use_syncbn=False))
        assert not any(kind is torch.nn.SyncBatchNorm for _, kind in ours)
    else:
        with pytest.raises(TypeError, match="use_syncbn=True is an argument of RTMDet.*sync_bn="):
            build(family, teacher_of(family), use_syncbn=True)


def test_softmax_losses_are_refused(teacher_of):
    advice = 'any temperature but DTKDTemperature; InstanceTemperature needs use_sigmoid=True'
    with pytest.raises(ValueError, match=f'KDLoss is not for heads with use_sigm.*{advice}'):
        build('retinanet', teacher_of('retinanet'), dict(type='KDLoss', temperature=1.0))
    # which works
    instance = dict(type='InstanceTemperature', num_classes=8, use_sigmoid=True)
    build('retinanet', teacher_of('retinanet'), dict(KD, temperature=instance))


@pytest.mark.parametrize('by', ['foreground', 'class'])
def test_groups_of_other_classes_are_refused(by, teacher_of):
    """With one class less, the logits are as many as these classes and the background."""
    groups = dict(type='GroupTemperature', by=by, num_classes=7)
    with pytest.raises(ValueError, match='num_classes=7, but the student has 8 classes'):
        build('retinanet', teacher_of('retinanet'), dict(KD, temperature=groups))


@pytest.mark.parametrize('student,teacher,reason', [
    ('retinanet', 'atss', r'num_base_priors \[1, 1, 1, 1, 1\] in place of \[9, 9, 9, 9, 9\]'),
    ('fcos', 'retinanet', 'num_base_priors')])
def test_other_anchors_are_refused(student, teacher, reason, teacher_of):
    with pytest.raises(TeacherError, match=f'other anchors or points than the student.*{reason}'):
        build(student, teacher_of(teacher))


def test_anchors_of_another_size_are_different():
    a, b = (helpers.build(families.tiny('atss')).bbox_head for _ in range(2))
    assert different_priors(a, b) == ''
    b.prior_generator.base_anchors[3] *= 2
    assert different_priors(a, b).startswith('anchors ')
    b.prior_generator.strides[0] = (4, 4)
    assert different_priors(a, b).startswith('strides ')


def shifted(family: str):
    """As the configs of ATSS with DyHead and a Caffe or Swin backbone have it."""
    cfg = families.tiny(family)
    cfg.model.bbox_head.anchor_generator.center_offset = 0.5
    return cfg


def test_shifted_anchors_stand_for_their_location(tmp_path, caplog):
    """As the points of FCOS do. What is measured from the anchor's middle needs the same one."""
    with pytest.raises(TeacherError, match='same size but shifted .center_offset'):
        build('retinanet', families.save_teacher(tmp_path, shifted('retinanet')))
    teacher = families.save_teacher(tmp_path, shifted('gfl'))
    MMLogger.get_instance('shifted').addHandler(caplog.handler)
    with caplog.at_level(logging.INFO):
        model = build('gfl', teacher)
    assert 'is 0.5 strides from the edge' in caplog.text
    model.bbox_head.load_state_dict(model.teacher_model.bbox_head.state_dict())
    # the same maps make the same boxes half a stride further; logits do not know it
    maps = [torch.randn(1, 16, 8 // 2**i or 1, 8 // 2**i or 1) for i in range(5)]
    own, theirs = (head.eval()(maps) for head in (model.bbox_head, model.teacher_model.bbox_head))
    everywhere = torch.ones(sum(x[0, 0].numel() for x in own[0]), dtype=torch.bool)
    apart = location_boxes(model.teacher_model.bbox_head, theirs, everywhere) - location_boxes(
        model.bbox_head, own, everywhere)
    strides = torch.cat([torch.full((x[0, 0].numel(), 4), 8. * 2**i)
                         for i, x in enumerate(own[0])])
    torch.testing.assert_close(apart, strides / 2, rtol=1e-3, atol=1e-3)
    with pytest.raises(TeacherError, match='other anchors .*boxes cannot be compared'):
        build('gfl', teacher, dict(type='LDLoss', temperature=2.0))
    build('gfl', teacher, dict(type='BoxKDLoss', mode='iou'))


def test_what_a_pair_does_not_have_in_common_is_in_the_log(teacher_of, caplog):
    """FCOS has points in the middle of a cell, ATSS and GFL anchors around its corner.

    FCOS and ATSS have a centerness beside their logits, GFL the quality in them.
    """
    logger = MMLogger.get_instance('locations')
    logger.addHandler(caplog.handler)
    with caplog.at_level(logging.INFO):
        for student, teacher in (('gfl', 'fcos'), ('fcos', 'atss'), ('gfl', 'atss'),
                                 ('retinanet', 'retinanet')):
            build(student, teacher_of(teacher))
    said = [re.findall(r'is (\S+) strides .* (\S+)\. So', r.getMessage())[0]
            for r in caplog.records if 'are 0.5 strides apart' in r.getMessage()]
    assert said == [('0.5', '0.0'), ('0.0', '0.5')]
    said = [re.findall(r'[A-Z]+Head', r.getMessage()) for r in caplog.records
            if 'how well a box fits' in r.getMessage()]
    assert said == [['GFLHead', 'FCOSHead'], ['GFLHead', 'ATSSHead']]


@pytest.mark.parametrize('family, apart', dict(
    fcos=True, atss=True, paa=True, ddod=True, gfl=False, vfnet=False, tood=False, rtmdet=False,
    yolox=False, autoassign=False, retinanet=False).items())
def test_which_heads_have_a_quality_beside_their_logits(family, apart):
    assert has_quality_branch(helpers.build(families.tiny(family)).bbox_head) == apart


def test_levels_of_another_size_are_named(teacher_of):
    model = build('fcos', teacher_of('fcos'))
    data = batch(model)
    shapes = [torch.Size((2, 8, 8 - i, 8)) for i in range(5)]
    with pytest.raises(TeacherError, match=r"\[\(8, 8\).*the student's \[\(8, 8\), \(7, 8\)"):
        model.teacher.dense_outputs(data['inputs'], data['data_samples'], shapes)


@pytest.mark.parametrize('name,head', [
    ('ssd/ssd300_coco.py', 'SSDHead'), ('ld/ld_r18-gflv1-r101_fpn_1x_coco.py', 'LDHead'),
    ('free_anchor/freeanchor_r50_fpn_1x_coco.py', 'FreeAnchorRetinaHead'),
    ('foveabox/fovea_r50_fpn_4xb4-1x_coco.py', 'FoveaHead')])
def test_other_heads_are_named(name, head):
    from mmengine.hub import get_config
    init_default_scope('mmdet')
    cfg = get_config(f'mmdet::{name}').model
    detector = torch.nn.Module()
    detector.bbox_head = MODELS.build(dict(
        cfg.bbox_head, train_cfg=cfg.train_cfg, test_cfg=cfg.test_cfg))
    with pytest.raises(TypeError, match=f'{head} cannot be distilled'):
        dense_head(detector)


def test_two_stage_and_single_stage_do_not_mix(teacher_of, teacher):
    with pytest.raises(TeacherError, match='is a single-stage detector, teacher .* a two-stage'):
        build('retinanet', teacher)
    cfg = helpers.distill(helpers.student_config(), teacher_of('retinanet'))
    with pytest.raises(TeacherError, match='is a two-stage detector, teacher .* a single-stage'):
        helpers.build(cfg)


def test_classes_by_name_and_inheritance(tmp_path):
    cfg = families.tiny('gfl')
    cfg.model.bbox_head.num_classes = 80
    cfg.train_dataloader = dict(dataset=dict(type='CocoDataset'))
    made = families.save_teacher(tmp_path, cfg, classes=())
    config = Config(dict(model=families.tiny('gfl').model))
    config.model.update(
        type='KnowledgeDistillationDenseDetector', distill_losses=dict(loss_kd=KD),
        class_mapping='by_name', inherit=['neck', 'bbox_head'], **made)
    config.model.bbox_head.num_classes = 2
    model = helpers.build(config).train()
    assert torch.equal(model.bbox_head.gfl_reg.weight, model.teacher_model.bbox_head.gfl_reg.weight)
    model.teacher.check_classes(('zebra', 'person'))
    data, seen = batch(model), []
    for sample in data['data_samples']:
        sample.gt_instances.labels %= 2
    model.distill_losses['loss_kd'].register_forward_pre_hook(
        lambda module, args: seen.append(args[1]))
    with torch.no_grad():
        theirs = model.teacher_model.bbox_head(
            model.teacher_model.extract_feat(data['inputs']))[0]
    assert model(**data, mode='loss')['loss_kd'] > 0
    assert torch.equal(seen[0], flat(theirs, 80)[:, [22, 0]])

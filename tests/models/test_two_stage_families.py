"""Every family of two-stage detectors, as student and as teacher."""
from unittest.mock import patch

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.hub import get_config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

import families
import helpers
from ctkd_det.models.heads import roi_stages
from ctkd_det.models.teachers import TeacherError

TAU = 2.0
KD = dict(type='KDLoss', temperature=TAU)


@pytest.fixture(scope='module')
def teacher_of(tmp_path_factory):
    return families.saved_teachers(tmp_path_factory)


def build(family: str, teacher: dict = None, losses: dict = None, **options):
    """A student with BatchNorm as at test time, so that equal weights give equal logits."""
    cfg = families.tiny(family)
    if teacher is not None:
        helpers.distill(cfg, dict(teacher, **options), losses or dict(loss_kd=KD))
    model = families.make_opinionated(helpers.build(cfg), seed=2).train()
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()
    return model


def step(model):
    """Losses of a seeded step, and the RoIs and logits of each of the student's stages."""
    stages = []
    forward = model.roi_head._bbox_forward

    def spy(*args):
        result = forward(*args)
        if torch.is_grad_enabled():  # PISA's sampler classifies, too
            stages.append((args[-1], result['cls_score']))
        return result

    data = families.batch(model)
    torch.manual_seed(5)
    with patch.object(model.roi_head, '_bbox_forward', spy):
        losses = model(**data, mode='loss')
    return losses, stages, data


def logits_by_hand(teacher, data, rois, stage: int):
    """Pool and classify without the RoI head's own code."""
    with torch.no_grad():
        feats = teacher.extract_feat(data['inputs'])
        extractor, bbox_head = roi_stages(teacher.roi_head)[stage]
        arguments = [extractor(feats[:extractor.num_inputs], rois)]
        if hasattr(teacher.roi_head, 'reg_roi_scale_factor'):  # two branches, two inputs
            arguments *= 2
        return bbox_head(*arguments)[0]


def kd_by_hand(student, teacher, weights, avg_factor):
    """Sum over classes of p_t (log p_t - log p_s), times tau squared, in float64."""
    p_t, p_s = ((z.detach().double() / TAU).exp() for z in (teacher, student))
    p_t, p_s = p_t / p_t.sum(1, keepdim=True), p_s / p_s.sum(1, keepdim=True)
    kl = (p_t * (p_t / p_s).log()).sum(1) * TAU**2
    return ((kl * weights.double()).sum() / avg_factor).item()


def key(stage: int, num_stages: int) -> str:
    return f's{stage}.loss_kd' if num_stages > 1 else 'loss_kd'


@pytest.mark.parametrize('family', families.TWO_STAGE)
def test_each_stage_is_distilled_and_the_rest_is_plain_mmdet(family, teacher_of):
    plain, _, _ = step(build(family))
    model = build(family, teacher_of(family))
    losses, stages, data = step(model)
    for name, value in plain.items():  # to the last bit
        for a, b in zip(*[v if isinstance(v, list) else [v] for v in (value, losses[name])],
                        strict=True):
            assert torch.equal(a, b), name
    assert len(stages) == (3 if 'cascade' in family else 1)
    assert losses.keys() - plain.keys() - {'kd.tau_mean', 'kd.tau_min', 'kd.tau_max'} == {
        key(i, len(stages)) for i in range(len(stages))}
    for i, (rois, cls_score) in enumerate(stages):
        if family == 'pisa':  # whose RoIs have weights: its own test is below
            continue
        expected = kd_by_hand(cls_score, logits_by_hand(model.teacher_model, data, rois, i),
                              torch.ones(len(rois)), len(rois)) * (1, 0.5, 0.25)[i]
        # a mean of float32 values of order 1 to 10, in another order of summation
        assert losses[key(i, len(stages))].item() == pytest.approx(expected, rel=2e-5)
        assert expected > 1e-3


@pytest.mark.parametrize('family', families.TWO_STAGE)
def test_a_teacher_with_the_students_weights_gives_exactly_zero(family, tmp_path):
    weights = build(family).state_dict()
    model = build(family, families.save_teacher(tmp_path, families.tiny(family), weights=weights))
    losses, stages, _ = step(model)
    assert [losses[key(i, len(stages))].item() for i in range(len(stages))] == [0.0] * len(stages)


def test_pisa_weights_each_roi_as_its_own_loss_does(teacher_of):
    model = build('pisa', teacher_of('pisa'))
    head, seen = model.roi_head.bbox_head, []
    loss = head.loss

    def spy(*args, **kwargs):
        if kwargs.get('reduction_override') is None:
            seen.append(args)
        return loss(*args, **kwargs)

    with patch.object(head, 'loss', spy):
        losses, stages, data = step(model)
    [(cls_score, _, rois, labels, weights, *_)] = seen
    assert torch.equal(rois, stages[0][0])
    foreground = weights[labels < head.num_classes]
    assert foreground.std() > 0.01, 'ISR-P must have reweighted the positives'
    expected = kd_by_hand(cls_score, logits_by_hand(model.teacher_model, data, rois, 0), weights,
                          (weights > 0).sum())
    assert losses['loss_kd'].item() == pytest.approx(expected, rel=2e-5)


PAIRS = [  # student, teacher, teacher_stage, which of the teacher's stages each stage gets
    ('cascade', 'faster', None, [[0]] * 3), ('cascade_mask', 'cascade', None, [[0], [1], [2]]),
    ('cascade', 'cascade', 2, [[2]] * 3), ('cascade', 'cascade', 'mean', [[0, 1, 2]] * 3),
    ('faster', 'cascade', None, [[0]]), ('faster', 'cascade', 1, [[1]]),
    ('mask', 'cascade_mask', 'mean', [[0, 1, 2]]), ('double_head', 'groie', None, [[0]]),
    ('grid', 'double_head', None, [[0]]), ('dynamic', 'pisa', None, [[0]]),
    ('libra', 'grid', 0, [[0]]), ('groie', 'libra', 'mean', [[0]])]


@pytest.mark.parametrize('student,teacher,teacher_stage,asked', PAIRS)
def test_any_teaches_any(student, teacher, teacher_stage, asked, teacher_of):
    model = build(student, teacher_of(teacher), teacher_stage=teacher_stage)
    losses, stages, data = step(model)
    assert len(stages) == len(asked)
    for i, (rois, cls_score) in enumerate(stages):
        logits = torch.stack([logits_by_hand(model.teacher_model, data, rois, j)
                              for j in asked[i]]).double().mean(0)
        expected = kd_by_hand(cls_score, logits, torch.ones(len(rois)), len(rois))
        found = losses[key(i, len(stages))].item() / (1, 0.5, 0.25)[i]
        assert found == pytest.approx(expected, rel=2e-5)


def test_the_stages_of_a_cascade_share_one_temperature(teacher_of):
    model = build('cascade', teacher_of('faster'), dict(loss_ctkd=helpers.GLOBAL))
    temperature = model.distill_losses['loss_ctkd'].temperature
    temperature.grl.lambda_ = 1.0
    losses, _, _ = step(model)
    assert losses['ctkd.tau_mean'].item() == pytest.approx(1.0, abs=1e-4)
    grads = [torch.autograd.grad(losses[f's{i}.loss_ctkd'], temperature.theta,
                                 retain_graph=True)[0] for i in range(3)]
    total, _ = model.parse_losses(losses)
    total.backward()
    torch.testing.assert_close(temperature.theta.grad, sum(grads))
    assert all(g != 0 for g in grads)


def test_tau_of_all_stages_is_logged_once(teacher_of):
    loss = dict(type='KDLoss', temperature=dict(type='InstanceTemperature', num_classes=8))
    model = build('cascade', teacher_of('cascade'), dict(loss_kd=loss))
    torch.nn.init.normal_(model.distill_losses['loss_kd'].temperature.out.weight)
    taus = []
    model.distill_losses['loss_kd'].temperature.register_forward_hook(
        lambda module, args, tau: taus.append(tau.detach()))
    losses, _, _ = step(model)
    assert len(taus) == 3
    expected = dict(tau_mean=sum(t.mean() for t in taus) / 3, tau_min=min(t.min() for t in taus),
                    tau_max=max(t.max() for t in taus))
    for name, value in expected.items():
        torch.testing.assert_close(losses[f'kd.{name}'], value)


def test_an_inactive_loss_is_zero_in_every_stage_and_asks_nobody(teacher_of):
    model = build('cascade', teacher_of('faster'), dict(loss_kd=dict(KD, loss_weight=0.0)))
    with patch.object(model.teacher, 'roi_logits', side_effect=AssertionError):
        losses, _, _ = step(model)
    assert [losses[f's{i}.loss_kd'].item() for i in range(3)] == [0, 0, 0]


def test_a_cascade_without_any_roi_keeps_its_parameters_in_the_graph(teacher_of):
    model = build('cascade', teacher_of('cascade'), dict(loss_ctkd=helpers.GLOBAL))
    with families.no_proposals(model):
        losses = model(**families.batch(model, num_objects=0), mode='loss')
    assert [losses[f's{i}.loss_ctkd'].item() for i in range(3)] == [0, 0, 0]
    model.parse_losses(losses)[0].backward()
    assert model.distill_losses['loss_ctkd'].temperature.theta.grad.item() == 0


def test_with_weight_zero_it_trains_as_plain_mmdet_to_the_last_bit(teacher_of):
    plain = families.trained(build('cascade_mask'))
    off = dict(loss_kd=dict(KD, loss_weight=0.0))
    ours = families.trained(build('cascade_mask', teacher_of('faster'), off))
    assert all(value.isfinite().all() for value in plain.values())
    assert all(torch.equal(value, ours[key]) for key, value in plain.items())


@pytest.mark.parametrize('stage', [3, -1, 'last'])
def test_a_stage_that_the_teacher_does_not_have(stage, teacher_of):
    with pytest.raises(ValueError, match=f"teacher_stage={stage!r}: .* 0 to 2, or 'mean'"):
        build('faster', teacher_of('cascade'), teacher_stage=stage)


def test_cascades_of_different_length_need_a_word(teacher_of):
    cfg = helpers.distill(families.tiny('cascade'), teacher_of('cascade'), dict(loss_kd=KD))
    roi_head, train_cfg = cfg.model.roi_head, cfg.model.train_cfg
    roi_head.update(num_stages=2, stage_loss_weights=[1, 0.5], bbox_head=roi_head.bbox_head[:2])
    train_cfg.rcnn = train_cfg.rcnn[:2]
    with pytest.raises(TeacherError, match='cascade of 3 stages, the student of 2.*teacher_stage'):
        MODELS.build(cfg.model)
    cfg.model.teacher_stage = 'mean'
    assert MODELS.build(cfg.model).teacher.stages == [[0, 1, 2]] * 2


@pytest.mark.parametrize('name,head,reason', [
    ('htc/htc_r50_fpn_1x_coco.py', 'HybridTaskCascadeRoIHead', 'semantic_feat'),
    ('scnet/scnet_r50_fpn_1x_coco.py', 'SCNetRoIHead', 'glbctx_feat'),
    ('sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py', 'SparseRoIHead', 'object_feats'),
    ('crowddet/crowddet-rcnn_r50_fpn_8xb2-30e_crowdhuman.py', 'MultiInstanceRoIHead', 'one row')])
def test_other_heads_are_named(name, head, reason):
    init_default_scope('mmdet')
    cfg = get_config(f'mmdet::{name}').model
    rcnn = cfg.train_cfg.rcnn
    roi_head = MODELS.build(dict(cfg.roi_head, train_cfg=rcnn, test_cfg=cfg.test_cfg.rcnn))
    with pytest.raises(TypeError, match=f'{head} cannot be distilled.*{reason}'):
        roi_stages(roi_head)


def test_seesaw_classifiers_are_named():
    cfg = families.tiny('faster')
    cfg.model.roi_head.bbox_head.loss_cls = dict(type='SeesawLoss', num_classes=8)
    with pytest.raises(TypeError, match='logits of SeesawLoss'):
        roi_stages(helpers.build(cfg).roi_head)


def test_fast_rcnn_learns_on_the_proposals_of_its_data(teacher_of):
    cfg = helpers.distill(families.tiny('faster'), teacher_of('faster'), dict(loss_kd=KD))
    for part, key in ((cfg.model, 'rpn_head'), (cfg.model.train_cfg, 'rpn'),
                      (cfg.model.train_cfg, 'rpn_proposal'), (cfg.model.test_cfg, 'rpn')):
        del part[key]
    model = families.make_opinionated(helpers.build(cfg), seed=2).train()
    data, seen = helpers.batch(model), []
    proposals = torch.tensor([[2., 2, 30, 30], [10, 10, 50, 40], [5, 20, 25, 60]])
    for sample in data['data_samples']:
        sample.proposals = InstanceData(bboxes=proposals, scores=torch.ones(3))
    model.distill_losses['loss_kd'].register_forward_pre_hook(lambda _, args: seen.extend(args))
    model(**data, mode='loss')['loss_kd'].backward()
    # the sampler adds the objects
    objects = sum(len(sample.gt_instances) for sample in data['data_samples'])
    assert [len(x) for x in seen[:2]] == [2 * 3 + objects] * 2
    assert model.backbone.conv1.weight.grad.abs().sum() > 0

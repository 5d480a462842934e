"""FRSKD: what the self-teacher learns, what it teaches, and where gradients go."""
import copy

import pytest
import torch
from mmdet.registry import MODELS
from torch import nn

from ctkd_det.models.distilled_config import is_beside_student, plain_model
from ctkd_det.models.teachers.bifpn import BiFPN
from families import tiny
from helpers import GLOBAL, batch, build, distill, student_config

REFINED = dict(teacher_config='refined')
# from the first step on, unlike by default
LOSSES = dict(loss_kd=dict(type='KDLoss', temperature=4.0, window=dict()),
              loss_at=dict(type='ATLoss', loss_weight=50.0, window=dict()))


def detector(losses=LOSSES, **options):
    return build(distill(student_config(), {**REFINED, **options}, copy.deepcopy(losses)))


def step(model):
    torch.manual_seed(3)
    data = batch(model)
    return model.loss(data['inputs'], data['data_samples'])


def with_gradient(model, losses, names):
    model.zero_grad()
    sum(losses[name] if torch.is_tensor(losses[name]) else sum(losses[name])
        for name in names).backward(retain_graph=True)
    moved = [name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()]
    return {'.'.join(name.split('.')[:2 if 'head' in name or 'teacher' in name else 1])
            for name in moved}


def test_where_gradients_flow():
    model = detector()
    losses = step(model)
    student = {'backbone', 'neck'}
    own = [key for key in losses if key.startswith('self_teacher.')]
    assert sorted(own) == ['self_teacher.loss_bbox', 'self_teacher.loss_cls']
    assert with_gradient(model, losses, own) == {*student, 'self_teacher.neck',
                                                 'self_teacher.roi_head'}
    assert with_gradient(model, losses, ['loss_at']) == student
    assert with_gradient(model, losses, ['loss_kd']) == {*student, 'roi_head.bbox_head'}


def test_its_losses_are_mmdets():
    """With the student's own maps and head, they are the student's."""
    model = detector(teacher_loss_weight=0.5)
    model.self_teacher.neck = nn.Identity()
    model.self_teacher.roi_head.load_state_dict(model.roi_head.state_dict())
    losses = step(model)
    for name in ('loss_cls', 'loss_bbox'):
        assert losses[name] > 0
        assert torch.equal(losses[f'self_teacher.{name}'], 0.5 * losses[name])
    assert losses['loss_kd'].abs() < 1e-6 and losses['loss_at'].abs() < 1e-6


def test_a_fused_map_by_hand():
    fpn = BiFPN([2, 2])
    for fusion in (*fpn.down, *fpn.up):
        fusion.conv = nn.Identity()
    fpn.down[0].weights.data = torch.tensor([3., 1.])
    fpn.up[0].weights.data = torch.tensor([1., -2.])  # cut at 0
    fine, coarse = torch.full((1, 2, 3, 5), 2.), torch.full((1, 2, 2, 3), 4.)
    found = fpn([fine, coarse])
    weights = torch.tensor([3., 1., 1.]) / torch.tensor([4.0001, 4.0001, 1.0001])
    torch.testing.assert_close(
        found[0], nn.functional.silu((weights[0] * 2 + weights[1] * 4).expand(1, 2, 3, 5)))
    torch.testing.assert_close(
        found[1], nn.functional.silu((weights[2] * 4).expand(1, 2, 2, 3)))


@pytest.mark.parametrize('widths', [[8], [8, 16]])
def test_necks_that_have_nothing_to_refine(widths):
    with pytest.raises(ValueError, match='several maps of one width for the RoIs, got'):
        BiFPN(widths)


def test_the_student_is_the_plain_one():
    """Its weights, its losses, and what it detects once the rest is dropped."""
    cfg = distill(student_config(), REFINED, LOSSES)
    model, plain = build(cfg), build(student_config())
    own = {k: v for k, v in model.state_dict().items() if not is_beside_student(k)}
    assert own.keys() == plain.state_dict().keys()
    assert all(torch.equal(value, plain.state_dict()[key]) for key, value in own.items())
    ours, theirs = step(model), step(plain)
    assert all(torch.equal(torch.as_tensor(ours[k]), torch.as_tensor(theirs[k])) for k in theirs
               if torch.is_tensor(theirs[k]))
    exported = MODELS.build(plain_model(cfg.model)).eval()
    exported.load_state_dict({k: v for k, v in model.state_dict().items()
                              if not is_beside_student(k)})
    data = batch(model.eval(), training=False)
    ours, theirs = (detector.predict(data['inputs'], copy.deepcopy(data['data_samples']))
                    for detector in (model, exported))
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a.pred_instances.bboxes, b.pred_instances.bboxes)
        assert torch.equal(a.pred_instances.scores, b.pred_instances.scores)
    for sample in model.teacher.predict(data['inputs'], data['data_samples']):
        assert len(sample.pred_instances.bboxes) == len(sample.pred_instances.scores)


def test_weight_0_trains_nothing():
    model, plain = detector(teacher_loss_weight=0.0), build(student_config())
    ours, theirs = step(model), step(plain)
    assert ours.keys() - theirs.keys() == {'loss_kd', 'loss_at'}
    assert not ours['loss_kd'] and not ours['loss_at']
    assert not any(p.requires_grad for p in model.self_teacher.parameters())


def test_it_learns_before_it_teaches():
    """By default, so that random weights pull on nobody."""
    losses = {name: {key: value for key, value in loss.items() if key != 'window'}
              for name, loss in LOSSES.items()}
    model = detector(dict(losses, loss_ctkd=dict(GLOBAL, window=dict(begin=2))))
    found = step(model)
    assert not found['loss_kd'] and not found['loss_at']
    assert found['self_teacher.loss_cls'] > 0
    windows = {name: loss.window for name, loss in model.distill_losses.items()}
    assert windows['loss_ctkd'].begin == 2
    for name in losses:
        factors = []
        for iteration in range(300):
            windows[name].move_to(iteration, 0, max_iters=300, max_epochs=1)
            factors.append(windows[name].factor)
        assert not any(factors[:201]) and factors[201] == 0.01 and factors[299] == 0.99


def test_any_temperature_and_features_of_each_source():
    """CTKD, neck and RoI features, on the three stages of a cascade."""
    losses = dict(loss_ctkd=GLOBAL, loss_pkd=dict(type='PKDLoss'), loss_srrl=dict(type='SRRLLoss'),
                  loss_sp=dict(type='SPLoss', loss_weight=100.0))
    losses = {name: dict(loss, window=dict()) for name, loss in losses.items()}
    cfg = tiny('cascade')
    model = build(distill(cfg, REFINED, losses))
    found = step(model)
    assert {'s2.self_teacher.loss_bbox', 's0.loss_ctkd', 'loss_pkd', 's1.loss_srrl'} <= set(found)
    assert all(torch.isfinite(value) and value > 0 for key, value in found.items()
               if 'loss_' in key and 'self_teacher' not in key and torch.is_tensor(value)
               and key.split('.')[-1] in losses)


def test_the_one_stage_of_a_cascade_is_named():
    """A cascade's head takes the stage even if there is only one."""
    cfg = tiny('cascade')
    roi_head = cfg.model.roi_head
    roi_head.update(num_stages=1, stage_loss_weights=[1], bbox_head=roi_head.bbox_head[:1])
    cfg.model.train_cfg.rcnn = cfg.model.train_cfg.rcnn[:1]
    model = build(distill(cfg, REFINED, copy.deepcopy(LOSSES)))
    assert {'self_teacher.loss_cls', 'loss_kd', 'loss_at'} <= set(step(model))


def test_of_maps_that_no_roi_reads_nothing_is_refined():
    """Of P6 of an FPN: nothing could train it, and DDP would wait for its gradients."""
    model = build(distill(tiny('faster'), REFINED, copy.deepcopy(LOSSES)))
    assert len(model.neck(model.backbone(torch.zeros(1, 3, 64, 64)))) == 5
    assert model.distill_losses['loss_at'].levels == (0, 1, 2, 3)
    total, _ = model.parse_losses(step(model))
    total.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    losses = dict(loss_at=dict(type='ATLoss', levels=[3, 4]))
    with pytest.raises(ValueError, match=r'loss_at: levels=\(3, 4\), .* in common \[0, 1, 2, 3\]'):
        build(distill(tiny('faster'), REFINED, losses))


def test_what_it_does_not_go_with():
    for options, message in ((dict(teacher_ckpt='x.pth'), 'so teacher_ckpt='),
                             (dict(teacher_scale=2.0), 'so teacher_scale=2.0 says nothing'),
                             (dict(teacher_loss_weight=-1.0), 'teacher_loss_weight must be'),
                             (dict(teacher_config='snapshot', teacher_loss_weight=2.0),
                              'teacher_loss_weight is the weight')):
        with pytest.raises(ValueError, match=message):
            detector(**options)
    retinanet = distill(tiny('retinanet'), REFINED, dict(loss_pkd=dict(type='PKDLoss')))
    retinanet.model.type = 'KnowledgeDistillationDenseDetector'
    with pytest.raises(ValueError, match='a single-stage student has no RoIs'):
        build(retinanet)

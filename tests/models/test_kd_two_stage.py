"""The detector: what it adds to plain mmdet, and what it leaves alone."""
import copy
from contextlib import contextmanager
from unittest.mock import patch

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.logging import MessageHub
from mmengine.model import ExponentialMovingAverage

from families import no_proposals
from helpers import GLOBAL, batch, build, distill, make_teacher, student_config

SIGMOIDS = dict(bbox_head=dict(loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True)))


def distilled(teacher, **losses):
    return build(distill(student_config(), teacher, losses or None)).train()


def trained(model, steps=10):
    """Losses and final weights after some steps of SGD."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    data, history = batch(model), []
    torch.manual_seed(3)  # the sampler of RoIs draws from it
    for _ in range(steps):
        losses = model(**data, mode='loss')
        total, log = model.parse_losses(losses)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        history.append({k: v.item() for k, v in log.items()})
    return history, model.state_dict()


def test_same_seed_same_student_as_plain_mmdet(teacher):
    plain, student = build(student_config()), distilled(teacher)
    weights = student.state_dict()
    assert all(torch.equal(v, weights[k]) for k, v in plain.state_dict().items())


def test_weight_zero_is_plain_mmdet_to_the_last_bit(teacher):
    plain, plain_weights = trained(build(student_config()).train())
    ours, weights = trained(distilled(teacher, loss_ctkd=dict(GLOBAL, loss_weight=0.0)))
    for expected, found in zip(plain, ours, strict=True):
        assert found.pop('loss_ctkd') == 0
        assert found == expected
    assert all(torch.equal(v, weights[k]) for k, v in plain_weights.items())


def test_a_loss_of_weight_zero_leaves_no_gradient_that_clipping_could_see(teacher):
    """Not even a 0: one more term changes the rounding of the sum of squares."""
    model = distilled(teacher, loss_ctkd=dict(GLOBAL, loss_weight=0.0),
                      loss_vid=dict(type='VIDLoss', loss_weight=0.0))
    data = batch(model)
    losses, _ = model.parse_losses(model(data['inputs'], data['data_samples'], 'loss'))
    losses.backward()
    assert list(model.distill_losses.parameters())
    assert all(p.grad is None for p in model.distill_losses.parameters())
    # a temperature that another loss uses goes on learning
    model = distilled(teacher, loss_a=dict(GLOBAL, loss_weight=0.0),
                      loss_b=dict(type='DKDLoss', temperature='loss_a'))
    assert model.distill_losses.loss_a.temperature.theta.requires_grad


def test_distillation_changes_the_student_but_not_its_losses_in_step_one(teacher):
    plain, plain_weights = trained(build(student_config()).train(), steps=1)
    ours, weights = trained(distilled(teacher), steps=1)
    assert all(ours[0][k] == plain[0][k] for k in plain[0] if k != 'loss')
    assert ours[0]['loss'] == pytest.approx(plain[0]['loss'] + ours[0]['loss_ctkd'])
    assert any(not torch.equal(v, weights[k]) for k, v in plain_weights.items())


def test_student_head_runs_once_and_the_teacher_only_what_it_must(teacher):
    model = distilled(teacher, loss_a=GLOBAL, loss_b=dict(GLOBAL, loss_weight=2.0))
    calls = []
    counted = dict(
        student_head=model.roi_head.bbox_head, student_backbone=model.backbone,
        teacher_head=model.teacher_model.roi_head.bbox_head,
        teacher_backbone=model.teacher_model.backbone, teacher_rpn=model.teacher_model.rpn_head)
    for name, module in counted.items():
        module.register_forward_hook(lambda *_, name=name: calls.append(name))
    losses = model(**batch(model), mode='loss')
    assert sorted(calls) == ['student_backbone', 'student_head', 'teacher_backbone', 'teacher_head']
    torch.testing.assert_close(losses['loss_b'], 2 * losses['loss_a'])


def test_teacher_does_not_run_when_no_loss_is_active(teacher):
    model = distilled(teacher, loss_ctkd=dict(GLOBAL, loss_weight=0.0))
    with patch.object(model.teacher, 'roi_logits', side_effect=AssertionError):
        model(**batch(model), mode='loss')


def test_teacher_answers_for_the_students_rois(teacher):
    """Teacher = student with the same weights: the loss is 0 only on the same RoIs."""
    model = distilled(teacher)
    model.load_state_dict(model.teacher_model.state_dict(), strict=False)
    for module in model.modules():  # batch statistics would tell them apart
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    assert model(**batch(model), mode='loss')['loss_ctkd'].item() == pytest.approx(0, abs=1e-6)


def test_log_values(teacher):
    model = distilled(teacher)
    model.distill_losses['loss_ctkd'].temperature.grl.lambda_ = 0.25
    losses = model(**batch(model), mode='loss')
    found = {k: v.item() for k, v in losses.items() if k.startswith('ctkd.')}
    assert found == pytest.approx({'ctkd.tau_mean': 1.0, 'ctkd.tau_min': 1.0,
                                   'ctkd.tau_max': 1.0, 'ctkd.lambda': 0.25}, abs=1e-4)
    total, _ = model.parse_losses(losses)
    expected = sum(sum(v) if isinstance(v, list) else v
                   for k, v in losses.items() if 'loss' in k)
    torch.testing.assert_close(total, expected)


def test_batch_without_objects(teacher):
    model = distilled(teacher, loss_ctkd=dict(GLOBAL, foreground_weight=0.5))
    losses = model(**batch(model, num_objects=0), mode='loss')
    total, _ = model.parse_losses(losses)
    total.backward()
    assert losses['loss_ctkd'] > 0 and total.isfinite()


def test_without_any_roi_every_parameter_of_the_loss_has_a_gradient(teacher):
    model = distilled(teacher)
    with no_proposals(model):
        losses = model(**batch(model, num_objects=0), mode='loss')
    total, _ = model.parse_losses(losses)
    total.backward()
    assert losses['loss_ctkd'].item() == 0
    assert model.distill_losses['loss_ctkd'].temperature.theta.grad.item() == 0


def test_checkpoint_is_the_students(teacher):
    plain, student = build(student_config()), distilled(teacher)
    extra = student.state_dict().keys() - plain.state_dict().keys()
    assert extra == {'distill_losses.loss_ctkd.temperature.theta'}
    assert not plain.state_dict().keys() - student.state_dict().keys()


@pytest.mark.parametrize('name', ['ctkd', 'loss_my_loss', 'loss_a.b'])
def test_names_that_would_be_logged_or_summed_wrongly(teacher, name):
    with pytest.raises(ValueError, match=name):
        distilled(teacher, **{name: GLOBAL})


def test_a_teacher_in_training_mode_is_refused(teacher):
    cfg = distill(student_config(), teacher)
    cfg.model.eval_teacher = False
    with pytest.raises(ValueError, match='eval_teacher'):
        MODELS.build(cfg.model)


def test_bf16_autocast_trains(teacher):
    model = distilled(teacher)
    data = batch(model)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = model(**data, mode='loss')
    total, _ = model.parse_losses(losses)
    total.backward()
    assert losses['loss_ctkd'].dtype == torch.float32
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@contextmanager
def in_training(iteration, epoch=0, max_iters=100, max_epochs=10):
    """What mmengine's Runner tells everyone while it trains."""
    hub = MessageHub.get_instance(f'in_training_{iteration}_{epoch}')
    for key, value in dict(loop_stage='train', iter=iteration, epoch=epoch, max_iters=max_iters,
                           max_epochs=max_epochs).items():
        hub.update_info(key, value)
    yield
    hub.pop_info('loop_stage')


def test_outside_its_window_a_loss_costs_nothing(teacher):
    model = distilled(teacher, loss_a=dict(GLOBAL, window=dict(begin=2, end=4)),
                      loss_b=dict(GLOBAL, window=dict(begin=3)))
    runs = []
    for iteration in range(5):
        with in_training(iteration), patch.object(model.teacher, 'roi_logits',
                                                  wraps=model.teacher.roi_logits) as roi_logits:
            losses = model(**batch(model), mode='loss')
        runs.append((losses['loss_a'].item() > 0, losses['loss_b'].item() > 0,
                     roi_logits.call_count))
    assert runs == [(False, False, 0), (False, False, 0), (True, False, 1), (True, True, 1),
                    (False, True, 1)]


NEVER = [dict(begin=10**6), dict(begin=1.0), dict(begin=0, end=0.0), dict(begin=0.5, end=10),
         dict(begin=10, by_epoch=True)]


@pytest.mark.parametrize('window', NEVER, ids=str)
def test_a_window_that_the_training_does_not_reach_is_refused_before_the_first_step(
        window, teacher):
    model = distilled(teacher, loss_a=GLOBAL, loss_b=dict(GLOBAL, window=window))
    with in_training(0), pytest.raises(ValueError, match='loss_b: its window, .* never be active'):
        model(**batch(model), mode='loss')
    # a loss that is switched off has nothing to wait for
    off = distilled(teacher, loss_a=GLOBAL, loss_b=dict(GLOBAL, window=window, loss_weight=0))
    with in_training(0):
        off(**batch(off), mode='loss')


@pytest.mark.parametrize('window', [
    dict(begin=0.67, warmup=0.33), dict(begin=0.1, end=0.2), dict(end=1),
    dict(begin=9, by_epoch=True)], ids=str)
def test_a_training_that_is_resumed_or_cut_short_is_not_refused(window, teacher):
    model = distilled(teacher, loss_a=dict(GLOBAL, window=window))
    # resumed after the window, and one iteration, which half of the windows round away
    for length in (dict(iteration=99, epoch=9), dict(iteration=0, max_iters=1)):
        model._data_checked = False
        with in_training(**length):
            model(**batch(model), mode='loss')


def test_each_loss_has_its_own_temperature_unless_it_names_anothers(teacher):
    model = distilled(teacher, loss_kd=GLOBAL, loss_own=GLOBAL,
                      loss_dkd=dict(type='DKDLoss', temperature='loss_kd'))
    losses = model.distill_losses
    assert losses['loss_dkd'].temperature is losses['loss_kd'].temperature
    assert losses['loss_own'].temperature is not losses['loss_kd'].temperature
    # saved and optimised once, and still one after a copy
    assert [n for n, _ in model.named_parameters() if 'theta' in n] == [
        f'distill_losses.{name}.temperature.theta' for name in ('loss_kd', 'loss_own')]
    copied = copy.deepcopy(model).distill_losses
    assert copied['loss_dkd'].temperature is copied['loss_kd'].temperature
    losses['loss_kd'].temperature.grl.lambda_ = 1.0
    model(**batch(model), mode='loss')['loss_dkd'].backward()
    assert losses['loss_kd'].temperature.theta.grad != 0
    assert losses['loss_own'].temperature.theta.grad is None


def test_a_shared_temperature_must_exist(teacher):
    with pytest.raises(ValueError, match=r"'loss_x' must name a loss.*\['loss_kd'\]"):
        distilled(teacher, loss_kd=GLOBAL, loss_dkd=dict(type='DKDLoss', temperature='loss_x'))


@pytest.mark.parametrize('loss', [
    dict(type='KDLoss', temperature=dict(type='InstanceTemperature', num_classes=8)),
    dict(type='KDLoss', temperature=dict(type='GroupTemperature', by='class', num_classes=8)),
    dict(type='DKDLoss', temperature=dict(type='GroupTemperature', by='foreground', num_classes=8)),
    dict(type='DISTLoss', temperature=dict(type='GlobalTemperature')),
], ids=['instance', 'class', 'dkd', 'dist'])
@pytest.mark.parametrize('objects', [3, 0])
def test_every_plug_gets_gradients_with_and_without_objects(loss, objects, teacher):
    model = distilled(teacher, loss_x=dict(loss, foreground_weight=0.5))
    temperature = model.distill_losses['loss_x'].temperature
    temperature.grl.lambda_ = 1.0
    total, _ = model.parse_losses(model(**batch(model, num_objects=objects), mode='loss'))
    total.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in temperature.parameters())
    assert sum(p.grad.abs().sum() for p in temperature.parameters()) > 0


@pytest.mark.parametrize('objects', [3, 0])
def test_temperatures_without_an_adversary(objects, teacher):
    """DTKD's two, one side softened, weighted, and several at once, in one detector."""
    model = distilled(
        teacher, loss_dtkd=dict(type='KDLoss', temperature=dict(type='DTKDTemperature')),
        loss_wttm=dict(type='DKDLoss', temperature=2, soften='teacher', uncertainty_weight=True),
        loss_multi=dict(type='DISTLoss', temperature=[1, 2, 6]),
        loss_shared=dict(type='DISTLoss', temperature='loss_dtkd'))
    losses = model(**batch(model, num_objects=objects), mode='loss')
    shown = {key: value.item() for key, value in losses.items() if 'tau_' in key}
    sides = {f'{name}.tau_{side}' for name in ('dtkd', 'shared') for side in ('student', 'teacher')}
    statistics = {f'{name}.tau_{part}' for name in ('dtkd', 'wttm', 'multi', 'shared')
                  for part in ('mean', 'min', 'max')}
    assert shown.keys() == sides | statistics
    assert shown['dtkd.tau_student'] + shown['dtkd.tau_teacher'] == pytest.approx(8)
    # the student is not trained yet: nearly flat, so at the bound
    assert shown['dtkd.tau_min'] == 0.5 <= shown['dtkd.tau_student'] < 4 < shown['dtkd.tau_max']
    assert (shown['multi.tau_min'], shown['multi.tau_mean'], shown['multi.tau_max']) == (1, 3, 6)
    total, _ = model.parse_losses(losses)
    total.backward()
    gradient = model.roi_head.bbox_head.fc_cls.weight.grad
    assert gradient.isfinite().all() and all(losses[f'loss_{name}'] > 0 for name in (
        'dtkd', 'wttm', 'multi', 'shared'))


@pytest.mark.parametrize('share', [0.1, 0.9])
def test_sigmoid_heads(share, tmp_path):
    """mmdet's box heads have a logit for the background in front of sigmoids, too."""
    cfg = distill(student_config(), make_teacher(tmp_path, roi_head=SIGMOIDS), dict(
        loss_kd=dict(type='BinaryKDLoss', temperature=2.0, foreground_weight=share)))
    cfg.model.roi_head.merge(SIGMOIDS)
    model = build(cfg).train()
    received, answered = [], []
    model.roi_head.bbox_head.loss_cls.register_forward_hook(
        lambda m, args, loss: received.append(args))
    model.teacher_model.roi_head.bbox_head.register_forward_hook(
        lambda m, args, output: answered.append(output[0]))
    loss = model(**batch(model), mode='loss')['loss_kd']
    (s, labels, _), t = received[0], answered[0]
    assert s.shape == t.shape == (len(labels), 9)
    q, p = ((z[:, :8].double() / 2).sigmoid() for z in (s, t))
    each = 4 * (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).sum(1)
    assert 0 < (labels < 8).sum() < len(labels)
    expected = share * each[labels < 8].mean() + (1 - share) * each[labels == 8].mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_loss_must_not_take_a_name_of_the_students(teacher):
    model = distilled(teacher, loss_cls=GLOBAL)
    with pytest.raises(ValueError, match=r"already: \['loss_cls'\]"):
        model(**batch(model), mode='loss')


def test_loss_and_classifier_must_agree_on_sigmoids(teacher):
    with pytest.raises(ValueError, match='BinaryKDLoss is for heads with use_sigmoid=True'):
        distilled(teacher, loss_kd=dict(type='BinaryKDLoss', temperature=1.0))


@pytest.mark.parametrize('options', [
    dict(type='GroupTemperature', by='foreground', num_classes=80),
    # as many as there are logits: all RoIs would be foreground
    dict(type='GroupTemperature', by='foreground', num_classes=9),
    dict(type='InstanceTemperature', num_classes=9, use_sigmoid=True)])
def test_a_temperature_for_other_classes_is_refused(options, teacher):
    with pytest.raises(ValueError, match='loss_x: .* has num_classes=.* student has 8 classes'):
        distilled(teacher, loss_x=dict(type='KDLoss', temperature=options))


def test_a_loss_that_says_nothing_of_one_class_is_refused_before_the_training(tmp_path):
    one = dict(roi_head=dict(bbox_head=dict(num_classes=1)))
    teacher, cfg = make_teacher(tmp_path, **one), student_config()
    cfg.model.merge(one)
    with pytest.raises(ValueError, match='loss_dist: DISTLoss: beta=1.0 weights'):
        build(distill(cfg, teacher, dict(loss_dist=dict(type='DISTLoss', temperature=1.0))))


def test_moving_a_copy_leaves_the_shared_teacher_where_it_is(teacher):
    model = distilled(teacher)
    ExponentialMovingAverage(model, device=torch.device('meta'))
    assert {p.device.type for p in model.teacher_model.parameters()} == {'cpu'}
    model.double()  # the original still takes it along
    assert {p.dtype for p in model.teacher_model.parameters()} == {torch.float64}

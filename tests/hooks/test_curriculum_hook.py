"""lambda over whole runs of mmengine's loops, and after a resume."""
import math

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

from ctkd_det.hooks import CurriculumHook, TemperatureMonitorHook
from ctkd_det.hooks.temperature_guard import _Watch
from ctkd_det.models import GradientReversal, KDLoss
from ctkd_det.models.temperatures.bounds import TemperatureBounds
from helpers import log_of

# CTKD's code, epochs 1 to 10 of its cosine
OFFICIAL = [.024, .095, .206, .345, .5, .655, .794, .905, .976, 1.0]
ITERS = 3  # per epoch


class Noise(Dataset):
    metainfo = dict()

    def __len__(self):
        return 2 * ITERS

    def __getitem__(self, index):
        return dict(inputs=torch.full((4, ), float(index)))


class Toy(BaseModel):
    """A linear student, a temperature, no detector."""

    def __init__(self, temperature=None):
        super().__init__()
        torch.manual_seed(0)
        self.student = nn.Linear(4, 3)
        self.distill_losses = nn.ModuleDict(dict(loss_ctkd=KDLoss(
            temperature or dict(type='GlobalTemperature'))))

    def forward(self, inputs, mode='tensor'):
        x = torch.stack(inputs)
        s = self.student(x)
        loss = self.distill_losses['loss_ctkd'](
            s, torch.tensor([[3., 0., -3.]]).expand_as(s), torch.zeros(len(x), dtype=torch.long))
        taus = self.distill_losses['loss_ctkd'].statistics
        return dict(loss=loss, **{f'ctkd.{key}': value for key, value in taus.items()})


class Recorder(Hook):
    priority = 'VERY_LOW'

    def __init__(self):
        self.values = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        layers = [m for m in runner.model.modules() if isinstance(m, GradientReversal)]
        self.values += [layer.lambda_ for layer in layers]


def train(tmp_path, hook, epochs=12, by_epoch=True, resume=False, model=None, load_from=None,
          batch_size=2, options=None, **optim):
    recorder = Recorder()
    loop = dict(by_epoch=True, max_epochs=epochs) if by_epoch else dict(
        by_epoch=False, max_iters=epochs * ITERS)
    runner = Runner(
        model=model or Toy(), work_dir=str(tmp_path), train_cfg=loop,
        train_dataloader=dict(dataset=Noise(), batch_size=batch_size, num_workers=0,
                              sampler=dict(type='DefaultSampler', shuffle=False)),
        optim_wrapper=dict(dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9)), **optim),
        custom_hooks=[hook, recorder], resume=resume, load_from=load_from, default_scope='mmdet',
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1 if by_epoch else ITERS,
                                           by_epoch=by_epoch)),
        experiment_name=f'{tmp_path.name}_{resume}', **(options or {}))
    runner.train()
    return recorder.values, runner


def test_official_values_epoch_by_epoch(tmp_path):
    values, _ = train(tmp_path, CurriculumHook(end=10, convert_to_iter_based=False))
    assert values == pytest.approx([v for v in OFFICIAL + [1, 1] for _ in range(ITERS)], abs=5e-4)


@pytest.mark.parametrize('by_epoch', [True, False])
def test_converted_to_iterations_it_meets_the_epochs_at_their_ends(tmp_path, by_epoch):
    values, _ = train(tmp_path, CurriculumHook(end=10), by_epoch=by_epoch)
    assert values[ITERS - 1::ITERS] == pytest.approx(OFFICIAL + [1, 1], abs=5e-4)
    assert values == sorted(values) and len(set(values)) == 10 * ITERS
    assert values[0] == pytest.approx((1 - math.cos(math.pi / 30)) / 2)


def test_by_iteration(tmp_path):
    hook = CurriculumHook(begin=2, end=6, by_epoch=False, schedule='linear', lambda_max=0.8)
    values, _ = train(tmp_path, hook, epochs=3, by_epoch=False)
    assert values == pytest.approx([0, 0, .2, .4, .6, .8, .8, .8, .8])


def test_constant_and_bounds(tmp_path):
    hook = CurriculumHook(begin=1, schedule='constant', lambda_min=0.1, lambda_max=0.5)
    values, _ = train(tmp_path, hook, epochs=2)
    assert values == pytest.approx([.1] * ITERS + [.5] * ITERS)


def test_ends_with_the_training_by_default(tmp_path):
    values, _ = train(tmp_path, CurriculumHook(schedule='linear'), epochs=2)
    assert values == pytest.approx([(i + 1) / (2 * ITERS) for i in range(2 * ITERS)])


@pytest.mark.parametrize('by_epoch', [True, False])
def test_resume_continues_lambda_theta_and_momentum(tmp_path, by_epoch):
    torch.manual_seed(0)
    whole, expected = train(tmp_path / 'whole', CurriculumHook(end=4), 4, by_epoch)
    torch.manual_seed(0)
    first, _ = train(tmp_path / 'parts', CurriculumHook(end=4), 2, by_epoch)
    second, resumed = train(tmp_path / 'parts', CurriculumHook(end=4), 4, by_epoch, resume=True)
    assert first + second == whole
    weights = resumed.model.state_dict()
    for name, value in expected.model.state_dict().items():
        assert torch.equal(value, weights[name]), name
    momentum = [runner.optim_wrapper.state_dict()['state'] for runner in (expected, resumed)]
    for key in momentum[0]:
        assert torch.equal(*(m[key]['momentum_buffer'] for m in momentum))


def test_resume_with_another_curriculum_warns_of_what_changed_and_follows_it(tmp_path):
    train(tmp_path, CurriculumHook(end=4, lambda_max=0.5), 2)
    values, _ = train(tmp_path, CurriculumHook(end=6, schedule='linear', lambda_max=0.5), 4,
                      resume=True)
    assert log_of(tmp_path).count('another curriculum') == 1
    assert "now applies: end from 4 to 6, schedule from 'cosine' to 'linear'\n" in log_of(tmp_path)
    assert values == pytest.approx([0.5 * (i + 1) / (6 * ITERS)
                                    for i in range(2 * ITERS, 4 * ITERS)])


def test_a_longer_training_moves_the_end_of_a_curriculum_that_ends_with_it(tmp_path):
    train(tmp_path, CurriculumHook(), 2)
    train(tmp_path, CurriculumHook(), 3, resume=True)
    assert 'now applies: end from 2.0 to 3.0\n' in log_of(tmp_path)


@pytest.mark.parametrize('batch_size, length', [(3, 2), (1, 6), (6, 1)])
def test_a_resume_with_another_batch_size_goes_on_by_epochs_and_says_so(tmp_path, batch_size,
                                                                      length):
    """Of 4 epochs 2 are done: lambda goes on from 0.5, whatever the iterations are called."""
    train(tmp_path, CurriculumHook(), 4, batch_size=2)
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_2.pth'))
    values, runner = train(tmp_path, CurriculumHook(), 4, resume=True, batch_size=batch_size)
    expected = [(1 - math.cos(math.pi * (i + 1) / (4 * length))) / 2
                for i in range(2 * length, 4 * length)]
    assert values == pytest.approx(expected)
    assert runner.iter == 4 * length
    log = log_of(tmp_path)
    assert f'an epoch had 3 iterations, it has {length} now' in log
    assert 'another curriculum' not in log


@pytest.mark.parametrize('optimizer, expected', [
    (dict(type='AdamW', lr=1e-4), 1), (dict(type='SGD', lr=1e-4), 0),
    # 12 steps of 0.115 are 2 ln 2, with a rate of 1e-4 1200 times as much
    (dict(type='Adam', lr=0.1155), 0)])
def test_says_before_the_first_step_that_adam_moves_nothing(tmp_path, optimizer, expected):
    _, runner = train(tmp_path, CurriculumHook(), 4, optimizer=optimizer)
    log = log_of(tmp_path)
    moved = 'can hardly move: AdamW takes theta by about its learning rate, 0.0001,'
    assert log.count(moved) == expected
    if expected:
        assert 'In 12 steps tau gets from 1 to about 1.0004.' in log
        assert 'lr_mult=0.05 is made for SGD; take 1200: ' in log
        theta = runner.model.distill_losses['loss_ctkd'].temperature.theta
        assert abs(theta.item() + math.log(2)) < 12 * 1.1e-4


def test_the_multiplier_is_of_the_rate_that_was_scaled_for_the_batch(tmp_path):
    """Batches of 2 instead of 16: 12 steps of 1e-4 / 8, and 2 ln 2 / 1.5e-4 = 9242."""
    train(tmp_path, CurriculumHook(), 4, optimizer=dict(type='AdamW', lr=1e-4),
          options=dict(auto_scale_lr=dict(enable=True, base_batch_size=16)))
    assert f'take {float(f"{2 * math.log(2) / (12 * 1e-4 / 8):.2g}"):g}: ' in log_of(tmp_path)


def test_a_resume_does_not_take_its_rest_for_the_whole_training(tmp_path):
    """9 steps of 0.06 move theta by 0.54; the 3 of the resume would be too few."""
    options = dict(optimizer=dict(type='Adam', lr=0.06))
    train(tmp_path, CurriculumHook(), 3, **options)
    train(tmp_path, CurriculumHook(), 4, resume=True, **options)
    assert 'can hardly move' not in log_of(tmp_path)


@pytest.mark.parametrize('floor, expected', [
    (dict(eta_min=0.002), 1), (dict(eta_min=0.0005), 1), (dict(eta_min=0.0001), 0),
    (dict(eta_min_ratio=0.5), 0)])
def test_says_that_a_schedule_raises_the_rate_of_a_temperature(tmp_path, floor, expected):
    """theta has 0.05 * 0.01; one eta_min is for all parameters."""
    train(tmp_path, CurriculumHook(), 4, paramwise_cfg=dict(custom_keys=dict(
        temperature=dict(lr_mult=0.05))), options=dict(param_scheduler=dict(
            type='CosineAnnealingLR', T_max=4, by_epoch=True, **floor)))
    assert log_of(tmp_path).count('the learning rate of the temperature of loss_ctkd is 0.0005 and '
                                  f'cannot fall below eta_min={floor.get("eta_min")}') == expected
    ratio = floor.get('eta_min', 0) / 0.01
    assert log_of(tmp_path).count(f'Write eta_min_ratio={ratio:.2g} instead') == expected


@pytest.mark.parametrize('begin, by_epoch', [(4, True), (12, False), (13, False)])
def test_a_curriculum_that_would_never_begin_is_refused(tmp_path, begin, by_epoch):
    with pytest.raises(ValueError, match='this training has 4 epochs, ' if by_epoch else (
            f'this training has 12 iterations, so begin={begin} is never reached')):
        train(tmp_path, CurriculumHook(begin=begin, by_epoch=by_epoch), 4)


def test_with_the_multiplier_that_it_names_the_temperature_moves(tmp_path):
    _, runner = train(tmp_path, CurriculumHook(schedule='constant'), 4, optimizer=dict(
        type='AdamW', lr=1e-4, weight_decay=0.0), paramwise_cfg=dict(custom_keys=dict(
            temperature=dict(lr_mult=1e3, decay_mult=0))))
    taus = runner.message_hub.get_scalar('train/ctkd.tau_mean').data[0]
    assert abs(taus[-1] - 1) > 0.1 and 'can hardly move' not in log_of(tmp_path)


def test_one_monitor_watches_whoever_brings_it(tmp_path):
    _, runner = train(tmp_path, CurriculumHook(patience=7), 1)
    monitors = [hook for hook in runner.hooks if isinstance(hook, TemperatureMonitorHook)]
    assert [hook.patience for hook in monitors] == [7]
    runner = Runner(model=Toy(), work_dir=str(tmp_path / 'own'), default_scope='mmdet',
                    custom_hooks=[dict(type='TemperatureMonitorHook', patience=3),
                                  dict(type='CurriculumHook')])
    runner.call_hook('before_run')
    monitors = [hook for hook in runner.hooks if isinstance(hook, TemperatureMonitorHook)]
    assert [hook.patience for hook in monitors] == [3]


def test_no_warning_without_a_change_nor_for_load_from(tmp_path):
    train(tmp_path, CurriculumHook(end=4), 2)
    train(tmp_path, CurriculumHook(end=4), 3, resume=True)
    _, runner = train(tmp_path / 'other', CurriculumHook(end=9), 1,
                      load_from=str(tmp_path / 'epoch_2.pth'))
    assert runner._has_loaded
    assert 'another curriculum' not in log_of(tmp_path) + log_of(tmp_path / 'other')


def test_logs_the_gradient_that_reaches_the_optimizer(tmp_path):
    _, runner = train(tmp_path, CurriculumHook(schedule='constant'), 1,
                      optimizer=dict(type='SGD', lr=0.1), clip_grad=dict(max_norm=0.1))
    logged = runner.message_hub.get_scalar('train/ctkd.theta_grad').data[0]
    assert len(logged) == ITERS and (abs(logged) > 0).all()
    assert (abs(logged) <= 0.1).all()  # after clipping
    taus = runner.message_hub.get_scalar('train/ctkd.tau_mean').data[0]
    assert (taus[1] - taus[0]) * logged[0] < 0  # the optimizer goes against it


def test_the_logged_gradient_is_without_the_loss_scale_of_a_fused_optimizer(tmp_path):
    """Which unscales within its step, from a `grad_scale` that the scaler sets before."""
    _, runner = train(tmp_path, CurriculumHook(schedule='constant'), 1,
                      optimizer=dict(type='SGD', lr=0.1, fused=True))
    optimizer = runner.optim_wrapper.optimizer
    theta = next(p for name, p in runner.model.named_parameters() if name.endswith('theta'))
    for scale in (None, torch.tensor(1024.0)):
        theta.grad = torch.full_like(theta, 3072.0 if scale is not None else 3.0)
        optimizer.grad_scale = scale
        optimizer.step()
        logged = runner.message_hub.get_scalar('train/ctkd.theta_grad').data[0]
        assert logged[-1] == 3.0


def test_warns_of_weight_decay_and_of_nothing_to_drive(tmp_path):
    for model, decay, expected in ((Toy(), 1e-4, 'has weight decay'), (Toy(), 0, None),
                                   (Toy(temperature=2.0), 1e-4, 'nothing to drive')):
        runner_log = tmp_path / f'{expected}'
        train(runner_log, CurriculumHook(), 1, model=model,
              optimizer=dict(type='SGD', lr=0.01, weight_decay=decay))
        text = log_of(runner_log)
        for message in ('has weight decay', 'nothing to drive'):
            assert (message in text) == (message == expected)


@pytest.mark.parametrize('options', [
    dict(begin=3, end=3), dict(begin=-1), dict(schedule='cosinus'), dict(lambda_min=-0.1),
    dict(lambda_min=0.6, lambda_max=0.5)])
def test_bad_options(options):
    with pytest.raises(ValueError):
        CurriculumHook(**options)


def test_drives_a_scheduled_temperature_by_progress(tmp_path):
    model = Toy(dict(type='ScheduledTemperature', start=4.0, end=1.0))
    seen = []
    model.register_forward_pre_hook(
        lambda m, _: seen.append(m.distill_losses['loss_ctkd'].temperature(
            torch.zeros(1, 3), None, None).item()))
    train(tmp_path, CurriculumHook(begin=1, end=3), epochs=4, model=model)
    expected = [4.0] * ITERS + [4 - 3 * (i + 1) / (2 * ITERS) for i in range(2 * ITERS)] + [1.] * 3
    assert seen == pytest.approx(expected)


def test_guard_reports_a_bound_once_and_names_the_loss(tmp_path):
    # theta = 6: tau is 1.5 / (1 + e^6) = 0.004 below its upper bound, 0.25 % of the range
    train(tmp_path, CurriculumHook(patience=4), epochs=4,
          model=Toy(dict(type='GlobalTemperature', init=6.0)))
    assert log_of(tmp_path).count('loss_ctkd (ctkd.tau_mean) has been at 2, within 2 %') == 1


def test_guard_reports_rest_only_once_lambda_asks_for_movement(tmp_path):
    slow = dict(optimizer=dict(type='SGD', lr=1e-9))
    for lambda_max, expected in ((0.1, 0), (1.0, 1)):
        folder = tmp_path / str(lambda_max)
        train(folder, CurriculumHook(schedule='constant', lambda_max=lambda_max, patience=4),
              epochs=4, **slow)
        assert log_of(folder).count('has not moved by 1 % from 1 for 4') == expected


def test_guard_is_silent_when_all_is_well(tmp_path):
    _, runner = train(
        tmp_path, CurriculumHook(schedule='constant', patience=4), epochs=4,
        model=Toy(dict(type='GlobalTemperature', init=-1.0)),
        optimizer=dict(type='SGD', lr=0.5),
        paramwise_cfg=dict(custom_keys=dict(student=dict(lr_mult=0))))
    taus = runner.message_hub.get_scalar('train/ctkd.tau_mean').data[0]
    assert abs(taus[-1] / taus[0] - 1) > 0.1 and 'The temperature of' not in log_of(tmp_path)


def test_guard_names_the_one_group_that_sticks(tmp_path):
    model = Toy(dict(type='GroupTemperature', by='foreground', num_classes=2))
    model.distill_losses['loss_ctkd'].temperature.theta.data = torch.tensor([0.0, -7.0])
    train(tmp_path, CurriculumHook(patience=4), epochs=2, model=model)
    log = log_of(tmp_path)
    assert log.count('within 2 %') == 1 and '(ctkd.tau_background) has been at 0.501' in log


def test_guard_does_not_complain_of_a_temperature_that_has_moved_and_settled():
    class Settled:
        lambda_, bounds = 1.0, TemperatureBounds(1.0, 20.0)

    watch = _Watch(Settled())
    complaints = [watch.see(tau, patience=5) for tau in [4.0, 5.0, *[6.0] * 50]]
    assert complaints == [None] * 52
    resumed = _Watch(Settled(), moved=True)  # before the resume, perhaps
    assert [resumed.see(6.0, patience=5) for _ in range(20)] == [None] * 20


def test_guard_counts_nothing_before_the_curriculum_begins():
    """A start at a bound is no news there; one that stays there later is."""
    class Early:
        lambda_, bounds = 0.1, TemperatureBounds(1.0, 20.0)

    early = Early()
    watch = _Watch(early)
    assert [watch.see(1.1, patience=5) for _ in range(20)] == [None] * 20
    early.lambda_ = 0.2
    complaints = [watch.see(1.1, patience=5) for _ in range(20)]
    assert complaints[:4] == [None] * 4 and 'within 2 % of a bound' in complaints[4]


def test_a_window_in_epochs_is_refused_where_nobody_counts_them(teacher):
    from mmengine.logging import MessageHub

    from helpers import GLOBAL, batch, build, distill, student_config
    cfg = distill(student_config(), teacher,
                  dict(loss_a=dict(GLOBAL, window=dict(begin=1, by_epoch=True))))
    model = build(cfg).train()
    hub = MessageHub.get_instance('nobody_counts_epochs')
    for key, value in dict(loop_stage='train', iter=5, epoch=0, max_epochs=1).items():
        hub.update_info(key, value)
    with pytest.raises(ValueError, match='loss_a.*window in iterations'):
        model(**batch(model), mode='loss')

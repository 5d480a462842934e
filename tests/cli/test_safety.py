"""What the commands do so that no training is lost or stands still."""
import math

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook

from cli.conftest import fork, invoke
from ctkd_det.compat.reading import read_checkpoint
from ctkd_det.hooks.finite_loss_hook import NotFiniteError
from ctkd_det_cli.distill.temperature_speed import with_speed
from ctkd_det_cli.doctor.probes import check_config
from ctkd_det_cli.export.plain_config import plain_config
from ctkd_det_cli.guards import guard, safe_hooks
from helpers import CONFIGS, distill, run, student_config

SAFE, FINITE = 'ctkd_det.hooks.SafeCheckpointHook', 'ctkd_det.hooks.FiniteLossHook'


def distilled(folder, tmp_path, student):
    out = tmp_path / 'out.py'
    result = invoke('distill', student, '--teacher', folder / 'teacher' / 'teacher.py',
                    '--teacher-ckpt', folder / 'teacher' / 'teacher.pth', '--data',
                    folder / 'shapes', '--out', out, '--dry-run')
    assert result.exit_code == 0, result.output
    return Config.fromfile(out)


def test_adam_gets_a_multiplier_of_its_own(folder, tmp_path):
    """8 images in batches of 2, 5 epochs: 20 steps of 1e-3; 2 ln 2 / 0.02 = 69."""
    cfg = student_config(max_epochs=5)
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', max_keep_ckpts=7)
    expected = dict(SGD=0.05, AdamW=69.0)
    assert float(f'{2 * math.log(2) / 0.02:.2g}') == expected['AdamW']
    for kind, lr_mult in expected.items():
        cfg.optim_wrapper.optimizer = dict(type=kind, lr=1e-3, weight_decay=1e-4)
        cfg.dump(tmp_path / f'{kind}.py')
        found = distilled(folder, tmp_path / kind, tmp_path / f'{kind}.py')
        keys = found.optim_wrapper.paramwise_cfg.custom_keys
        assert keys.temperature == dict(lr_mult=lr_mult, decay_mult=0.0)
        assert found.default_hooks.checkpoint == dict(type=SAFE, max_keep_ckpts=7)
        assert found.default_hooks.finite.type == FINITE


@pytest.mark.parametrize('kind, own', [('AdamW', None), ('SGD', None), (
    'AdamW', dict(custom_keys=dict(backbone=dict(lr_mult=0.1))))])
def test_the_floor_of_a_schedule_does_not_raise_the_rate_of_a_temperature(kind, own):
    """eta_min is one number for all; where all of the student has one rate, a ratio is the same."""
    base = student_config(max_epochs=5)
    base.optim_wrapper = dict(optimizer=dict(type=kind, lr=4e-3), paramwise_cfg=own)
    base.param_scheduler = [
        dict(type='LinearLR', start_factor=1e-3, end=2),
        dict(type='CosineAnnealingLR', eta_min=2e-4, begin=2, end=5, _scope_='mmdet')]
    recipe = dict(optim_wrapper=dict(paramwise_cfg=dict(custom_keys=dict(
        temperature=dict(lr_mult=0.05)))))
    found = with_speed(recipe, base, 8).get('param_scheduler')
    if own:
        assert found is None
    else:
        assert found == [dict(type='LinearLR', start_factor=1e-3, end=2),
                         dict(type='CosineAnnealingLR', eta_min_ratio=0.05, begin=2, end=5)]


@pytest.mark.parametrize('own, expected', [
    (None, set()), (dict(type='MyCheckpointHook'), set()),
    (dict(type='CheckpointHook'), {'checkpoint'}),
    (dict(type='mmengine.hooks.CheckpointHook'), {'checkpoint'})])
def test_a_checkpoint_hook_of_the_users_own_stays(own, expected):
    assert safe_hooks(dict(default_hooks=dict(checkpoint=own))).keys() == {
        'finite', 'data', *expected}
    assert safe_hooks(dict()).keys() == {'checkpoint', 'finite', 'data'}


@pytest.mark.parametrize('own, expected', [
    (None, dict(checkpoint=dict(type=SAFE), finite=dict(type=FINITE))),
    (dict(checkpoint=dict(type='CheckpointHook', interval=2), timer=dict(type='IterTimerHook')),
     dict(checkpoint=dict(type=SAFE, interval=2), finite=dict(type=FINITE),
          timer=dict(type='IterTimerHook'))),
    (dict(checkpoint=dict(overwrite=True)),
     dict(checkpoint=dict(type=SAFE, overwrite=True), finite=dict(type=FINITE))),
    (dict(checkpoint=None, finite=None), dict(checkpoint=None, finite=None)),
    (dict(checkpoint=dict(type='MyCheckpointHook')),
     dict(checkpoint=dict(type='MyCheckpointHook'), finite=dict(type=FINITE)))])
def test_train_guards_what_the_user_has_not_decided(own, expected):
    cfg = Config(dict(default_hooks=own) if own else {})
    guard(cfg)
    assert cfg.default_hooks.to_dict() == expected


def test_train_saves_any_config_safely(folder, tmp_path):
    cfg = student_config(folder / 'shapes', max_epochs=1)
    cfg.default_hooks = dict(checkpoint=dict(type='CheckpointHook', interval=1))
    cfg.dump(tmp_path / 'plain.py')
    status, output = fork('train', tmp_path / 'plain.py', '--work-dir', tmp_path / 'work',
                          cwd=tmp_path)
    assert status == 0, output
    saved = tmp_path / 'work' / 'epoch_1.pth'
    assert saved.with_name('epoch_1.pth.sha256').is_file()
    assert len(read_checkpoint(saved)['random_states']) == 1
    status, output = fork('train', tmp_path / 'plain.py', '--work-dir', tmp_path / 'work',
                          cwd=tmp_path)
    assert status == 1 and '--resume' in output


def test_an_exported_config_needs_nothing_of_ours(tmp_path):
    cfg = Config.fromfile(CONFIGS / 'shapes' / 'ctkd.py')
    cfg.default_hooks.checkpoint.overwrite = True
    cfg.dump(tmp_path / 'ctkd.py')
    plain = plain_config(tmp_path / 'ctkd.py')
    checkpoint = dict(plain.default_hooks.checkpoint)
    checkpoint.pop('_scope_', None)
    assert checkpoint == dict(type='CheckpointHook', interval=1, max_keep_ckpts=1)
    assert not {'finite', 'data'} & plain.default_hooks.keys()
    assert 'ctkd_det' not in plain.pretty_text


def test_doctor_recommends_it(tmp_path):
    cfg = Config.fromfile(CONFIGS / 'shapes' / 'ctkd.py')
    cfg.dump(tmp_path / 'a.py')
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', interval=1)
    cfg.dump(tmp_path / 'b.py')
    # the type is MMEngine's without being written
    (tmp_path / 'c.py').write_text("model = dict(type='FasterRCNN')\n"
                                   'default_hooks = dict(checkpoint=dict(interval=1))\n')
    (tmp_path / 'd.py').write_text("model = dict(type='FasterRCNN')\n"
                                   'default_hooks = dict(checkpoint=None)\n')
    rows = [next(row for row in check_config(tmp_path / name, 1) if row.what == 'checkpoints')
            for name in ('a.py', 'b.py', 'c.py', 'd.py')]
    assert [row.state for row in rows] == ['ok', 'warn', 'warn', 'warn']
    assert all('CheckpointHook: a crash' in row.found and SAFE in row.mend for row in rows[1:3])
    assert 'none are saved' in rows[3].found and SAFE in rows[3].mend


class Spoil(Hook):

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        runner.model.neck.fpn_convs[0].conv.weight.data[0, 0, 0, 0] = math.inf


def test_replay_shows_where_it_began(folder, tmp_path):
    cfg = distill(student_config(folder / 'shapes', max_epochs=1),
                  dict(teacher_config=str(folder / 'teacher' / 'teacher.py'),
                       teacher_ckpt=str(folder / 'teacher' / 'teacher.pth')))
    with pytest.raises(NotFiniteError, match='ctkd-det replay'):
        run(cfg, tmp_path / 'work', hooks=(Spoil(), ))
    file = tmp_path / 'work' / 'not_finite_iter_1.pth'
    result = invoke('replay', file)
    assert result.exit_code == 0
    assert result.output.startswith('Iteration 1, epoch 1\n') and 'loss_ctkd: nan' in result.output
    assert "Not finite: the student's weights neck.fpn_convs.0.conv.weight (1 of" in result.output
    torch.save(dict(state_dict={}), tmp_path / 'other.pth')
    result = invoke('replay', tmp_path / 'other.pth')
    assert result.exit_code == 1 and 'not_finite_iter_N.pth' in result.output
    result = invoke('replay', file, '--config', CONFIGS / 'shapes' / 'student.py')
    assert result.exit_code == 1 and 'is not of the detector of' in result.output

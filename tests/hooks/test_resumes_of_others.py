"""Resumes from checkpoints, and into settings, other than those of the run itself."""
import copy
import logging
import re

import pytest
import torch
import toy
from hooks.test_safe_checkpoint_hook import After, Stop, assert_equal_runs, train
from mmengine.config import ConfigDict
from mmengine.logging import MessageHub

from ctkd_det.compat.reading import read_checkpoint
from ctkd_det.hooks.checkpoint_files import SavingError
from ctkd_det.hooks.own_states import restore_own_states
from ctkd_det.hooks.resumable import _lacking
from ctkd_det.models import KDLoss
from ctkd_det.work_dir import WorkDir

BEST = 'best_toy_mAP_epoch_{}.pth'


def changed(path, out, change):
    """A checkpoint with one thing changed, as a stranger or another program may write it."""
    checkpoint = read_checkpoint(path)
    change(checkpoint)
    torch.save(checkpoint, out)
    return out


def resume_by_name(runner, path):
    runner._resume, runner._load_from = True, str(path)
    return runner


def test_a_strangers_checkpoint_removes_nothing_but_checkpoints(tmp_path):
    """Names of outdated, of kept and of best checkpoints are texts, which pass as values."""
    train(tmp_path / 'theirs', epochs=2, save_best='toy/mAP')
    work_dir = tmp_path / 'mine' / 'work'
    precious = [tmp_path / 'mine' / 'photos' / 'a.png', tmp_path / 'mine' / 'notes.txt',
                work_dir / 'notes.txt']
    for path in precious:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('precious')
    (work_dir / 'epoch_..').mkdir()

    def poison(checkpoint):
        info = checkpoint['message_hub']['runtime_info']
        info.update(
            outdated_ckpts=[str(tmp_path / 'mine' / 'photos'), '../notes.txt', 'notes.txt', '..',
                            '../work', 1, None],
            keep_ckpt_ids=['../../../notes.txt', '/../../notes.txt', 1], best_score=-1.0,
            best_ckpt=str(work_dir / '..'))
        resumed = checkpoint['message_hub']['resumed_keys']
        resumed.update(dict.fromkeys(info, True))
    evil = changed(tmp_path / 'theirs' / 'epoch_2.pth', tmp_path / 'evil.pth', poison)
    runner = resume_by_name(toy.runner(work_dir, save_best='toy/mAP', max_keep_ckpts=1), evil)
    runner.train()
    assert [path.read_text() for path in precious] == ['precious'] * 3
    assert (work_dir / 'epoch_4.pth').exists() and (work_dir / BEST.format(4)).exists()


@pytest.mark.parametrize('missing', ['optimizer', 'meta', 'message_hub', 'iter'])
def test_weights_alone_are_not_resumed(tmp_path, missing):
    """The best checkpoint has no optimizer: the learning rate would begin anew in silence."""
    train(tmp_path / 'work', epochs=2, save_best='toy/mAP')
    path = tmp_path / 'work' / BEST.format(2)
    if missing != 'optimizer':
        path = changed(tmp_path / 'work' / 'epoch_2.pth', tmp_path / 'other.pth', lambda c: (
            c if missing in c else c['meta']).pop(missing))
    with pytest.raises(SavingError, match=f'no {missing}.*load_from'):
        resume_by_name(toy.runner(tmp_path / 'work'), path).train()


def test_a_checkpoint_at_the_end_of_an_epoch_is_not_of_the_epoch_before(tmp_path):
    """Counted in iterations: 5 are an epoch, it is saved after 10, and stopped after 12."""
    whole = train(tmp_path / 'whole')
    train(tmp_path / 'parts', hooks=(After(12), ), expected=Stop, saves_by_epoch=False)
    resumed = train(tmp_path / 'parts', resume=True, saves_by_epoch=False)
    assert (resumed.iter, resumed.epoch) == (20, 4)
    assert_equal_runs(resumed, whole)


def said_by_a_resume(work_dir, change=lambda runner: None, **options):
    """What its log says of settings that do not apply; the configs are changed before."""
    MessageHub._instance_dict.clear()
    runner, lines = toy.runner(work_dir, resume=True, **options), []
    change(runner)
    runner.logger.addHandler(handler := logging.Handler())
    handler.emit = lambda record: lines.append(record.getMessage())
    runner.train()
    return '\n'.join(line for line in lines if 'begin a new training' in line)


@pytest.mark.parametrize('paramwise', [None, dict(custom_keys=dict(fc=dict(lr_mult=0.5)))])
def test_settings_that_a_resume_does_not_take_are_named(tmp_path, paramwise):
    runner = toy.runner(tmp_path / 'work', epochs=2)
    runner.optim_wrapper['paramwise_cfg'] = paramwise
    runner.train()

    def other(runner):
        runner.optim_wrapper['paramwise_cfg'] = paramwise
        runner.optim_wrapper['optimizer'].update(lr=0.5, weight_decay=1e-4)
    said = said_by_a_resume(tmp_path / 'work', other, epochs=4)
    for words in ('CosineAnnealingLR: T_max = 10 instead of 20', 'end = 10 instead of 20',
                  'lr = 0.05 instead of 0.5', 'weight_decay = 0 instead of 0.0001'):
        assert words in said


LOSSES = dict(
    global_=lambda: KDLoss(dict(type='GlobalTemperature'), rotated=True),
    instance=lambda: KDLoss(dict(type='InstanceTemperature', num_classes=2), rotated=True),
    # learns nothing, so it may come and go
    fixed=lambda: KDLoss(2.0))


@pytest.mark.parametrize('paramwise', [None, dict(custom_keys=dict(fc=dict(lr_mult=0.5)))],
                         ids=['one_group', 'groups'])
@pytest.mark.parametrize('before, after, said', [
    (dict(ctkd='global_'), dict(ctkd='global_', b='global_', a='global_'), 'new: loss_a, loss_b'),
    (dict(ctkd='global_', old='global_'), dict(ctkd='global_', kd='fixed'), 'gone: loss_old'),
    (dict(ctkd='global_'), dict(ctkd='instance'), 'changed: loss_ctkd'),
    (dict(ctkd='global_'), dict(ctkd='global_', kd='fixed'), None)],
    ids=['new', 'gone', 'changed', 'same'])
def test_a_resume_with_other_losses_that_learn_names_them(tmp_path, before, after, said, paramwise):
    def runner(losses, **options):
        each = toy.runner(tmp_path, val=False, **options)
        each.optim_wrapper['paramwise_cfg'] = copy.deepcopy(paramwise)
        for name, kind in losses.items():
            each.model.distill_losses[f'loss_{name}'] = LOSSES[kind]()
        return each

    runner(before, epochs=1).train()
    MessageHub._instance_dict.clear()
    resumed = runner(after, epochs=2, resume=True)
    if said is None:
        resumed.train()
        return
    with pytest.raises(SavingError, match=rf'epoch_1.pth .* \(losses: {said}\).*load_from'):
        resumed.train()


@pytest.mark.parametrize('other', [torch.zeros(3, 5), None], ids=['shape', 'missing'])
def test_weights_of_another_model_are_not_resumed(other, tmp_path):
    """MMEngine logs them and goes on at random, if no epoch is left as if nothing had happened."""
    train(tmp_path / 'run', epochs=1, val=False)

    def change(checkpoint):
        del checkpoint['state_dict']['student.weight']
        if other is not None:
            checkpoint['state_dict']['student.weight'] = other
    path = changed(tmp_path / 'run' / 'epoch_1.pth', tmp_path / 'other.pth', change)
    runner = resume_by_name(toy.runner(tmp_path / 'new', epochs=1, val=False), path)
    with pytest.raises(SavingError, match=r"another model. 1 of this one's 2 .*student.weight"):
        runner.train()


def test_names_that_torch_lets_pass_are_of_this_model(tmp_path):
    """torch.compile's, and counts that BatchNorm's old weights do not have."""
    runner = toy.runner(tmp_path)
    runner.model.norm = torch.nn.BatchNorm1d(3)
    saved = {'module._orig_mod.' + name: value for name, value in runner.model.state_dict().items()
             if 'num_batches' not in name}
    assert _lacking(runner, dict(state_dict=saved))[0] == []
    saved['module._orig_mod.norm.weight'] = torch.ones(4)
    assert _lacking(runner, dict(state_dict=saved))[0] == ['norm.weight']


@pytest.mark.parametrize('old, new', [(2.0, 4.0), ([1.0, 2.0], [3.0, 6.0])])
def test_a_fixed_temperature_is_the_configs(old, new, tmp_path, monkeypatch):
    """It is a buffer, but no state of the training."""
    def distil_at(temperature):
        def init(self):
            original(self)
            self.distill_losses['loss_ctkd'] = KDLoss(temperature, rotated=True)
        monkeypatch.setattr(toy.Toy, '__init__', init)

    original = toy.Toy.__init__
    distil_at(old)
    train(tmp_path, epochs=1, val=False)
    distil_at(new)
    resumed = train(tmp_path, epochs=2, val=False, resume=True)
    temperature = resumed.model.distill_losses['loss_ctkd'].temperature
    assert [x.tolist() for x in temperature.buffers()] == [new if isinstance(new, list) else [new]]


def test_what_a_checkpoint_does_not_have_of_a_rank_is_named(tmp_path):
    """The draws of one loss are restored; another loss is new."""
    train(tmp_path, epochs=1)
    drawn = read_checkpoint(tmp_path / 'epoch_1.pth')['random_states'][0]['losses']
    (name, state), = drawn.items()
    lines = []
    runner = toy.runner(tmp_path, epochs=2, resume=True)
    runner.model.distill_losses['loss_new'] = KDLoss(1.0, rotated=True)
    runner.logger.handlers.append(handler := logging.Handler())
    handler.emit = lambda record: lines.append(record.getMessage())
    restore_own_states(runner, drawn)
    assert torch.equal(runner.model.state_dict()[name], state)
    assert [line for line in lines if 'begin anew' in line] == [
        '--resume: the checkpoint has no state of this process for '
        'distill_losses.loss_new.draws, whose queues and draws begin anew']


SCHEDULES = dict(
    none=[], cosine=[dict(type='CosineAnnealingLR', T_max=20, by_epoch=False)],
    momentum=[dict(type='LinearLR', end=5, by_epoch=False),
              dict(type='CosineAnnealingMomentum', T_max=20, by_epoch=False)],
    one_cycle=[dict(type='OneCycleLR', eta_max=0.1, total_steps=20, by_epoch=False)])


@pytest.mark.parametrize('name', SCHEDULES)
def test_the_same_settings_are_resumed_without_a_word(name, tmp_path):
    """Schedules move learning rate and momentum; OneCycleLR's state has a function in it."""
    def scheduled(runner):
        runner.param_schedulers = copy.deepcopy(SCHEDULES[name])
    runner = toy.runner(tmp_path / 'work', epochs=4, hooks=(After(12), ))
    scheduled(runner)
    with pytest.raises(Stop):
        runner.train()
    assert said_by_a_resume(tmp_path / 'work', scheduled) == ''
    if name == 'none':
        def faster(runner):
            scheduled(runner)
            runner.optim_wrapper['optimizer'].update(lr=0.5)
        assert 'lr = 0.05 instead of 0.5' in said_by_a_resume(tmp_path / 'work', faster)


@pytest.mark.parametrize('writer', ['ours', 'mmengines'])
def test_a_run_whose_data_have_nested_facts_is_resumed(writer, tmp_path):
    """They come from the config, and mmengine saves them as a ConfigDict."""
    facts = ConfigDict(classes=('a', ), label_map=dict(a=1))
    saves = dict(type='CheckpointHook') if writer == 'mmengines' else {}
    MessageHub._instance_dict.clear()
    runner = toy.runner(tmp_path, epochs=2, **saves)
    runner.train_dataloader.dataset.metainfo = facts
    runner.message_hub.update_info('facts', facts)
    runner.train()
    path = tmp_path / 'epoch_2.pth'
    assert (b'ConfigDict' in path.read_bytes()) == (writer == 'mmengines')
    resumed = train(tmp_path, epochs=4, resume=True)
    assert resumed.iter == 20
    found = read_checkpoint(path)
    for value in (found['meta']['dataset_meta'],
                  found['message_hub']['runtime_info']['facts']):
        assert value == dict(classes=('a', ), label_map=dict(a=1)) and type(value) is dict
        assert type(value['label_map']) is dict


def test_overwriting_leaves_no_best_checkpoint_and_no_curve_of_the_old_training(tmp_path):
    train(tmp_path / 'work', save_best='toy/mAP')
    assert WorkDir(tmp_path / 'work').best_checkpoint.name == BEST.format(4)
    train(tmp_path / 'work', epochs=2, overwrite=True)
    work = WorkDir(tmp_path / 'work')
    assert work.best_checkpoint is None
    assert {path.name for path in work.path.glob('*.pth')} == {'epoch_1.pth', 'epoch_2.pth'}
    scalars = work.scalars()
    assert scalars['loss'][0] == list(range(1, 11))
    assert scalars['toy/mAP'] == ([2], [9.0])
    # a best one that the new training saves before its first checkpoint stays
    train(tmp_path / 'work', epochs=4, overwrite=True, interval=4, save_best='toy/mAP')
    assert WorkDir(tmp_path / 'work').best_checkpoint.name == BEST.format(4)


def test_a_best_checkpoint_that_was_kept_is_not_removed_unasked(tmp_path):
    train(tmp_path / 'work', epochs=2, save_best='toy/mAP')
    for path in (tmp_path / 'work').glob('epoch_*'):
        path.unlink()
    train(tmp_path / 'work', epochs=1)
    assert (tmp_path / 'work' / BEST.format(2)).exists()


@pytest.mark.parametrize('known', [True, False])
def test_the_end_of_the_first_epoch_as_mmengine_counts_it(tmp_path, known):
    """`CheckpointHook(by_epoch=False)` saves it as iteration 5 of epoch 0."""
    train(tmp_path / 'work', epochs=1)

    def change(checkpoint):
        checkpoint['meta'].update(epoch=0, iter=5)
        if not known:
            checkpoint.pop('epoch_length', None)

    path = changed(tmp_path / 'work' / 'epoch_1.pth', tmp_path / 'other.pth', change)
    runner = resume_by_name(toy.runner(tmp_path / 'other', epochs=2), path)
    runner.train()
    assert runner.epoch == 2


@pytest.mark.parametrize('saved, said', [
    (dict(weight=(3, 5), bias=(3, )), r'1 of the 2 weights of the .*, student\.weight among them'),
    (dict(other=(3, 4)), r'2 of the 2 weights of the detector are missing there'),
    (dict(weight=(3, 4), bias=(3, ), extra=(7, )), '')], ids=['shape', 'other', 'all'])
@pytest.mark.parametrize('bare', [True, False])
def test_weights_to_begin_with(saved, said, bare, tmp_path):
    """MMEngine begins with random ones where they are of another model."""
    weights = {f'student.{name}': torch.zeros(shape) for name, shape in saved.items()}
    torch.save(weights if bare else dict(state_dict=weights), tmp_path / 'begin.pth')
    runner = toy.runner(tmp_path / 'work', epochs=1, val=False)
    runner._load_from = str(tmp_path / 'begin.pth')
    runner.logger.addHandler(handler := logging.Handler())
    heard = []
    handler.emit = lambda record: heard.append(record.getMessage())
    runner.train()
    found = [line for line in heard if line.startswith('load_from')]
    assert len(found) == bool(said) and re.search(said, ''.join(found)), heard

"""What a crash leaves, what a resume takes, and that it goes on to the last bit."""
import os
import signal

import pytest
import torch
import toy
from mmdet.engine.hooks import PipelineSwitchHook
from mmengine.hooks import Hook
from mmengine.logging import MessageHub

from ctkd_det.compat.reading import read_checkpoint


class Stop(Exception):
    """In place of a kill."""


class After(Hook):
    """Stops, or sends SIGTERM, after so many iterations."""
    priority = 'LOWEST'

    def __init__(self, iterations, signal_number=None):
        self.iterations, self.signal_number = iterations, signal_number

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.iterations:
            if self.signal_number is None:
                raise Stop
            os.kill(os.getpid(), self.signal_number)


def train(*args, expected=None, **kwargs):
    MessageHub._instance_dict.clear()
    runner = toy.runner(*args, **kwargs)
    if expected is None:
        runner.train()
    else:
        with pytest.raises(expected):
            runner.train()
    return runner


def assert_equal_runs(found, expected):
    """Weights, theta, momentum, learning rate, and each logged value of each iteration."""
    for key, value in expected.model.state_dict().items():
        assert torch.equal(found.model.state_dict()[key], value), key
    for state in expected.optim_wrapper.state_dict()['state'].items():
        assert torch.equal(found.optim_wrapper.state_dict()['state'][state[0]]['momentum_buffer'],
                           state[1]['momentum_buffer'])
    for key, buffer in expected.message_hub.log_scalars.items():
        if 'time' not in key and 'memory' not in key and not key.startswith('val/'):
            values = found.message_hub.get_scalar(key).data[0]
            assert buffer.data[0].tolist() == values.tolist(), key


LOADERS = dict(process=dict(), workers=dict(workers=2),
               persistent=dict(workers=2, persistent=True))


# workers of a loop that is left take seconds to end
long = pytest.mark.skipif('CTKD_DET_LONG' not in os.environ, reason='long: set CTKD_DET_LONG=1')


@pytest.mark.parametrize('loader', ['process', pytest.param('workers', marks=long), 'persistent'])
@pytest.mark.parametrize('how', ['killed', 'SIGTERM'])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, loader, how):
    """5 iterations an epoch: SIGTERM comes after 12, it ends after 13; a kill goes back to 10."""
    options = LOADERS[loader]
    whole = train(tmp_path / 'whole', **options)
    number, expected = dict(killed=(None, Stop), SIGTERM=(signal.SIGTERM, SystemExit))[how]
    train(tmp_path / 'parts', hooks=(After(12, number), ), expected=expected, **options)
    resumed = train(tmp_path / 'parts', resume=True, **options)
    assert_equal_runs(resumed, whole)
    names = {path.name for path in (tmp_path / 'parts').glob('*.pth*')}
    assert names == {f'epoch_{i}.pth{end}' for i in range(1, 5) for end in ('', '.sha256')}


@pytest.mark.parametrize('iterations, number', [
    (7, None), (12, None), (12, signal.SIGTERM), (17, None)])
def test_workers_that_another_hook_starts_anew(tmp_path, iterations, number):
    """Before iteration 11; the resume begins earlier, there, within that epoch, or later."""
    options = dict(LOADERS['persistent'], val=False)

    def hooks(*others):
        return PipelineSwitchHook(2, []), *others
    whole = train(tmp_path / 'whole', hooks=hooks(), **options)
    train(tmp_path / 'parts', hooks=hooks(After(iterations, number)),
          expected=SystemExit if number else Stop, **options)
    resumed = train(tmp_path / 'parts', hooks=hooks(), resume=True, **options)
    assert_equal_runs(resumed, whole)


class CutOff(Hook):
    """Stops when the validation after so many iterations begins."""

    def __init__(self, iterations):
        self.iterations = iterations

    def before_val_epoch(self, runner):
        if runner.iter == self.iterations:
            raise Stop


@pytest.mark.parametrize('by_epoch', [True, False])
@pytest.mark.parametrize('iterations', [10, 20])
def test_a_validation_that_was_cut_off_is_made_again(tmp_path, by_epoch, iterations):
    """In the midst of the training, and at its end; the random numbers stay what they were."""
    options = dict(by_epoch=by_epoch, save_best='toy/mAP')
    whole = train(tmp_path / 'whole', **options)
    train(tmp_path / 'parts', hooks=(CutOff(iterations), ), expected=Stop, **options)
    resumed = train(tmp_path / 'parts', resume=True, **options)
    assert_equal_runs(resumed, whole)
    validations = [len(run.message_hub.get_scalar('val/toy/mAP').data[0])
                   for run in (whole, resumed)]
    assert validations == [2, 2]
    assert [path.name for path in (tmp_path / 'parts').glob('best_*.pth')] == [
        path.name for path in (tmp_path / 'whole').glob('best_*.pth')]


@pytest.mark.parametrize('loader', ['process', pytest.param('workers', marks=long),
                                    pytest.param('persistent', marks=long)])
def test_an_iteration_based_run_equals_an_uninterrupted_one(tmp_path, loader):
    options = dict(LOADERS[loader], by_epoch=False)
    whole = train(tmp_path / 'whole', **options)
    train(tmp_path / 'parts', hooks=(After(12, signal.SIGTERM), ), expected=SystemExit, **options)
    assert (tmp_path / 'parts' / 'iter_13.pth').exists()
    resumed = train(tmp_path / 'parts', resume=True, **options)
    assert_equal_runs(resumed, whole)


def test_what_sigterm_saves_by_iterations_is_removed_as_others_are(tmp_path):
    options = dict(by_epoch=False, max_keep_ckpts=1, val=False)
    train(tmp_path, hooks=(After(12, signal.SIGTERM), ), expected=SystemExit, **options)
    assert [path.name for path in tmp_path.glob('*.pth')] == ['iter_13.pth']
    train(tmp_path, resume=True, **options)
    assert [path.name for path in tmp_path.glob('*.pth')] == ['iter_20.pth']


@pytest.mark.parametrize('loader, by_epoch', [
    ('process', True), ('process', False), ('persistent', True),
    pytest.param('persistent', False, marks=long)])
def test_a_run_without_a_seed_goes_on_with_the_one_it_drew(tmp_path, loader, by_epoch):
    """The loader, built before the checkpoint is read, is brought to that seed, too."""
    options = dict(LOADERS[loader], by_epoch=by_epoch, val=False)
    train(tmp_path / 'parts', hooks=(After(12, signal.SIGTERM), ), expected=SystemExit, seed=None,
          **options)
    path, = [path for path in (tmp_path / 'parts').glob('*.pth') if '13' in path.name]
    seed = read_checkpoint(path)['meta']['seed']
    resumed = train(tmp_path / 'parts', resume=True, seed=None, **options)
    assert_equal_runs(resumed, train(tmp_path / 'whole', seed=seed, **options))

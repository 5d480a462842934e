"""Trainings that are killed, anywhere: nothing is lost, and what follows is the same to the bit."""
import gc
import os
import random
import signal
import sys
import weakref
from pathlib import Path

import pytest
import torch
import toy

sys.path.insert(0, str(Path(__file__).parent))

from processes import (  # noqa: E402
    fail_while_workers_live,
    finish,
    kill_after,
    start,
    train,
    train_and_die,
    train_and_die_before_the_checksum,
    train_in_own_group,
    wait_for,
)

from ctkd_det.compat.reading import read_checkpoint  # noqa: E402
from ctkd_det.hooks.checkpoint_files import (  # noqa: E402
    CheckpointFolder,
    SavingError,
    fault,
)
from ctkd_det.hooks.folder_lock import LOCK, lock  # noqa: E402

OPTIONS = dict(epochs=4, max_keep_ckpts=1, save_best='toy/mAP')


def last(work_dir):
    return read_checkpoint(work_dir / 'epoch_4.pth')


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """The end of an uninterrupted run."""
    folder = tmp_path_factory.mktemp('whole')
    assert finish(start(train, folder, **OPTIONS)) == 0
    return last(folder)


def assert_same_end(work_dir, whole):
    found = last(work_dir)
    for key, value in whole['state_dict'].items():
        assert torch.equal(found['state_dict'][key], value), key
    for key, state in whole['optimizer']['state'].items():
        assert torch.equal(found['optimizer']['state'][key]['momentum_buffer'],
                           state['momentum_buffer'])
    losses = [x['message_hub']['log_scalars']['train/loss'].data[0] for x in (found, whole)]
    assert losses[0].tolist() == losses[1].tolist()
    names = {path.name for path in work_dir.iterdir()
             if path.suffix != '.py' and path.is_file() and path.name != LOCK}
    assert names == {'last_checkpoint', *(f'{name}_4.pth{end}' for end in ('', '.sha256')
                                          for name in ('epoch', 'best_toy_mAP_epoch'))}
    assert fault(work_dir / 'best_toy_mAP_epoch_4.pth') is None


# each saving opens, renames and removes some twenty times; it is done six times
@pytest.mark.parametrize('number', range(12, 60, 4))
def test_killed_at_every_stage_of_saving(tmp_path, whole, number):
    """Once an epoch is saved there is a whole checkpoint, whichever step of saving is the last."""
    assert finish(start(train_and_die, tmp_path, number, **OPTIONS)) == -signal.SIGKILL
    choice = CheckpointFolder(tmp_path, tmp_path, 'epoch_{}.pth').choose()
    assert choice.path is not None
    assert read_checkpoint(choice.path)['meta']['epoch'] >= 1
    # the resumed run is killed as well
    finish(start(train_and_die, tmp_path, number // 2, resume=True, **OPTIONS))
    assert finish(start(train, tmp_path, resume=True, **OPTIONS)) == 0
    assert_same_end(tmp_path, whole)


def test_killed_while_the_last_checkpoint_is_saved_once_more(tmp_path, whole):
    """mmengine saves it again with the best score. The former best one was not removed yet."""
    died = start(train_and_die_before_the_checksum, tmp_path, 'epoch_4.pth', **OPTIONS)
    assert finish(died) == -signal.SIGKILL
    names = {path.name for path in tmp_path.iterdir()}
    assert 'epoch_4.pth' in names and 'epoch_4.pth.sha256' not in names
    assert sum(name.startswith('best') and name.endswith('.pth') for name in names) == 2
    assert finish(start(train, tmp_path, resume=True, **OPTIONS)) == 0
    assert_same_end(tmp_path, whole)
    assert fault(tmp_path / 'epoch_4.pth') is None


@pytest.mark.parametrize('seed', range(4))
def test_killed_at_random_moments(tmp_path, whole, seed):
    """In training, in evaluation, while loading: again and again until it has got through."""
    draw = random.Random(seed)
    for _ in range(12):
        process = start(train, tmp_path, resume=True, workers=2 * (seed == 3), **OPTIONS)
        if kill_after(process, draw.uniform(0.02, 0.9)) == 0:
            break
    else:
        assert finish(start(train, tmp_path, resume=True, **OPTIONS)) == 0
    if seed != 3:  # with workers others draw the noise
        assert_same_end(tmp_path, whole)
    assert last(tmp_path)['meta']['epoch'] == 4


@pytest.mark.parametrize('second', [dict(resume=True), dict(overwrite=True)])
def test_a_second_training_is_refused_while_the_first_one_lives(tmp_path, second):
    """The first one is killed in the end, with workers that outlive it: no lock is left."""
    first = start(train, tmp_path, epochs=400, val=False, workers=1, persistent=True)
    try:
        wait_for((tmp_path / 'last_checkpoint').exists)
        with pytest.raises(SavingError, match=f'a training is running in .*process {first.pid} on'):
            toy.runner(tmp_path, **second).train()
    finally:
        first.kill()
        first.join()
    assert finish(start(train, tmp_path, epochs=1, val=False, overwrite=True)) == 0


def test_one_process_may_train_twice_and_then_leaves_the_folder_to_others(tmp_path):
    kept = [toy.runner(tmp_path, epochs=1, val=False), toy.runner(tmp_path, epochs=2, resume=True)]
    for runner in kept:
        runner.train()
    assert finish(start(lock, tmp_path)) == 0  # it has ended, so another process gets the folder


def test_sigterm_ends_it_at_the_next_iteration_with_a_checkpoint(tmp_path):
    process = start(train, tmp_path, epochs=400, val=False)
    wait_for((tmp_path / 'last_checkpoint').exists)
    process.terminate()
    assert finish(process) == 128 + signal.SIGTERM
    path = Path((tmp_path / 'last_checkpoint').read_text())
    meta = read_checkpoint(path)['meta']
    assert fault(path) is None and 5 <= meta['iter'] < 2000
    assert meta['epoch'] == meta['iter'] // 5


@pytest.mark.parametrize('by_epoch', [True, False])
def test_sigterm_to_the_workers_as_well_saves_a_checkpoint(tmp_path, by_epoch):
    """What clusters send; workers of the validation, which was done before, are there too."""
    process = start(train_in_own_group, tmp_path, epochs=400, by_epoch=by_epoch, workers=1,
                    persistent=True)
    wait_for((tmp_path / ('epoch_3.pth' if by_epoch else 'iter_15.pth')).exists)
    os.killpg(process.pid, signal.SIGTERM)
    assert finish(process) == 128 + signal.SIGTERM
    path = Path((tmp_path / 'last_checkpoint').read_text())
    assert fault(path) is None
    assert 15 <= read_checkpoint(path)['meta']['iter'] < 2000


@pytest.mark.parametrize('exit_functions', [True, False])
def test_workers_that_outlive_the_loop_do_not_hold_up_the_end(tmp_path, exit_functions):
    """A worker passes over the first SIGTERM, by which the interpreter would end it."""
    process = start(fail_while_workers_live, tmp_path, exit_functions, epochs=1, by_epoch=False,
                    workers=1, persistent=True, val=False)
    assert finish(process) == 1


def test_no_exit_function_keeps_a_runner(tmp_path):
    runner = toy.runner(tmp_path, epochs=1, by_epoch=False, val=False)
    runner.train()
    there = weakref.ref(runner)
    del runner
    gc.collect()
    assert there() is None

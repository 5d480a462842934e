"""Two ranks with gloo: one is killed, or both are told to end."""
import os
import signal
import socket
import sys
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook

sys.path.insert(0, str(Path(__file__).parent))

import toy  # noqa: E402
from processes import finish, start, wait_for  # noqa: E402

from ctkd_det.compat.reading import read_checkpoint  # noqa: E402

SENT = 'sent'


class WaitForSignal(Hook):
    """In the second epoch of 20 iterations; the test says when the signal was sent."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == 25:
            wait_for((Path(runner.work_dir) / SENT).exists)


def send(work_dir, signal_number, process):
    """Once both ranks are on their way, and the first epoch is saved."""
    wait_for((work_dir / 'last_checkpoint').exists)
    os.kill(process.pid, signal_number)
    (work_dir / SENT).touch()


def train(rank, port, work_dir, **options):
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2',
                      MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    torch.distributed.init_process_group('gloo')
    runner = toy.runner(work_dir, val=False, length=20, launcher='pytorch', model_wrapper_cfg=dict(
        type='MMDistributedDataParallel', device_ids=None), **options)
    runner.train()
    torch.distributed.destroy_process_group()


def two_ranks(work_dir, **options):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    return [start(train, rank, port, work_dir, **options) for rank in range(2)]


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp('whole')
    assert [finish(p) for p in two_ranks(folder, epochs=6)] == [0, 0]
    return read_checkpoint(folder / 'epoch_6.pth')


def assert_resumes(work_dir, whole):
    assert [finish(p) for p in two_ranks(work_dir, epochs=6, resume=True)] == [0, 0]
    found = read_checkpoint(work_dir / 'epoch_6.pth')
    for key, value in whole['state_dict'].items():
        assert torch.equal(found['state_dict'][key], value), key
    for now, then in zip(found['random_states'], whole['random_states'], strict=True):
        assert torch.equal(now['process']['torch'], then['process']['torch'])


@pytest.mark.parametrize('killed', [0, 1])
def test_where_one_is_killed_the_other_ends(tmp_path, whole, killed):
    ranks = two_ranks(tmp_path, epochs=6, hooks=(WaitForSignal(), ))
    send(tmp_path, signal.SIGKILL, ranks[killed])
    assert finish(ranks[1 - killed]) not in (None, 0)
    finish(ranks[killed])
    assert_resumes(tmp_path, whole)


def test_sigterm_to_one_saves_on_both(tmp_path, whole):
    """They agree at the same iteration, and each gets its own random states back."""
    ranks = two_ranks(tmp_path, epochs=6, hooks=(WaitForSignal(), ))
    send(tmp_path, signal.SIGTERM, ranks[1])
    assert [finish(p) for p in ranks] == [128 + signal.SIGTERM] * 2
    assert_resumes(tmp_path, whole)

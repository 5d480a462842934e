"""Files and pointers that a crash, a full disk or a user has left: what a resume makes of them."""
import os
import random
import resource
import sys
from pathlib import Path

import pytest
from mmengine.hooks import Hook
from mmengine.logging import MessageHub

sys.path.insert(0, str(Path(__file__).parent))

import toy  # noqa: E402
from processes import finish, start, train  # noqa: E402

from ctkd_det.compat.reading import read_checkpoint  # noqa: E402
from ctkd_det.hooks.checkpoint_files import CheckpointFolder, SavingError, fault  # noqa: E402
from helpers import log_of  # noqa: E402


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """A work directory with three epochs, all kept."""
    folder = tmp_path_factory.mktemp('made')
    assert finish(start(train, folder, epochs=3, val=False)) == 0
    return folder


@pytest.fixture
def work(made, tmp_path):
    for path in made.glob('*.pth*'):
        (tmp_path / path.name).write_bytes(path.read_bytes())
        os.utime(tmp_path / path.name, ns=(path.stat().st_mtime_ns, ) * 2)
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_3.pth'))
    return tmp_path


def choice(work):
    return CheckpointFolder(work, work, 'epoch_{}.pth').choose()


def truncate(path, draw):
    path.write_bytes(path.read_bytes()[:draw.randrange(1, path.stat().st_size)])


def flip(path, draw):
    content = bytearray(path.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)


def empty(path, draw):
    path.write_bytes(b'')


def zeros(path, draw):
    path.write_bytes(bytes(path.stat().st_size))


def gone(path, draw):
    path.unlink()


@pytest.mark.parametrize('damage', [truncate, flip, empty, zeros, gone])
@pytest.mark.parametrize('seed', range(4))
def test_the_newest_whole_one_is_taken_and_the_others_are_named(work, damage, seed):
    damage(work / 'epoch_3.pth', random.Random(seed))
    found = choice(work)
    assert found.path == work / 'epoch_2.pth'
    assert [path for path, _ in found.skipped] == [work / 'epoch_3.pth']
    damage(work / 'epoch_2.pth', random.Random(seed))
    assert choice(work).path == work / 'epoch_1.pth'


@pytest.mark.parametrize('damage', [truncate, empty, zeros])
def test_without_a_checksum_the_archive_tells(work, damage):
    (work / 'epoch_3.pth.sha256').unlink()
    assert choice(work).path == work / 'epoch_3.pth'
    damage(work / 'epoch_3.pth', random.Random(0))
    assert choice(work).path == work / 'epoch_2.pth'


@pytest.mark.parametrize('content', ['', '\n', 'work_dirs/nowhere/epoch_9.pth', '\0' * 40,
                                     '/', '.', 'x' * 5000, 'x' * 300 + '.pth'])
def test_a_pointer_that_points_nowhere(work, content):
    (work / 'last_checkpoint').write_text(content)
    assert choice(work).path == work / 'epoch_3.pth'
    (work / 'last_checkpoint').unlink()
    assert choice(work).path == work / 'epoch_3.pth'


def test_a_pointer_of_a_folder_that_has_moved(work, tmp_path_factory):
    moved = tmp_path_factory.mktemp('x') / 'moved'
    (work / 'last_checkpoint').write_text('/elsewhere/epoch_2.pth')
    work.rename(moved)
    found = choice(moved)
    assert found.path == moved / 'epoch_2.pth' and found.newer == [moved / 'epoch_3.pth']


def test_a_pointer_that_a_crash_left_behind_is_not_followed(work):
    """The new file was there, the pointer to it was not."""
    (work / 'last_checkpoint').write_text(str(work / 'epoch_2.pth'))
    before = (work / 'epoch_3.pth').stat().st_mtime - 1
    os.utime(work / 'last_checkpoint', (before, before))
    assert choice(work).path == work / 'epoch_3.pth'
    os.utime(work / 'last_checkpoint')  # as if a user had set it
    assert choice(work).path == work / 'epoch_2.pth'


def run(work, error=None, hooks=(), **options):
    MessageHub._instance_dict.clear()
    runner = toy.runner(work, hooks=hooks, val=False, **options)
    if error is None:
        runner.train()
        return runner
    with pytest.raises(SavingError, match=error):
        runner.train()


def test_a_resume_says_what_it_skips(work):
    empty(work / 'epoch_3.pth', None)
    truncate(work / 'epoch_2.pth', random.Random(0))
    runner = run(work, epochs=4, resume=True)
    assert runner.epoch == 4
    log = log_of(work)
    assert f'--resume skips {work / "epoch_3.pth"}: it is empty' in log
    assert f'--resume skips {work / "epoch_2.pth"}: it is ' in log
    assert fault(work / 'epoch_4.pth') is None and fault(work / 'epoch_2.pth') is None


def test_nothing_whole_is_no_new_beginning(work):
    for path in work.glob('*.pth'):
        empty(path, None)
    run(work, error=r'no checkpoint in .* is whole; epoch_3.pth is empty; .*another --work-dir',
        epochs=4, resume=True)
    assert not (work / 'epoch_4.pth').exists()


def test_a_named_checkpoint_that_is_damaged_is_refused_by_name(work):
    flip(work / 'epoch_1.pth', random.Random(1))
    MessageHub._instance_dict.clear()
    runner = toy.runner(work, epochs=4, resume=True, val=False)
    runner._load_from = str(work / 'epoch_1.pth')
    with pytest.raises(SavingError, match=r'cannot resume from .*epoch_1\.pth: it is .*--resume w'):
        runner.train()


def test_to_begin_anew_needs_the_users_word(work):
    kept = (work / 'epoch_3.pth').read_bytes()
    run(work, error=r'has checkpoints of a training \(epoch_3.pth, .*--resume; .*overwrite=True',
        epochs=1)
    assert (work / 'epoch_3.pth').read_bytes() == kept
    run(work, epochs=1, overwrite=True)
    assert {path.name for path in work.glob('*.pth*')} == {'epoch_1.pth', 'epoch_1.pth.sha256'}


def test_a_resume_where_nothing_is_begins_and_says_so(tmp_path):
    assert run(tmp_path, epochs=1, resume=True).epoch == 1
    assert 'there is no checkpoint in' in log_of(tmp_path)


class FullDisk(Hook):
    """From the third saving on, no file may be longer than a few bytes."""
    priority = 'HIGHEST'

    def before_save_checkpoint(self, runner, checkpoint):
        if runner.epoch == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))


def test_a_full_disk_leaves_what_was_there_and_a_clear_sentence(tmp_path):
    """The kernel refuses the write in the midst of the file."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        run(tmp_path, error=r'epoch_3\.pth could not be written \(.*Earlier checkpoints are as '
            r'they were: make room .*--resume', hooks=(FullDisk(), ), epochs=4, max_keep_ckpts=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name for path in tmp_path.glob('*.pth*')} == {'epoch_2.pth', 'epoch_2.pth.sha256'}
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'epoch_2.pth')
    runner = run(tmp_path, epochs=4, resume=True, max_keep_ckpts=1)
    assert runner.epoch == 4 and fault(tmp_path / 'epoch_4.pth') is None


def test_a_folder_that_cannot_be_written_is_told_before_the_first_step(tmp_path):
    (tmp_path / 'file').touch()
    run(tmp_path / 'work', error='no checkpoint can be written to .*file', epochs=1,
        out_dir=str(tmp_path / 'file'))
    assert not list((tmp_path / 'work').glob('*/vis_data/scalars.json'))
    if os.geteuid():  # root may write everywhere
        (tmp_path / 'readonly').mkdir(mode=0o500)
        run(tmp_path / 'other', error='no checkpoint can be written to .*readonly', epochs=1,
            out_dir=str(tmp_path / 'readonly'))


def test_what_is_saved_loads_restricted(made):
    saved = read_checkpoint(made / 'epoch_3.pth')
    assert saved['epoch_length'] == 5 and set(saved['random_states'][0]['process']) >= {
        'python', 'numpy', 'torch'}

"""A training outlives its reader, its terminal and the room on its disk."""
import errno
import os
import pty
import tempfile
from pathlib import Path

import pytest

import forked
from cli.conftest import invoke
from ctkd_det_cli.lasting import Lasting
from ctkd_det_cli.main import cli
from ctkd_det_cli.training import run
from helpers import student_config, use_data


@pytest.fixture
def config(folder, tmp_path):
    use_data(student_config(max_epochs=1), folder / 'shapes').dump(tmp_path / 'x.py')
    return tmp_path / 'x.py'


@pytest.mark.parametrize('kind', ['pipe', 'terminal'])
def test_a_training_whose_reader_has_left_goes_on(kind, config, tmp_path):
    """As with ``| head -1``, or when the window is closed under nohup."""
    reader, writer = os.pipe() if kind == 'pipe' else pty.openpty()
    os.close(reader)
    with open(writer, 'w') as out, tempfile.TemporaryFile('w+') as errors:
        process = forked.start(cli.main, ['train', str(config), '--work-dir', 'work'], 'ctkd-det',
                               stdout=out, stderr=errors, cwd=tmp_path)
        process.join()
        errors.seek(0)
        # the few validation images lack a class, which may be warned of
        said = [line for line in errors.read().splitlines() if not line.startswith('Warning: ')]
        assert (process.exitcode, said) == (0, [])
    assert (tmp_path / 'work' / 'epoch_1.pth').exists()
    assert 'Traceback' not in (tmp_path / 'work' / 'console.log').read_text()


def test_a_file_that_lost_its_reader_is_silent_to_its_end(capfd):
    reader, writer = os.pipe()
    with open(writer, 'w') as file:
        out = Lasting(file)
        out.write('a line\n')
        out.flush()
        assert os.read(reader, 100) == b'a line\n'
        os.close(reader)
        for _ in range(3):
            out.write('nobody\n' * 10_000)
            out.flush()
        assert not out.isatty()
    Lasting(None).write('nowhere')
    assert capfd.readouterr() == ('', '')


def test_a_disk_that_is_full_already_is_said_in_a_sentence(config, tmp_path, monkeypatch):
    """No checkpoint can be written, nor the traceback into the log."""
    original = Path.open

    def full(self, *args, **kwargs):
        if self.name == run.LOG and full.started:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        full.started |= self.name == run.LOG
        return original(self, *args, **kwargs)

    def fail(cfg):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    full.started = False
    monkeypatch.setattr(Path, 'open', full)
    monkeypatch.setattr(run, '_runner', fail)
    result = invoke('train', config, '--work-dir', tmp_path / 'work')
    assert result.exit_code == 1 and full.started
    assert result.output.endswith('Error: OSError: [Errno 28] No space left on device\n')

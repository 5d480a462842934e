"""Curves and pictures from files as mmengine writes them."""
import errno
import io
import json
import os
import threading
from pathlib import Path

import pytest
import torch
from PIL import Image

from ctkd_det.visualization.folder_names import folder_names
from ctkd_det.visualization.temperature import plot_temperatures
from ctkd_det.whole_file import check_writable, write_whole
from ctkd_det_cli.main import cli


def write(work_dir, part, records):
    folder = work_dir / part / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text('\n'.join(map(json.dumps, records)) + '\n')


def train_record(step, tau):
    return {'ctkd.tau_mean': tau, 'ctkd.tau_min': tau - .1, 'ctkd.tau_max': tau + .1,
            'ctkd.lambda': step / 10, 'loss': 1.0, 'step': step}


def test_picture_shows_every_run(tmp_path):
    for name in ('first', 'second'):
        write(tmp_path / name, '20260101_000000', [train_record(s, 1 + s / 10) for s in range(9)])
    one = plot_temperatures([tmp_path / 'first'], tmp_path / 'new' / 'one.png')
    two = plot_temperatures([tmp_path / 'first', tmp_path / 'second'], tmp_path / 'two.png')
    colours = [len(set(Image.open(p).convert('RGB').getdata())) for p in (one, two)]
    assert colours[1] > colours[0] > 50


def test_a_picture_without_a_suffix_is_a_png_and_is_called_one(tmp_path):
    write(tmp_path / 'run', '20260101_000000', [train_record(1, 1.0), train_record(2, 1.1)])
    picture = plot_temperatures([tmp_path / 'run'], tmp_path / 'rr')
    assert picture == tmp_path / 'rr.png' and Image.open(picture).format == 'PNG'


def test_a_picture_may_go_to_a_pipe_or_through_a_link(tmp_path, capsys):
    """As /dev/stdout is one; it takes a PNG, and the picture alone."""
    write(tmp_path / 'run', '20260101_000000', [train_record(1, 1.0), train_record(2, 1.1)])
    pipe, link = tmp_path / 'pipe', tmp_path / 'link'
    os.mkfifo(pipe)
    (tmp_path / 'kept').touch()
    link.symlink_to('kept')
    received = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()), daemon=True)
    reader.start()
    cli.main(['plot', str(tmp_path / 'run'), '--out', str(pipe)], standalone_mode=False)
    reader.join(20)
    assert Image.open(io.BytesIO(received[0])).format == 'PNG'
    printed = capsys.readouterr()
    assert not printed.out and str(pipe) in printed.err
    plot_temperatures([tmp_path / 'run'], link)
    assert link.is_symlink() and Image.open(tmp_path / 'kept').format == 'PNG'
    assert {path.name for path in tmp_path.iterdir()} == {'run', 'pipe', 'link', 'kept'}


def test_what_was_there_stays_if_the_new_file_does_not_fit(tmp_path):
    """A full disk takes a part of the file."""
    page = tmp_path / 'new' / 'page.html'
    write_whole(page, lambda partial: partial.write_text('the old page'))

    def fill(partial):
        assert partial.suffix == '.html'  # by which matplotlib knows the format
        partial.write_text('the n')
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(OSError, match=rf'{page} cannot be written \(No space left on device\)'):
        write_whole(page, fill)
    check_writable(page)
    check_writable(page.with_name('other.html'))
    assert [path.name for path in page.parent.iterdir()] == ['page.html']
    assert page.read_text() == 'the old page'
    with pytest.raises(OSError, match=r'x\.html cannot be written \(File exists\)'):
        check_writable(page / 'x.html')


def test_runs_of_the_same_name_stay_apart(tmp_path):
    assert folder_names([tmp_path / 'a' / 'ctkd', tmp_path / 'b' / 'ctkd']) == ['a/ctkd', 'b/ctkd']
    assert folder_names([tmp_path / 'ctkd']) == ['ctkd']


def test_a_run_without_temperature_is_refused(tmp_path):
    write(tmp_path, '20260101_000000', [dict(step=1, loss=0.5)])
    with pytest.raises(ValueError, match='has logged a temperature'):
        plot_temperatures([tmp_path], tmp_path / 'x.png')


def test_a_class_without_a_name_is_a_number():
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData

    from ctkd_det.visualization.boxes import detections
    sample = DetDataSample(pred_instances=InstanceData(
        bboxes=torch.zeros(3, 4), labels=torch.tensor([1, 7, 0]),
        scores=torch.tensor([.9, .8, .1])))
    assert [name for _, name, _ in detections(sample, 0.5, ('a', 'b'))] == ['b', 'class 7']


def test_a_page_may_go_to_a_device_or_through_a_link_and_not_to_a_folder(tmp_path):
    device, real, link = Path('/dev/null'), tmp_path / 'kept' / 'page.html', tmp_path / 'page.html'
    real.parent.mkdir()
    real.write_text('before')
    link.symlink_to(real)
    for file in (device, link):
        check_writable(file)
        write_whole(file, lambda partial: partial.write_text('after'))
    assert real.read_text() == 'after' and link.is_symlink() and device.is_char_device()
    assert not list(tmp_path.rglob('*partial*')) and not Path('/dev/null.partial').exists()
    for write in (check_writable, lambda file: write_whole(file, Path.touch)):
        with pytest.raises(OSError, match='kept cannot be written .it is a folder'):
            write(real.parent)
    assert real.read_text() == 'after'

"""A work directory that comes from somebody else runs nothing when its curves are shown."""
import json
from pathlib import Path

import pytest

from ctkd_det.visualization.report import write_report

CURVES = [dict(lr=0.1, loss=1.0, iter=1, step=1), {'coco/bbox_mAP': 0.25, 'step': 1}]


def work_dir(folder: Path, config: str) -> Path:
    logged = folder / 'run' / '20260101_000000' / 'vis_data'
    logged.mkdir(parents=True)
    (logged / 'config.py').write_text(config)
    (logged / 'scalars.json').write_text('\n'.join(map(json.dumps, CURVES)))
    (folder / 'run' / 'named.py').write_text(config)
    return folder / 'run'


def test_code_in_its_config_is_not_run(tmp_path):
    canary = tmp_path / 'canary'
    work = work_dir(tmp_path, f'model = dict(type="A")\nopen({str(canary)!r}, "w").close()')
    with pytest.raises(FileNotFoundError, match=r'run cannot be read: .*not executed.*line 2'):
        write_report([work], tmp_path / 'report.html')
    assert not canary.exists()


def test_without_detectors_what_its_values_name_is_not_built(tmp_path):
    canary = tmp_path / 'canary'
    evil = dict(type='subprocess.Popen', args=['touch', str(canary)])
    work = work_dir(tmp_path, f'model = {evil!r}\nval_dataloader = dict(dataset={evil!r})\n'
                              'custom_imports = dict(imports=["antigravity"])\n')
    (work / 'epoch_1.pth').write_bytes(b'')
    (work / 'last_checkpoint').write_text('epoch_1.pth')
    page = write_report([work], tmp_path / 'report.html', val_images=0).read_text()
    assert '25.0' in page and '--val-images 0' in page
    assert not canary.exists()


def test_no_module_is_imported_that_its_values_name(tmp_path, monkeypatch):
    """MMEngine's registries would import it, to look a class up."""
    canary = tmp_path / 'canary'
    for name in ('evil_model', 'evil_loss', 'evil_temperature'):
        (tmp_path / f'{name}.py').write_text(f'open({str(canary)!r}, "w").close()')
    monkeypatch.syspath_prepend(tmp_path)
    losses = dict(loss_ctkd=dict(type='evil_loss.X', temperature=dict(type='evil_temperature')))
    work = work_dir(tmp_path, f'model = dict(type="evil_model.Y", distill_losses={losses!r})\n')
    curves = work / '20260101_000000' / 'vis_data' / 'scalars.json'
    curves.write_text('\n'.join(json.dumps({**record, **{
        f'ctkd.tau_{part}': 1.5 for part in ('mean', 'min', 'max')}}) for record in CURVES))
    page = write_report([work], tmp_path / 'report.html', val_images=0).read_text()
    assert 'τ was 1.50' in page
    assert not canary.exists()

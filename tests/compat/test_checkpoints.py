"""mmengine's checkpoints load and resume; anything that could run code does not."""
import io
import os
import pickle
import re
import zipfile

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import checkpoint as loading

from ctkd_det.compat.checkpoints import allow_mmengine_checkpoints
from ctkd_det.compat.stand_ins import restricted_getattr
from helpers import ROOT, TORCH_BEFORE_2_6

pytestmark = pytest.mark.skipif(TORCH_BEFORE_2_6, reason='torch restricts loading since 2.6')


def reload(content, tmp_path):
    torch.save(content, tmp_path / 'file.pth')
    return torch.load(tmp_path / 'file.pth')


class Calls:
    """Pickled as a call of a function."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def test_history_buffers_survive(tmp_path):
    buffer = HistoryBuffer([1.0, 4.0], [1, 1])
    loaded = reload(dict(log=buffer), tmp_path)['log']
    assert loaded.data[0].tolist() == [1.0, 4.0]
    assert loaded.mean() == 2.5 and loaded.statistics('max') == 4.0 and loaded.current() == 4.0


def test_a_whole_message_hub_survives(tmp_path):
    hub = MessageHub.get_instance('test_a_whole_message_hub_survives')
    hub.update_scalar('train/loss', 0.5)
    hub.update_info('best', np.float64(3.25))
    loaded = reload(hub.state_dict(), tmp_path)
    assert loaded['log_scalars']['train/loss'].current() == 0.5
    assert loaded['runtime_info']['best'] == 3.25


@pytest.mark.parametrize('dtype', ['float64', 'float32', 'int64', 'bool', 'uint8'])
def test_numpy_values_survive(dtype, tmp_path):
    array = np.array([0, 1, 1]).astype(dtype)
    loaded = reload(dict(array=array, scalar=array[1]), tmp_path)
    assert loaded['array'].dtype == dtype and loaded['array'].tolist() == array.tolist()
    assert loaded['scalar'] == array[1]


def test_names_of_numpy_1_and_2_both_load(tmp_path):
    """A file by the other numpy differs in the module's name only."""
    torch.save(np.arange(3.0), tmp_path / 'file.pth')
    old, new = b'numpy.core.multiarray', b'numpy._core.multiarray'
    with zipfile.ZipFile(tmp_path / 'file.pth') as original, \
            zipfile.ZipFile(tmp_path / 'other.pth', 'w') as other:
        for name in original.namelist():
            content = original.read(name)
            if name.endswith('data.pkl'):
                assert old in content or new in content
                content = content.replace(*((new, old) if new in content else (old, new)))
            other.writestr(name, content)
    assert torch.load(tmp_path / 'other.pth').tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize('function, args', [
    (os.system, ('true', )), (eval, ('1', )),
    (getattr, (HistoryBuffer, '__init__')), (getattr, (HistoryBuffer([1], [1]), '__class__'))])
def test_code_is_refused(function, args, tmp_path):
    with pytest.raises(pickle.UnpicklingError):
        reload(dict(x=Calls(function, *args)), tmp_path)


def test_getattr_stands_in_for_four_methods_only():
    assert restricted_getattr(HistoryBuffer, 'mean') is HistoryBuffer.mean
    for obj, name in ((HistoryBuffer, '__globals__'), (os, 'system'), (object, 'mean')):
        with pytest.raises(pickle.UnpicklingError, match='refused'):
            restricted_getattr(obj, name)


def python_files() -> list:
    found = [p for folder in ('ctkd_det', 'ctkd_det_cli', 'tools', 'configs')
             for p in (ROOT / folder).rglob('*.py')]
    assert len(found) > 20
    return found


def test_one_function_reads_all_checkpoints():
    reads = re.compile(r'torch\.load\(|pickle\.loads?\(|load_state_dict_from_url\(')
    assert {p.parent.name for p in python_files() if reads.search(p.read_text())} == {'compat'}


def test_a_fork_that_loads_what_is_refused_once_more_does_not(tmp_path, monkeypatch):
    """onedl-mmengine falls back to unrestricted loading."""
    monkeypatch.setattr(loading, '_safe_torch_load', pickle.load, raising=False)
    allow_mmengine_checkpoints()
    torch.save(dict(x=Calls(os.mkdir, str(tmp_path / 'ran'))), tmp_path / 'file.pth')
    for file in (str(tmp_path / 'file.pth'), io.BytesIO((tmp_path / 'file.pth').read_bytes())):
        with pytest.raises(pickle.UnpicklingError):
            loading._safe_torch_load(file)
    assert not (tmp_path / 'ran').exists()


def test_unrestricted_loading_is_switched_on_nowhere():
    sources = python_files()
    switched_on = re.compile(r'weights_only\s*=\s*(False|0)|FORCE_NO_WEIGHTS_ONLY')
    assert not [p for p in sources if switched_on.search(p.read_text())]

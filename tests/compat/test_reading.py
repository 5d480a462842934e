"""Only values come out of a checkpoint; a damaged file is refused by name."""
import datetime
import gzip
import random
import shutil
import tarfile
import zipfile
from collections import OrderedDict
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.optim.scheduler import OneCycleLR
from mmengine.runner import CheckpointLoader
from reliability import hostile
from torch.torch_version import TorchVersion

import ctkd_det  # noqa: F401
from ctkd_det.compat import reading
from ctkd_det.compat.reading import CheckpointError, read_checkpoint
from ctkd_det.compat.stand_ins import STAND_INS
from helpers import TORCH_BEFORE_2_6

torch_restricts = pytest.mark.skipif(
    TORCH_BEFORE_2_6, reason='torch restricts loading since 2.6')


def saved(content, path: Path, **options) -> Path:
    torch.save(content, path, **options)
    return path


@pytest.fixture(params=[pytest.param('torchs', marks=torch_restricts), 'ours'])
def unpickler(request, monkeypatch):
    """Torch's own, and the one that is used before torch 2.6."""
    monkeypatch.setattr(reading, 'TORCH_RESTRICTS', request.param == 'torchs')


@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'legacy'])
def test_what_a_training_saves_comes_back_as_it_was(zipped, unpickler, tmp_path):
    """The values of mmengine's Runner, and random states, with the classes they had."""
    rng = np.random.RandomState(3)
    weights = OrderedDict(w=torch.rand(2, 2))
    weights._metadata = OrderedDict({'': dict(version=2)})
    content = dict(
        state_dict=weights, log=HistoryBuffer([1.0, 4.0], [1, 1]), empty_log=HistoryBuffer(),
        fortran=np.arange(6.).reshape(2, 3).T, big_endian=np.arange(3, dtype='>f4'),
        empty=np.zeros((0, 4), np.int64), number=np.array(3.0), yes=np.bool_(True),
        complex=np.complex64(1j), dtype=np.dtype('>i2'), torch_dtype=torch.float16,
        numpy_state=rng.get_state(), generator=np.random.default_rng(1).bit_generator.state,
        python_state=random.getstate(), torch_state=torch.get_rng_state(), names={'a', 'b'})
    path = saved(content, tmp_path / 'a.pth', _use_new_zipfile_serialization=zipped)
    found = read_checkpoint(path)
    assert found.keys() == content.keys() and found['state_dict']._metadata[''] == dict(version=2)
    for name in ('fortran', 'big_endian', 'empty', 'number'):
        assert type(found[name]) is np.ndarray and found[name].flags.writeable
        # numpy itself loads other byte orders as its own
        np.testing.assert_array_equal(
            found[name], content[name].astype(content[name].dtype.newbyteorder('=')), strict=True)
    for name in ('yes', 'complex', 'dtype', 'torch_dtype', 'generator', 'python_state', 'names'):
        assert found[name] == content[name] and type(found[name]) is type(content[name])
    other = np.random.RandomState()
    other.set_state(found['numpy_state'])
    assert other.randint(1 << 30) == rng.randint(1 << 30)
    assert torch.equal(found['torch_state'], content['torch_state'])
    assert type(found['log']) is HistoryBuffer and len(found['empty_log'].data[0]) == 0
    found['log'].update(7)
    assert found['log'].mean() == 4.0 and type(found['log'].data[0]) is np.ndarray
    # what was loaded is saved as numpy's own again
    torch.save(found, tmp_path / 'again.pth')
    assert read_checkpoint(tmp_path / 'again.pth')['log'].mean() == 4.0


@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'legacy'])
def test_plain_values_come_in_place_of_classes(zipped, unpickler, tmp_path):
    """What mmengine makes of a nested metainfo, a version, paths."""
    nested = ConfigDict(classes=('a', 'b'), label_map=dict(a=1), list=[dict(b=2)])
    path = saved(dict(state_dict={}, meta=dict(
        dataset_meta=nested, torch_version=TorchVersion('2.6.0+cpu'), here=tmp_path,
        mine=PureWindowsPath('C:\\', 'data'), empty=PurePosixPath(), none=ConfigDict())),
        tmp_path / 'a.pth', _use_new_zipfile_serialization=zipped)
    found = read_checkpoint(path)['meta']
    assert found == dict(
        dataset_meta=dict(classes=('a', 'b'), label_map=dict(a=1), list=[dict(b=2)]),
        torch_version='2.6.0+cpu', here=str(tmp_path), mine='C:\\data', empty='.', none={})
    inner = found['dataset_meta']
    assert {type(x) for x in (inner, inner['label_map'], inner['list'][0], found['none'])} == {dict}
    assert {type(found[name]) for name in ('torch_version', 'here', 'mine', 'empty')} == {str}


def test_the_functions_of_a_schedule_are_dropped(unpickler, tmp_path):
    """A resume keeps those of its config; plain MMEngine saves them."""
    optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], 0.1, momentum=0.9)
    states = [OneCycleLR(optimizer, eta_max=0.1, total_steps=9, anneal_strategy=kind).state_dict()
              for kind in ('cos', 'linear')]
    assert all(callable(state['anneal_func']) for state in states)
    found = read_checkpoint(saved(dict(state_dict={}, param_schedulers=states),
                                  tmp_path / 'a.pth'))['param_schedulers']
    for state in states:
        del state['anneal_func']
    assert found == states


@torch_restricts
def test_torch_itself_allows_nothing_under_the_names_of_stand_ins():
    """It would take its own."""
    own = torch._weights_only_unpickler._get_allowed_globals()
    assert len(own) > 20 and not STAND_INS.keys() & own.keys()


def test_other_classes_are_refused_with_what_to_do(unpickler, tmp_path):
    path = saved(dict(state_dict={}, meta=dict(when=datetime.timedelta(1))), tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=r'a\.pth is refused.*asks for datetime.timedelta\. '
                       r"If it is your own: .* save \{'state_dict': \.\.\.\} anew"):
        read_checkpoint(path)


def test_arrays_that_torch_alone_has_loaded_are_saved_as_numpys(tmp_path):
    saved(dict(a=np.arange(3.), d=np.dtype('f4')), tmp_path / 'a.pth')
    saved(torch.load(tmp_path / 'a.pth'), tmp_path / 'b.pth')
    assert b'ctkd_det' not in (tmp_path / 'b.pth').read_bytes()
    assert read_checkpoint(tmp_path / 'b.pth')['a'].tolist() == [0, 1, 2]


def test_texts_that_would_be_run_stand_where_nobody_runs_them(tmp_path):
    path = saved(dict(
        state_dict={}, meta=dict(config='a', cfg='b', epoch=3, dataset_meta=dict(classes=('c', ))),
        message_hub=dict(runtime_info=OrderedDict(cfg='d', seed=1))), tmp_path / 'a.pth')
    for found in (read_checkpoint(path), CheckpointLoader.load_checkpoint(str(path))):
        assert found['meta'] == dict(
            epoch=3, dataset_meta=dict(classes=('c', )), config_to_compare='b')
        assert found['message_hub'] == dict(runtime_info=dict(seed=1))


@pytest.mark.parametrize('nothing', [
    dict(meta=None), dict(meta=dict(dataset_meta=None)), dict(message_hub=None),
    dict(message_hub=dict(runtime_info=None))], ids=str)
def test_a_file_saved_by_hand_may_say_none(nothing, tmp_path):
    path = saved(dict(state_dict=dict(w=torch.ones(1)), **nothing), tmp_path / 'a.pth')
    for found in (read_checkpoint(path), CheckpointLoader.load_checkpoint(str(path))):
        assert found['state_dict']['w'] == 1 and None not in found.values()
        assert None not in found.get('meta', {}).values()


def test_weights_may_not_be_none(tmp_path):
    with pytest.raises(CheckpointError, match='its state_dict is a NoneType, no dictionary'):
        read_checkpoint(saved(dict(state_dict=None), tmp_path / 'a.pth'))


def test_methods_of_a_dictionary_stay_its_own(tmp_path):
    weights = OrderedDict(w=torch.zeros(1))
    weights.copy = 'not a method'
    found = read_checkpoint(saved(dict(state_dict=weights), tmp_path / 'a.pth'))
    assert found['state_dict'].copy().keys() == {'w'}


def test_a_file_enters_nothing_into_the_statistics_all_buffers_share(tmp_path):
    before = dict(HistoryBuffer._statistics_methods)
    buffer = HistoryBuffer([1.0], [1])
    buffer.__dict__['statistics_methods'] = 'x'

    class Hostile:
        def __reduce__(self):
            return HistoryBuffer, (), dict(buffer.__dict__, mean='no method',
                                           statistics_methods=dict(mean=1, other=torch.device))

    found = read_checkpoint(saved(dict(log=Hostile()), tmp_path / 'a.pth'))
    assert HistoryBuffer._statistics_methods == before
    assert found['log'].mean() == 1.0 and vars(found['log']).keys() == {
        '_log_history', '_count_history', 'max_length'}


def test_a_tensor_larger_than_its_bytes_is_refused(unpickler, tmp_path):
    """Its last numbers would be those of other memory."""
    hostile.rewrite(saved(dict(w=torch.zeros(200)), tmp_path / 'a.pth'),
                    lambda pickled: pickled.replace(b'K\xc8', b'J\x00\x00\x01\x00'),
                    tmp_path / 'b.pth')
    with pytest.raises(CheckpointError, match=r'b\.pth .*(size|larger)'):
        read_checkpoint(tmp_path / 'b.pth')


@torch_restricts
def test_what_another_package_allows_under_numpys_names_is_not_taken(tmp_path):
    allowed = torch.serialization.get_safe_globals()
    try:
        torch.serialization.add_safe_globals([np.ndarray, np.dtype])

        class Forged:
            def __reduce__(self):
                return np.ndarray, ((1, ), 'f8', b'12345678')

        with pytest.raises(CheckpointError, match='numpy.ndarray with arguments'):
            read_checkpoint(saved(dict(a=Forged()), tmp_path / 'a.pth'))
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(allowed)


class Mine:
    """What a user's checkpoints may hold besides."""

    def __init__(self):
        self.value = 3


@torch_restricts
def test_what_a_user_allows_is_loaded_as_long_as_it_is_allowed(tmp_path):
    path = saved(dict(a=Mine()), tmp_path / 'a.pth')
    with torch.serialization.safe_globals([Mine]):
        assert read_checkpoint(path)['a'].value == 3
    with pytest.raises(CheckpointError, match=r'asks for .*\.Mine'):
        read_checkpoint(path)


def test_the_pickle_that_is_looked_at_is_the_one_that_torch_reads(tmp_path):
    """A good archive hides behind a hostile file of the old format, and within an archive."""
    good = saved(dict(a=1), tmp_path / 'good.pth').read_bytes()
    bad = dict(a=torch.sparse_coo_tensor([[7]], [1.0], (9, ), check_invariants=True))
    old = saved(bad, tmp_path / 'old.pth', _use_new_zipfile_serialization=False)
    old.write_bytes(old.read_bytes() + good)
    two = saved(bad, tmp_path / 'two.pth')
    with zipfile.ZipFile(tmp_path / 'good.pth') as archive:
        pickled = archive.read('good/data.pkl')
    with zipfile.ZipFile(two, 'a') as archive:
        archive.writestr('good/data.pkl', pickled)
        with pytest.warns(UserWarning, match='Duplicate'):
            archive.writestr('two/data.pkl', pickled)
    with pytest.raises(CheckpointError, match='sparse'):
        read_checkpoint(old)
    try:
        found = read_checkpoint(two)
    except CheckpointError as error:
        assert 'sparse' in str(error)
    else:  # torch takes the later one
        assert found == dict(a=1) == torch.load(two)


WEIGHTS = dict(state_dict=dict(w=torch.arange(1000.)))


def flipped(content: bytes) -> bytes:
    """One bit of a weight is another."""
    place = content.index(WEIGHTS['state_dict']['w'].numpy().tobytes()) + 2001
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1:]


@pytest.mark.parametrize('damage, reason', [
    (lambda c: b'', 'is empty'), (flipped, 'does not agree with its checksum'),
    (lambda c: c[:len(c) // 2], 'truncated'), (lambda c: c[:-3], 'truncated'),
    (lambda c: c[:100], 'truncated'), (lambda c: bytes(1000), 'begins with zeros'),
    (lambda c: b'version https://git-lfs.github.com/spec/v1\noid sha256:1\n', 'git lfs pull'),
    (lambda c: b'\n<!DOCTYPE html><html>404</html>', 'web page'),
    (lambda c: b'\xef\xbb\xbf<!DOCTYPE html>', 'web page'),
    (lambda c: gzip.compress(c), 'is compressed with gzip; unpack it'),
    (lambda c: b'\x40' + bytes(7) + b'{"w":' + bytes(99), 'is in the format safetensors'),
    (lambda c: b'{"message": "Not found"}', 'is a text in JSON'),
    (lambda c: b'\x89HDF\r\n\x1a\n' + bytes(9), 'is an HDF5 file'),
    (lambda c: b'\x08\x08\x12\x07pytorch', 'ONNX'),
    (lambda c: b'just a text', 'not a checkpoint')],
    ids=['empty', 'flipped', 'half', 'end', 'head', 'zeros', 'lfs', 'page', 'page_with_bom', 'gzip',
         'safetensors', 'json', 'hdf5', 'onnx', 'text'])
def test_a_damaged_file_is_refused_by_name(damage, reason, tmp_path):
    path = saved(WEIGHTS, tmp_path / 'whole.pth')
    (tmp_path / 'bad.pth').write_bytes(damage(path.read_bytes()))
    for read in (read_checkpoint, CheckpointLoader.load_checkpoint):
        with pytest.raises(CheckpointError, match=rf'bad\.pth .*{reason}') as error:
            read(str(tmp_path / 'bad.pth'))
        assert len(str(error.value).splitlines()) == 1 and 'weights_only' not in str(error.value)


def test_truncated_legacy_files_are_refused(tmp_path):
    path = saved(WEIGHTS, tmp_path / 'whole.pth', _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    for length in (20, 200, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match=r'whole\.pth'):
            read_checkpoint(path)


def test_other_archives_are_refused(tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), tmp_path / 'script.pth')
    with tarfile.open(tmp_path / 'old.pth', 'w') as archive:
        archive.add(__file__, 'pickle')
    shutil.make_archive(str(tmp_path / 'any'), 'zip', Path(__file__).parent)
    for name, reason in (('script.pth', 'TorchScript'), ('old.pth', 'tar format'),
                         ('any.zip', 'none that torch.save writes')):
        with pytest.raises(CheckpointError, match=f'{name} .*{reason}'):
            read_checkpoint(tmp_path / name)


@pytest.mark.parametrize('content, reason', [
    ([torch.zeros(1)], 'holds a list'), (dict(state_dict=[1]), 'its state_dict is a list'),
    (dict(meta='text'), 'its meta is a str'),
    (dict(meta=dict(dataset_meta=1)), 'dataset_meta is a int'),
    (dict(state_dict={'\x1b[2J': 1}), 'x1b'),
    (dict(state_dict={3: 1}), '3 is no name of a weight')])
def test_other_contents_are_refused(content, reason, tmp_path):
    with pytest.raises(CheckpointError, match=rf'a\.pth .*{reason}') as error:
        CheckpointLoader.load_checkpoint(str(saved(content, tmp_path / 'a.pth')))
    assert str(error.value).isprintable()


def test_a_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match=r'nowhere\.pth'):
        read_checkpoint('nowhere.pth')


def test_a_checkpoint_that_older_releases_have_written():
    """By the Runner of mmengine 0.7.0 with numpy 1.26.4: EMA, AdamW, two schedulers, a metric."""
    found = read_checkpoint(Path(__file__).parent / 'data' / 'mmengine_0.7.0_numpy_1.26.4.pth')
    assert found.keys() == {'meta', 'state_dict', 'ema_state_dict', 'message_hub', 'optimizer',
                            'param_schedulers'}
    assert found['meta']['epoch'] == 2 and found['meta']['mmengine_version'] == '0.7.0'
    assert found['meta']['dataset_meta']['arr'].tolist() == [0, 1, 2]
    info, curves = (found['message_hub'][key] for key in ('runtime_info', 'log_scalars'))
    assert info['best_score'] == 0.5 and type(info['best_score']) is np.float64
    assert len(curves['train/loss'].data[0]) == 4 and np.isfinite(curves['train/loss'].mean())


def test_tuples_that_are_shared_are_walked_through_once(tmp_path):
    """1.4 kB that would stand for 2^60 items."""
    value = (np.float64(0.5), 2)
    for _ in range(60):
        value = (value, value)
    read = read_checkpoint(saved(dict(state_dict={}, shared=value), tmp_path / 'a.pth'))['shared']
    while isinstance(read[0], tuple):
        assert read[0] is read[1]
        read = read[0]
    assert read == (0.5, 2)

"""Checkpoints that run code, or reach memory, when they are loaded carelessly.

Each is an ordinary checkpoint with one more value. What would run creates the
file ``canary``, so a test sees whether anything ran.
"""
import os
import pathlib
import subprocess
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, Callable, Dict

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.optim.scheduler import OneCycleParamScheduler
from torch.torch_version import TorchVersion

_reconstruct = np.zeros(1).__reduce__()[0]
_scalar = np.float64(0).__reduce__()[0]
POINTER = (0x4141414141414141).to_bytes(8, 'little')


class Calls:
    """Pickled as a call of a function, with a state that is set afterwards."""

    def __init__(self, function: Any, *args: Any, state: Any = None) -> None:
        self.pickled = (function, args) if state is None else (function, args, state)

    def __reduce__(self) -> tuple:
        return self.pickled


def array(*state: Any) -> Calls:
    return Calls(_reconstruct, np.ndarray, (0, ), b'b', state=state)


def dtype(code: str, *state: Any) -> Calls:
    return Calls(np.dtype, code, False, True, state=state or (3, '<', None, None, None, -1, -1, 0))


def _many(doublings: int) -> tuple:
    """Few bytes that stand for 2^doublings items."""
    value = ('x', )
    for _ in range(doublings):
        value = (value, value)
    return value


def payloads(canary: Path) -> Dict[str, Any]:
    """Values that no checkpoint may hold, by what they try."""
    touch = f'touch {canary}'
    code = f'open({str(canary)!r}, "w").close()'
    history = [np.zeros(1), np.zeros(1)]
    return {
        # code
        'system': Calls(os.system, touch),
        'popen': Calls(subprocess.Popen, touch.split()),
        'eval': Calls(eval, code),
        'exec': Calls(exec, code),
        'import': Calls(__import__, 'antigravity'),
        'path': Calls(pathlib.Path.touch, str(canary)),
        'attribute_of_history': Calls(getattr, HistoryBuffer, '__init__'),
        'class_itself': torch.Tensor,
        'function_itself': torch._utils._rebuild_tensor_v2,
        'hook_of_tensor': Calls(torch._utils._rebuild_parameter, torch.zeros(1), True,
                                OrderedDict({0: torch.Tensor})),
        'statistics_itself': Calls(getattr, HistoryBuffer, 'mean'),
        # pointers: an array of objects, by every way that makes one
        'objects_from_buffer': Calls(np.ndarray, (1, ), np.dtype('O'), POINTER),
        'objects_by_name': Calls(np.ndarray, (1, ), 'O', POINTER),
        'objects_by_state': array(1, (1, ), np.dtype('O'), False, POINTER),
        'objects_in_list': array(1, (1, ), np.dtype('O'), False, [torch.zeros(1)]),
        'object_scalar': Calls(_scalar, np.dtype('O'), POINTER),
        'numbers_flagged_as_objects': array(
            1, (1, ), dtype('f8', 3, '<', None, None, None, -1, -1, 63), False, POINTER),
        'larger_numbers': array(
            1, (1, ), dtype('f8', 3, '<', None, None, None, 4096, 8, 0), False, POINTER),
        'fields': array(1, (1, ), np.dtype([('a', 'O')]), False, POINTER),
        'subarray': array(
            1, (1, ), dtype('f8', 3, '<', (np.dtype('f8'), (9, )), None, None, 72, 8, 0), False,
            POINTER),
        'void': array(1, (1, ), np.dtype('V8'), False, POINTER),
        'text': array(1, (1, ), np.dtype('U2'), False, POINTER),
        'dates': array(1, (1, ), np.dtype('M8[ns]'), False, POINTER),
        # memory beside the array's own
        'outside_of_buffer': Calls(np.ndarray, (4, ), np.dtype('f8'), POINTER, 1 << 40),
        'strides': Calls(np.ndarray, (1, ), np.dtype('f8'), POINTER, 0, (1 << 40, )),
        'too_few_bytes': array(1, (1 << 20, ), np.dtype('f8'), False, POINTER),
        'overflowing_shape': array(1, (1 << 61, 8), np.dtype('f8'), False, b''),
        'negative_shape': array(1, (-1, -1), np.dtype('f8'), False, POINTER),
        'empty_but_endless': array(1, (0, 1 << 62, 1 << 62), np.dtype('f8'), False, b''),
        'many_dimensions': array(1, (1, ) * 100, np.dtype('f8'), False, POINTER),
        'large_from_the_start': Calls(_reconstruct, np.ndarray, (1 << 50, ), b'b'),
        'large_without_bytes': Calls(np.ndarray, (1 << 50, )),
        'short_scalar': Calls(_scalar, np.dtype('f8'), b'1'),
        'endless_bytes': Calls(bytes, 1 << 50),
        # what torch allows, but no checkpoint of a detector needs
        'sparse': torch.sparse_coo_tensor([[7]], [1.0], (9, ), check_invariants=True),
        'endless_bytearray': Calls(bytearray, 1 << 50),
        'endless_storage': Calls(torch.UntypedStorage, 1 << 50),
        'endless_tensor': Calls(torch.Tensor, 1 << 50),
        'tensor_by_any_function': Calls(
            torch._tensor._rebuild_from_type_v2, torch._utils._rebuild_tensor_v2, torch.Tensor,
            (torch.zeros(1)._typed_storage(), 0, (1, ), (1, ), False, OrderedDict()), {}),
        # what stands for a plain value, made of something else
        'dictionary_of_function': Calls(ConfigDict, dict(a=Calls(getattr, HistoryBuffer, 'mean'))),
        'dictionary_of_pairs': Calls(ConfigDict, [('a', 1)]),
        'two_dictionaries': Calls(ConfigDict, {}, {}),
        'dictionary_with_state': Calls(ConfigDict, {}, state=dict(update=1)),
        'version_of_anything': Calls(TorchVersion, (_many(60), )),
        'endless_path': Calls(pathlib.PurePosixPath, *['x' * 1000] * 1000),
        'path_of_anything': Calls(pathlib.PurePosixPath, ('a', 'b')),
        'schedule_itself': Calls(OneCycleParamScheduler, {}),
        'function_of_schedule': Calls(getattr, OneCycleParamScheduler, '_annealing_cos'),
        'another_of_schedule': dict(anneal_func=Calls(
            getattr, OneCycleParamScheduler, 'build_iter_from_epoch')),
        'call_of_function': Calls(OneCycleParamScheduler._annealing_cos, 1, 2, 3),
        # 2^60 items in a message
        'endless_message': Calls(bytes, _many(60)),
        'endless_name': Calls(getattr, HistoryBuffer, _many(60)),
        'endless_type': Calls(np.dtype, _many(60)),
        'endless_shape': Calls(_reconstruct, np.ndarray, _many(60), b'b'),
        # what later lines of the log would call
        'statistics': Calls(HistoryBuffer, state=dict(
            _log_history=history[0], _count_history=history[1], max_length=5,
            statistics_methods=dict(mean=torch.Tensor, max=Calls(os.system, touch)))),
        'history_of_tensors': Calls(HistoryBuffer, state=dict(
            _log_history=torch.zeros(1), _count_history=torch.zeros(1), max_length=5)),
    }


def write(checkpoint: dict, payload: Any, path: Path) -> Path:
    """The checkpoint with one more value."""
    torch.save(dict(checkpoint, payload=payload), path)
    return path


def rewrite(path: Path, change: Callable[[bytes], bytes], target: Path) -> Path:
    """A copy with another pickle and right checksums."""
    with zipfile.ZipFile(path) as original, zipfile.ZipFile(target, 'w') as other:
        for name in original.namelist():
            content = original.read(name)
            other.writestr(name, change(content) if name.endswith('data.pkl') else content)
    return target

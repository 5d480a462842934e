"""Checks that operators, GPU and the teacher's checkpoint work."""
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Iterator

from ctkd_det_data import FAIL, OK, WARN
from ..guards import checkpoint_hook, saves_safely
from ..places import load_package
from ..reading import find_modules_beside
from .ops_file import FULL, NONE, OLD, ops_of_mmcv
from .rows import Row, first_line

# by ctkd_det.compat.torchvision_ops, in place of mmcv's compiled ones
SERVED = ('nms', 'softnms', 'roi_align', 'roi_pool', 'deform_conv', 'modulated_deform_conv',
          'ms_deform_attn')


def check_ops() -> Iterator[Row]:
    """Run NMS and RoIAlign on inputs whose results are known."""
    mend = 'pip uninstall -y mmcv mmcv-lite && pip install mmcv-lite==2.1.0'
    try:
        load_package()
        wrong = _wrong_ops()
    except Exception as error:  # whatever a broken operator library does
        yield Row('operators', FAIL, first_line(error), mend)
        return
    compiled = sys.modules['mmcv._ext'].__file__.endswith(('.so', '.pyd'))
    source = "mmcv's, compiled" if compiled else (
        f"torchvision's; only {', '.join(SERVED)}")
    if wrong:
        yield Row('operators', FAIL, f'{source}; wrong result: {", ".join(wrong)}', mend)
    else:
        yield Row('operators', OK, source)
    own = ops_of_mmcv()
    yield Row("mmdet's own test.py", WARN if own in (NONE, OLD) else OK,
              {NONE: 'finds no operators in mmcv-lite (ctkd-det test does)',
               OLD: 'finds operators that another version of ctkd_det put there',
               FULL: 'uses full mmcv'}.get(own, 'finds the operators that --fix put there'),
              'ctkd-det doctor --fix')


def _wrong_ops() -> list:
    import torch
    from mmcv.ops import nms, roi_align
    boxes = torch.tensor([[0., 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]])
    kept = nms(boxes, torch.tensor([.9, .8, .7]), 0.5)[1]
    # each pixel has its column as its value: the two samples at columns 0.5 and 2.5 average 1.5
    ramp = torch.arange(4.).expand(1, 1, 4, 4).contiguous()
    pooled = roi_align(ramp, torch.tensor([[0., 0, 0, 4, 4]]), (1, 1), 1.0, 2, 'avg', True)
    right = dict(nms=kept.tolist() == [0, 2], roi_align=pooled.flatten().tolist() == [1.5])
    return [name for name, is_right in right.items() if not is_right]


def check_gpu() -> Iterator[Row]:
    """Look for a GPU."""
    try:
        import torch
    except Exception as error:
        yield Row('GPU', FAIL, first_line(error), 'mend torch first')
        return
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        yield Row('GPU', OK, f'{", ".join(names)}; CUDA {torch.version.cuda}')
    elif sys.platform == 'darwin':
        yield Row('GPU', OK, 'none: there is no CUDA on macOS')
    elif torch.version.cuda is None:
        # PyPI has builds with CUDA for Linux only
        yield Row('GPU', WARN, 'this torch is built for the CPU only',
                  'the command that https://pytorch.org/get-started/locally/ shows for CUDA'
                  if sys.platform == 'win32' else 'pip install --force-reinstall torch torchvision')
    else:
        yield Row('GPU', WARN, f'none, or no driver for CUDA {torch.version.cuda}; trains on the '
                  'CPU', 'nvidia-smi  (shows whether the driver sees a GPU)')


def check_config(path: Path, timeout: float) -> Iterator[Row]:
    """Look whether a distillation config can be read and its teacher's weights be had."""
    try:
        load_package()
        from ctkd_det.configs import read_config, with_names
        from ctkd_det.models.distilled_config import SELF_TAUGHT
        find_modules_beside(path)
        cfg = with_names(read_config(path))
        model = cfg.model
    except Exception as error:  # a config is a program
        yield Row(f'config {path}', FAIL, first_line(error), f'correct {path}')
        return
    yield Row(f'config {path}', OK, model.type)
    yield _check_checkpoints(cfg)
    named = model.get('teacher_config')
    if isinstance(named, str) and named in SELF_TAUGHT:
        yield Row('teacher', OK, 'the student itself')
        return
    if not model.get('teacher_ckpt'):
        yield Row('teacher_ckpt', WARN, 'this config has no teacher')
        return
    if isinstance(model.teacher_config, str):
        yield _check_teacher(model.teacher_config)
    yield check_weights(model.teacher_ckpt, timeout)


def _check_checkpoints(cfg: dict) -> Row:
    """Look whether a crash could lose the training."""
    from ctkd_det.configs import type_name
    mend = ("default_hooks = dict(checkpoint=dict(type='ctkd_det.hooks.SafeCheckpointHook'), "
            "finite=dict(type='ctkd_det.hooks.FiniteLossHook'))")
    hook = checkpoint_hook(cfg)
    if hook is None:
        return Row('checkpoints', WARN, 'none are saved: default_hooks.checkpoint is None', mend)
    if saves_safely(hook):
        return Row('checkpoints', OK, 'survive a crash, and bring a training back exactly')
    return Row('checkpoints', WARN, f'{type_name(hook)}: a crash while it '
               'saves can lose the training, and a resumed one is another. (ctkd-det train puts a '
               "safe hook in the place of MMEngine's; other programs do not)", mend)


def _check_teacher(name: str) -> Row:
    from ..distill.zoo import find_config
    try:
        source = find_config(name)
        return Row('teacher_config', OK, f'{source.reference}, {source.num_classes} classes')
    except Exception as error:  # a config is a program
        return Row('teacher_config', FAIL, first_line(error), 'correct model.teacher_config')


def check_weights(where: str, timeout: float) -> Row:
    """Look whether a checkpoint is there, without loading it."""
    from ctkd_det.compat.addresses import checked_address
    from ctkd_det.compat.reading import CheckpointError
    try:
        where = checked_address(where)
    except CheckpointError as error:
        return Row('teacher_ckpt', FAIL, str(error), 'correct model.teacher_ckpt')
    if not where.startswith('https://'):
        if '://' in where:
            return Row('teacher_ckpt', WARN, f'{where}: not checked, mmengine will fetch it')
        there = Path(where).is_file()
        return Row('teacher_ckpt', OK if there else FAIL,
                   where if there else f'there is no file {Path(where).absolute()}',
                   'train the teacher, or ctkd-det distill ... --teacher-ckpt auto')
    request = urllib.request.Request(where, method='HEAD')
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            size = int(answer.headers.get('Content-Length') or 0)
        return Row('teacher_ckpt', OK, f'{where}, {size / 1e6:.0f} MB')
    except (urllib.error.URLError, OSError, ValueError) as error:
        return Row('teacher_ckpt', FAIL, f'{where}: {first_line(error)}',
                   'fetch it where there is a network, and set model.teacher_ckpt to the file')

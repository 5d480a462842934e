"""A frozen teacher whose pass costs less: batch norms folded away, half precision."""
from contextlib import contextmanager, nullcontext
from typing import ContextManager, Iterator, Optional

import torch
from mmcv.cnn import fuse_conv_bn
from torch import Tensor, nn

from .checkpoint import TeacherError

DTYPES = dict(bfloat16=torch.bfloat16, float16=torch.float16)
# roundings; a deep float32 teacher leaves some ten
_ROUNDINGS = 1000


@torch.no_grad()
def fold(detector: nn.Module, images: Tensor, name: str) -> None:
    """Take the batch norms of backbone and neck into the convolutions before them, in place.

    Weights are then stored with the channels last, too. mmcv pairs the layers
    by their order in their module, which is not always that of the forward
    pass, so the maps are compared before and after.

    Args:
        detector (nn.Module): In evaluation mode.
        images (Tensor): (B, 3, H, W), for the comparison.
        name (str): What to call it in messages.

    Raises:
        TeacherError: if its maps change by more than rounding.
    """
    with torch.autocast(images.device.type, enabled=False), _no_tf32():
        before = detector.extract_feat(images)
        _fold(detector)
        after = detector.extract_feat(images)
    for level, (old, new) in enumerate(zip(before, after, strict=True)):
        error = ((new - old).abs().max() / old.abs().max()).item()
        if error > _ROUNDINGS * torch.finfo(old.dtype).eps:
            raise TeacherError(
                f'teacher_fold: with its batch norms folded into its convolutions, level {level} '
                f"of {name}'s maps changes by {error:.0e} of its largest value: its layers do not "
                'run in the order in which they are defined. Set teacher_fold=False')


@contextmanager
def _no_tf32() -> Iterator[None]:
    """Convolve in float32: cuDNN's default rounds to TF32, of other weights to other maps."""
    allowed = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = allowed


def _fold(detector: nn.Module) -> None:
    for part in ('backbone', 'neck'):
        if hasattr(detector, part):
            fuse_conv_bn(getattr(detector, part))
    detector.requires_grad_(False).to(memory_format=torch.channels_last)


def check_dtype(dtype: Optional[str]) -> Optional[str]:
    """``dtype`` itself.

    Raises:
        ValueError: if it is neither None nor a key of ``DTYPES``.
    """
    if dtype is not None and dtype not in DTYPES:
        raise ValueError(f'teacher_dtype must be one of {", ".join(DTYPES)}, got {dtype!r}')
    return dtype


def autocast(dtype: Optional[str], device: torch.device) -> ContextManager:
    """Autocast to a key of ``DTYPES``; with None nothing changes."""
    return torch.autocast(device.type, DTYPES[dtype]) if dtype else nullcontext()

"""What the neck of a detector gives, seen on small, black images."""
import math
from contextlib import contextmanager
from typing import Iterator, NamedTuple, Sequence, Tuple

import torch
from torch import Tensor, nn

from ...first_line import first_line
from .checkpoint import TeacherError

# sides of the images; at the first, levels up to a stride of 128 have a position. An SSD takes no
# such small one
_SIDES = (128, 512, 300)
_NEEDS = (1, 2, 4, 8, 16, 32, 64, 128)


class NeckLevels(NamedTuple):
    """What the neck of a detector gives, in the neck's order.

    Attributes:
        channels: Width of each level.
        strides: Pixels of the image from one position to the next.
        own: Whether a level says something of its own. The coarsest of Faster
            R-CNN is every second position of the one before.
    """
    channels: Tuple[int, ...]
    strides: Tuple[float, ...]
    own: Tuple[bool, ...]


def neck_levels(detector: nn.Module) -> NeckLevels:
    """Look at what a detector makes of one small, black image.

    Black, because the weights of a student need not be initialised yet, and a
    deformable convolution that meets what is not finite can end the process.
    The neck sees noise in place of the backbone's maps: what it merely
    subsamples is found by its values. Where levels are as small as one
    position, their strides cannot be told apart, and the image is larger.

    Raises:
        TeacherError: if it makes something else than maps of it.
    """
    check_backbone(detector)
    name = type(detector).__name__
    smallest, failure = None, ''
    for side in _SIDES:
        try:
            levels = _levels(detector, side)
        except TeacherError:
            raise
        except Exception as error:  # a user's model may fail in any way there is
            failure = f'{side} x {side} pixels ({first_line(error)})'
            continue
        if side != _SIDES[0] or sum(stride == side for stride in levels.strides) < 2:
            return levels
        smallest = levels
    if smallest is None:
        raise TeacherError(f'backbone and neck of a {name} fail on a black image of {failure}, so '
                           'their maps cannot be compared: take another detector, or compare '
                           'logits only')
    return smallest


def check_backbone(detector: nn.Module) -> None:
    """See whether a detector has a backbone, which a wrapper of others (SoftTeacher) has not.

    Raises:
        TeacherError: if not.
    """
    if not hasattr(detector, 'backbone'):
        raise TeacherError(f'a {type(detector).__name__} has no backbone of its own, so it shows '
                           'no maps of a neck: take the plain detector inside it')


def padding_need(detector: nn.Module) -> Tuple[int, Tuple[float, ...]]:
    """The multiple to which a neck needs an image padded, and the strides of its levels.

    It is the smallest power of 2 for which each level has the usual size, a
    position for each stride that begins. It is 1 if none does that: then the
    neck has other sizes whatever the image's are, as an SSD's has.
    """
    side, strides = _SIDES[0], ()
    for need in (0, *_NEEDS):
        try:
            sizes = [x.size(2) for x in _look(detector, side + need)[0]]
        except Exception:  # maps that do not meet; or it takes no small image, or is no detector
            if not need:
                break
            continue
        if not need:
            strides = tuple(side / size for size in sizes)
        elif sizes == [math.ceil((side + need) / stride) for stride in strides]:
            return need, strides
    return 1, strides


def _levels(detector: nn.Module, side: int) -> NeckLevels:
    maps, noisy = _look(detector, side)
    if not all(isinstance(x, Tensor) and x.dim() == 4 for x in maps):
        raise TeacherError(f'the features of a {type(detector).__name__} are no maps (B, C, H, W)')
    own = [i == 0 or not noisy or not torch.equal(x, maps[i - 1][..., ::2, ::2])
           for i, x in enumerate(maps)]
    return NeckLevels(tuple(x.size(1) for x in maps), tuple(side / x.size(2) for x in maps),
                      tuple(own))


@torch.no_grad()
def _look(detector: nn.Module, side: int) -> Tuple[Sequence[Tensor], bool]:
    """The maps of a black image, and whether the neck saw noise."""
    image = next(detector.parameters()).new_zeros((1, 3, side, side))
    noise = torch.Generator().manual_seed(0)
    with _evaluating(detector):
        maps = detector.backbone(image)
        # a neck that runs a backbone of its own gets the image, too: no noise for that one
        noisy = detector.with_neck and all(x.shape != image.shape for x in maps)
        if noisy:
            maps = [torch.randn(x.shape, generator=noise, device='cpu').to(x) for x in maps]
        if detector.with_neck:
            maps = detector.neck(tuple(maps))
    return maps, noisy


@contextmanager
def _evaluating(detector: nn.Module) -> Iterator[None]:
    """In evaluation mode, and afterwards each module in its own again."""
    modes = [(module, module.training) for module in detector.modules()]
    detector.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode

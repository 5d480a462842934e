"""The towers of a dense head, cut at one of their layers."""
from contextlib import ExitStack, contextmanager
from typing import Any, Callable, Iterator, List, Sequence

from torch import Tensor, nn

from .heads import dense_reader


class TowerCut:
    """Where the maps of one layer of a dense head's towers can be heard, or others put in.

    A tower is the stack of convolutions before the layer that predicts; a head
    has one for classes and one for boxes. The cut is between a layer's norm
    and its activation. A head runs its towers level by level, the one for
    classes first, and the maps of a step stand in this order.

    Args:
        head (nn.Module): See :func:`dense_head`.
        layer (int): Which layer of each tower; the first is 1.

    Raises:
        TypeError: if the head has no such towers.
        ValueError: if a tower has no such layer, or none with an activation; the end of a
            sentence about the head.
    """

    def __init__(self, head: nn.Module, layer: int) -> None:
        blocks = [_block(each, layer) for each in _stacks(head)]
        self.widths = [block.out_channels for block in blocks]
        # RTMDet-Ins has the same modules in both towers
        self.activations = list(dict.fromkeys(block.activate for block in blocks))

    @contextmanager
    def heard(self) -> Iterator[List[Tensor]]:
        """Collect copies of the maps, (B, D, H, W) each, with their graph."""
        maps: List[Tensor] = []
        # the activation may work in place
        with self._hooked(lambda module, args: maps.append(args[0].clone())):
            yield maps

    @contextmanager
    def replaced(self, maps: Sequence[Tensor]) -> Iterator[None]:
        """Put other maps in, those of another head's step."""
        others = iter(maps)
        with self._hooked(lambda module, args: (next(others).to(args[0].dtype), )):
            yield

    @contextmanager
    def _hooked(self, hook: Callable[[nn.Module, tuple], Any]) -> Iterator[None]:
        with ExitStack() as hooks:
            for module in self.activations:
                hooks.enter_context(module.register_forward_pre_hook(hook))
            yield


def tower_depth(head: nn.Module) -> int:
    """Layers of the shortest tower of a dense head.

    Raises:
        TypeError: if it has no towers of classes and of boxes.
    """
    return min(map(len, _stacks(head)))


def _stacks(head: nn.Module) -> List[Sequence[nn.Module]]:
    """The layers of both towers, of each level where a level has its own."""
    towers = [getattr(head, name, None) for name in dense_reader(head).towers]
    if not towers or not all(towers):
        raise TypeError(f'{type(head).__name__} has no two towers of convolutions, one for classes '
                        'and one for boxes, so its layers cannot be crossed: RetinaHead, '
                        'FCOSHead, ATSSHead, GFLHead, RTMDetHead and heads made like these have. '
                        'Take another detector, or another method, without cross_head')
    return [stack for tower in towers for stack in (
        tower if isinstance(tower[0], (nn.ModuleList, nn.Sequential)) else [tower])]


def _block(stack: Sequence[nn.Module], layer: int) -> nn.Module:
    """The convolution of a layer, with its norm and activation."""
    if not 1 <= layer <= len(stack):
        raise ValueError(f'has towers of {len(stack)} layers, 1 to {len(stack)}')
    # of a depthwise separable convolution the last
    block = getattr(stack[layer - 1], 'pointwise_conv', stack[layer - 1])
    if not getattr(block, 'with_activation', False):
        raise ValueError(f'has no activation in layer {layer} of a tower')
    return block

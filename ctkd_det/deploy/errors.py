"""What the graphs do not cover, found before anything is traced."""
from typing import Any, Iterable

from torch import nn


class NotDeployable(ValueError):
    """A part of a detector that the exported graph would not compute as mmdet does."""


def require(part: Any, kinds: Iterable[type], what: str) -> None:
    """See that a part is exactly of one of these classes.

    A subclass may compute something else, so it is refused as well.

    Raises:
        NotDeployable: if it is of another class.
    """
    kinds = tuple(kinds)
    if type(part) not in kinds:
        raise NotDeployable(f'{what} {type(part).__name__} cannot be exported to ONNX. What can: '
                            f'{", ".join(kind.__name__ for kind in kinds)}')


def require_plain_nms(config: dict, what: str) -> None:
    """See that a ``test_cfg`` asks for the ordinary NMS.

    Raises:
        NotDeployable: if it asks for soft-NMS or another kind, or none.
    """
    nms = config.get('nms') or {}
    unknown = set(nms) - {'type', 'iou_threshold', 'class_agnostic', 'split_thr'}
    if nms.get('type') != 'nms' or unknown:
        raise NotDeployable(f'{what}.nms={dict(nms)} cannot be exported to ONNX; only '
                            "dict(type='nms', iou_threshold=...) can")


def require_limits(config: dict, keys: Iterable[str], what: str) -> None:
    """See that a ``test_cfg`` limits how many boxes there are; -1 is mmdet's "keep all".

    Raises:
        NotDeployable: if it does not; the message names the key.
    """
    for key in keys:
        if (config.get(key) or -1) <= 0:
            raise NotDeployable(f'{what} has no {key} above 0, which an ONNX file needs')


def require_known_outputs(loss: nn.Module, what: str) -> None:
    """See that class logits have no activation of their own, as Seesaw loss brings.

    Raises:
        NotDeployable: if they have.
    """
    if getattr(loss, 'custom_cls_channels', False):
        raise NotDeployable(f'{what} {type(loss).__name__} has an activation of its own, which '
                            'cannot be exported to ONNX')

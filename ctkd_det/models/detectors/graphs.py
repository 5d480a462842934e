"""Sees whether what is compared has a graph: a loss of what has none teaches nothing."""
from typing import Any, Collection, Dict, Sequence

from torch import Tensor

from ..taps import DenseLogits, RoILogits

# mmengine checkpoints without a graph inside, and gives no gradient to a module whose inputs
# need none (behind frozen stages) or come in a tuple (the neck, the whole backbone)
_ELSEWHERE = ('take with_cp=True of the backbone, or checkpoint single stages of it behind the '
              'frozen ones, such as backbone.layer3')


def check_roi_features(records: Sequence[RoILogits]) -> None:
    """See whether a loss between RoI features reaches the student, where that learns.

    Raises:
        RuntimeError: if not, saying why.
    """
    for record in records:
        if record.cls_score.requires_grad and not record.features.requires_grad:
            raise RuntimeError(
                'the RoI features have no graph: activation checkpointing of roi_head hides it. '
                f'In its place {_ELSEWHERE}; or compare no RoI features'
                if record.features_hidden else
                'backbone, neck and the layers before fc_cls are frozen, so a loss between RoI '
                'features teaches nothing: leave it out')


def check_maps(maps: Sequence[Tensor], losses: Dict[str, Any]) -> None:
    """See whether a loss between the necks reaches the student, where that learns.

    Looked at in each step in which such a loss is active, since a hook may
    freeze parts, or free them, on the way.

    Args:
        maps (Sequence[Tensor]): Of the student's neck.
        losses (dict): The student's own.

    Raises:
        RuntimeError: if not.
    """
    learns = any(x.requires_grad for value in losses.values()
                 for x in (value if isinstance(value, (list, tuple)) else [value]))
    if learns and not any(x.requires_grad for x in maps):
        raise RuntimeError(
            'the maps of the neck have no graph, so a loss between the necks teaches the student '
            'nothing. If backbone and neck are frozen: leave it out, or let its window begin when '
            f'they learn. If activation checkpointing hides the graph: in its place {_ELSEWHERE}')


def check_crossing(record: DenseLogits, compared: Collection[str], layer: int) -> None:
    """See whether losses between crossed predictions reach the student, where that learns.

    Args:
        record (DenseLogits): Of the student's own head.
        compared (Collection[str]): What the losses compare, see :class:`DistillLoss`.
        layer (int): That of the :class:`TowerCut`.

    Raises:
        RuntimeError: if not.
    """
    if not record.cls_score.requires_grad:
        return
    # of each level that of classes, then that of boxes
    towers = dict(cls=record.tower_maps[::2] if 'logits' in compared else [],
                  reg=record.tower_maps[1::2] if set(compared) - {'logits', 'neck'} else [])
    for tower, maps in towers.items():
        if not all(x.requires_grad for x in maps):
            raise RuntimeError(
                f'cross_head: the maps after layer {layer} of the {tower} tower have no graph, so '
                'what they become in the head of the teacher teaches nothing. If activation '
                f'checkpointing of this layer hides it: in its place {_ELSEWHERE}. If all before '
                'them is frozen: leave cross_head out')

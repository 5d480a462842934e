"""Which DETRs can be distilled."""
from typing import Sequence, Tuple, Union

from mmdet.models.dense_heads import DeformableDETRHead, DETRHead, DINOHead
from mmdet.models.detectors.base_detr import DetectionTransformer
from mmdet.models.layers import (
    ConditionalDetrTransformerDecoder,
    DABDetrTransformerDecoder,
    DeformableDetrTransformerDecoder,
    DinoTransformerDecoder,
)
from torch import nn

# decoders whose answer depends on the image's memory and on queries alone
DECODERS = {ConditionalDetrTransformerDecoder: 'Conditional DETR',
            DABDetrTransformerDecoder: 'DAB-DETR',
            DeformableDetrTransformerDecoder: 'Deformable DETR',
            DinoTransformerDecoder: 'DINO'}
# what of their arguments is the queries
QUERY_ARGUMENTS = ('query', 'query_pos', 'reference_points')
# of decoders whose queries are a content and a box: which argument is the box, and whether it is
# given in front of its sigmoid
_BOXES = {DABDetrTransformerDecoder: ('query_pos', True),
          DinoTransformerDecoder: ('reference_points', False)}
WHOSE = ('student', 'teacher', 'random')
_LOSSES = tuple(head.loss_by_feat for head in (DETRHead, DeformableDETRHead, DINOHead))


def is_detr(detector: nn.Module) -> bool:
    """Whether it is a DETR of any kind."""
    return isinstance(detector, DetectionTransformer)


def detr_kind(detector: nn.Module) -> str:
    """What a DETR is called, after its decoder."""
    decoder = type(detector.decoder)
    return DECODERS.get(decoder, decoder.__name__)


def detr_head(detector: nn.Module) -> nn.Module:
    """The head of a DETR that can be distilled.

    Raises:
        TypeError: for any other, naming it.
    """
    head = type(detector.bbox_head)
    if type(detector.decoder) not in DECODERS or head.loss_by_feat not in _LOSSES or (
            head.loss_by_feat_single is not DETRHead.loss_by_feat_single):
        raise TypeError(
            f'{head.__name__} with {type(detector.decoder).__name__} cannot be distilled: of the '
            f'DETRs {", ".join(DECODERS.values())} can. Losses between the necks (PKDLoss, '
            'FGDLoss ...) serve any other as a teacher')
    return detector.bbox_head


def points_argument(detector: nn.Module) -> Tuple[str, bool]:
    """The decoder's argument with the boxes of its queries, and whether they are logits.

    Raises:
        ValueError: if its queries have no box.
    """
    try:
        return _BOXES[type(detector.decoder)]
    except KeyError:
        raise ValueError(
            f"distilled_queries='random': the places of a {detr_kind(detector)}'s queries are "
            "learned vectors, not coordinates that could be drawn; take 'teacher'") from None


def whose_queries(detector: nn.Module, whose: Union[str, Sequence[str]]) -> Tuple[str, ...]:
    """``distilled_queries`` of a DETR's distillation, checked.

    Raises:
        ValueError: if it is not one or several of :data:`WHOSE`, or 'random'
            is asked of a decoder whose queries have no places to draw.
    """
    names = (whose, ) if isinstance(whose, str) else tuple(whose)
    if not names or len(set(names)) < len(names) or not set(names) <= set(WHOSE):
        raise ValueError(f'distilled_queries must be one or several of {WHOSE}, got {whose!r}')
    if 'random' in names:
        points_argument(detector)
    return names


def different_queries(student: nn.Module, teacher: nn.Module) -> str:
    """Why the queries of one decoder mean nothing to another of its kind; '' if they do."""
    names = [name for name in ('embed_dims', 'as_two_stage')
             if getattr(student, name, None) != getattr(teacher, name, None)]
    return ', '.join(f'{name}={getattr(teacher, name, None)} and {getattr(student, name, None)}'
                     for name in names)

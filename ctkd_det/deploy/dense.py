"""Heads that predict at every location, the RPN among them."""
from typing import Optional, Sequence

import torch
from mmdet.models.dense_heads import (
    ATSSHead,
    FCOSHead,
    GFLHead,
    RetinaHead,
    RPNHead,
    RTMDetHead,
    RTMDetSepBNHead,
    YOLOXHead,
)
from torch import Tensor, nn

from .boxes import Size, decode, large_enough, priors_of, require_known_boxes
from .errors import (
    NotDeployable,
    require,
    require_known_outputs,
    require_limits,
    require_plain_nms,
)
from .suppression import Candidates, Kept, highest, size_of, suppress, take

HEADS = (RetinaHead, FCOSHead, ATSSHead, GFLHead, RTMDetHead, RTMDetSepBNHead, YOLOXHead)
# mmdet's YOLOX keeps all that its NMS leaves
MOST_OF_YOLOX = 300


def check_dense(head: nn.Module) -> None:
    """See that a dense head can be exported.

    Raises:
        NotDeployable: if not; the message names the part.
    """
    require(head, HEADS, 'bbox_head')
    _check(head, head.test_cfg, 'bbox_head', 'test_cfg')


def check_rpn(head: nn.Module, config: dict) -> None:
    """See that an RPN can be exported.

    Raises:
        NotDeployable: if not; the message names the part.
    """
    require(head, (RPNHead, ), 'rpn_head')
    _check(head, config, 'rpn_head', 'test_cfg.rpn')


def _check(head: nn.Module, config: dict, what: str, where: str) -> None:
    require_plain_nms(config, where)
    require_known_outputs(head.loss_cls, f'{what}.loss_cls')
    if not isinstance(head, YOLOXHead):
        require_known_boxes(head.prior_generator, head.bbox_coder, what)
        require_limits(config, ('nms_pre', 'max_per_img'), where)
        # mmdet's RPN alone measures in pixels of the input; the others in those of the image file,
        # which the graph does not know
        if not isinstance(head, RPNHead) and config.get('min_bbox_size', -1) > 0:
            raise NotDeployable(f'{where}.min_bbox_size={config["min_bbox_size"]} cannot be '
                                'exported to ONNX: MMDetection measures it in pixels of the image '
                                'file')


def most_of(config: dict) -> int:
    """Detections of an image at most; of YOLOX ours, where its ``test_cfg`` has no limit."""
    most = config.get('max_per_img') or -1
    return most if most > 0 else MOST_OF_YOLOX


def detect_dense(head: nn.Module, features: Sequence[Tensor], size: Size) -> Kept:
    """Detections of a dense head.

    Args:
        head (nn.Module): One of :data:`HEADS`.
        features (Sequence[Tensor]): Of the neck, (B, C, H, W) each.
        size (Size): Of the images.
    """
    outputs = head(features)
    if isinstance(head, YOLOXHead):
        return suppress(_yolox(head, *outputs), head.test_cfg.nms, most_of(head.test_cfg))
    found = _candidates(head, *outputs, size=size, config=head.test_cfg)
    return suppress(found, head.test_cfg.nms, head.test_cfg.max_per_img)


def propose(head: nn.Module, features: Sequence[Tensor], size: Size, config: dict) -> Kept:
    """Proposals of an RPN; the label of each is its level, -1 where there is none."""
    found = _candidates(head, *head(features), size=size, config=config)
    return suppress(found, config['nms'], config['max_per_img'])


def _candidates(head: nn.Module, scores: Sequence[Tensor], predicted: Sequence[Tensor],
                factors: Optional[Sequence[Tensor]] = None, *, size: Size,
                config: dict) -> Candidates:
    """The best of each level before NMS."""
    levels = []
    for level, (logits, sides) in enumerate(zip(scores, predicted, strict=True)):
        factor = None if factors is None else _rows(factors[level], 1)[..., 0].sigmoid()
        levels.append(_of_level(head, level, logits, sides, factor, size, config))
    return Candidates(*(torch.cat(parts, 1) for parts in zip(*levels, strict=True)))


def _of_level(head: nn.Module, level: int, logits: Tensor, sides: Tensor,
              factor: Optional[Tensor], size: Size, config: dict) -> Candidates:
    is_rpn = isinstance(head, RPNHead)
    classes = head.cls_out_channels
    scores = _rows(logits, classes)
    scores = scores.sigmoid() if head.use_sigmoid_cls else scores.softmax(-1)[..., :-1]
    classes = scores.shape[-1] if head.use_sigmoid_cls else classes - 1
    scores, places = highest(scores.flatten(1), config['nms_pre'])
    valid = torch.ones_like(scores) > 0 if is_rpn else scores > config.get('score_thr', 0)
    rows = torch.div(places, classes, rounding_mode='floor')
    priors = priors_of(head.prior_generator, level, logits)[rows]
    if isinstance(head, GFLHead):
        sides = take(_rows(sides, 4 * (head.reg_max + 1)), rows)
        sides = head.integral(sides).reshape_as(priors) * head.prior_generator.strides[level][0]
    else:
        sides = take(_rows(sides, 4), rows)
    boxes = decode(head.bbox_coder, priors, sides, size)
    if factor is not None:
        scores = scores * take(factor, rows)
    # an RPN's boxes suppress each other within a level
    labels = torch.full_like(places, level) if is_rpn else places - rows * classes
    return Candidates(boxes, scores, labels, valid & large_enough(boxes, config))


def _rows(x: Tensor, channels: int) -> Tensor:
    """(B, A * channels, H, W) as (B, H * W * A, channels)."""
    return x.permute(0, 2, 3, 1).reshape(size_of(x, 0), -1, channels)


def _yolox(head: nn.Module, logits: Sequence[Tensor], predicted: Sequence[Tensor],
           objectness: Sequence[Tensor]) -> Candidates:
    scores = torch.cat([_rows(x, head.cls_out_channels) for x in logits], 1).sigmoid()
    there = torch.cat([_rows(x, 1) for x in objectness], 1)[..., 0].sigmoid()
    strides = head.prior_generator.strides
    priors = []
    for level, x in enumerate(logits):
        points = priors_of(head.prior_generator, level, x)
        priors.append(torch.cat([points, torch.zeros_like(points) + points.new_tensor(
            strides[level])], 1))
    boxes = head._bbox_decode(torch.cat(priors), torch.cat([_rows(x, 4) for x in predicted], 1))
    best, labels = scores.max(-1)
    best = best * there
    return Candidates(boxes, best, labels, best >= head.test_cfg.score_thr)

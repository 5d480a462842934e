"""Where the mask logits of detectors come from."""
from typing import Any, List, Sequence

import torch
from mmdet.models.dense_heads import RTMDetInsHead
from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead
from torch import Tensor, nn

from .dense import flat


def mask_heads(detector: nn.Module) -> List[nn.Module]:
    """What predicts masks: of each stage of a RoI head, or RTMDet-Ins's head; [] if nothing does.

    Raises:
        TypeError: if a RoI head does not compute its masks from features and
            RoIs alone.
    """
    roi_head = getattr(detector, 'roi_head', None)
    if roi_head is None:
        head = getattr(detector, 'bbox_head', None)
        return [head] if isinstance(head, RTMDetInsHead) else []
    if not roi_head.with_mask:
        return []
    if getattr(type(roi_head), '_mask_forward', None) not in (
            StandardRoIHead._mask_forward, CascadeRoIHead._mask_forward):
        raise TypeError(f'the masks of {type(roi_head).__name__} cannot be distilled: they depend '
                        'on more than the features and the RoIs, as those of Mask R-CNN and '
                        'Cascade Mask R-CNN do not')
    heads = roi_head.mask_head
    return list(heads) if isinstance(heads, nn.ModuleList) else [heads]


def of_class(masks: Tensor, labels: Tensor) -> Tensor:
    """(P, H, W), the masks of these classes, from (P, C, H, W); of (P, 1, H, W) the only ones."""
    if masks.size(1) == 1:
        return masks[:, 0]
    return masks[torch.arange(len(masks), device=masks.device), labels]


def masks_of_locations(head: nn.Module, outputs: Sequence[Any], chosen: Tensor) -> Tensor:
    """The masks that RTMDet-Ins predicts from the kernels of some locations.

    Args:
        head (nn.Module): Its head.
        outputs (tuple): What its ``forward`` gave for B images.
        chosen (Tensor): (N,), bool, which locations, level by level.

    Returns:
        Tensor: (P, H, W) logits at the finest level's size, in the order of
        the locations.
    """
    levels, features = outputs[2], outputs[3]
    sizes = [level.shape[2:] for level in levels]
    priors = torch.cat(head.prior_generator.grid_priors(
        sizes, dtype=features.dtype, device=features.device, with_stride=True))
    # of every level the same priors, image after image
    counts = [height * width for height, width in sizes]
    priors = torch.cat([part.repeat(len(features), 1) for part in priors.split(counts)])[chosen]
    images = torch.cat([torch.arange(len(features), device=features.device).repeat_interleave(
        count) for count in counts])[chosen]
    kernels = flat(levels, head.num_gen_params)[chosen]
    masks = torch.cat([
        head._mask_predict_by_feat_single(one, kernels[images == i], priors[images == i])
        for i, one in enumerate(features)])
    # without any location they have no graph of their own
    return masks[images.argsort(stable=True).argsort()] + 0 * (kernels.sum() + features.sum())

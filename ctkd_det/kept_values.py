"""What some of MMDetection's modules keep from step to step, in no weight or buffer."""
from operator import attrgetter
from typing import Any, Dict, Iterator, Tuple

import numpy as np
from mmdet.models import BatchSyncRandomResize, DDODHead, DynamicRoIHead
from torch import nn

# the size of YOLOX's next batches; how many objects each level has had; the thresholds of
# Dynamic R-CNN, and what the next ones follow from
_KEPT = {
    BatchSyncRandomResize: ('_input_size', ),
    DDODHead: ('cls_num_pos_samples_per_level', ),
    DynamicRoIHead: ('iou_history', 'beta_history', 'bbox_assigner.pos_iou_thr',
                     'bbox_assigner.neg_iou_thr', 'bbox_assigner.min_pos_iou',
                     'bbox_head.loss_bbox.beta'),
}


def kept_values(model: nn.Module) -> Dict[str, Any]:
    """Numbers, lists of them, or None, by the name of their module and its attribute."""
    # numpy's numbers become Python's, which a restricted reader of checkpoints allows
    return {f'{name}.{kept}': np.asarray(attrgetter(kept)(module)).tolist()
            for name, module, kept in _kept(model)}


def restore_kept_values(model: nn.Module, values: Dict[str, Any]) -> None:
    """Bring them back to where :func:`kept_values` saw them; others stay as they are."""
    for name, module, kept in _kept(model):
        if f'{name}.{kept}' in values:
            owner, _, attribute = kept.rpartition('.')
            value = values[f'{name}.{kept}']
            setattr(attrgetter(owner)(module) if owner else module, attribute,
                    value.copy() if isinstance(value, list) else value)


def _kept(model: nn.Module) -> Iterator[Tuple[str, nn.Module, str]]:
    for name, module in model.named_modules():
        for kind, attributes in _KEPT.items():
            if isinstance(module, kind):
                for kept in attributes:
                    yield name, module, kept

import pytest
import torch
from torch import nn

from ctkd_det.models.taps import RoITap
from helpers import batch, build, student_config


@pytest.fixture
def model():
    return build(student_config()).train()


def test_records_what_the_loss_saw(model):
    data = batch(model)
    seen = {}

    def spy(module, args, kwargs, output):
        seen.update(score=args[0], labels=args[1], weights=args[2], loss=output, **kwargs)

    model.roi_head.bbox_head.loss_cls.register_forward_hook(spy, with_kwargs=True)
    with RoITap(model.roi_head) as (record, ):
        losses = model(**data, mode='loss')
    assert record.cls_score is seen['score'] and record.labels is seen['labels']
    assert record.avg_factor == seen['avg_factor'] == len(record.rois)
    assert record.rois.shape == (len(record.cls_score), 5)
    # the logits belong to these RoIs, in this order
    with torch.no_grad():
        feats = model.extract_feat(data['inputs'])
    assert set(record.rois[:, 0].tolist()) == {0.0, 1.0} and len(feats) == 3
    assert losses['loss_cls'] is seen['loss']


def test_leaves_no_hooks_even_after_an_error(model):
    with pytest.raises(RuntimeError, match='inside'), RoITap(model.roi_head):
        raise RuntimeError('inside')
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_a_head_without_roi_logits_is_named():
    class StrangeHead(nn.Module):
        pass

    with pytest.raises(TypeError, match='StrangeHead'):
        RoITap(StrangeHead())

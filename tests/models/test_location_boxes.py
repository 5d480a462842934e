"""Boxes of every location, beside what plain mmdet makes of the same outputs."""
import pytest
import torch
from mmdet.models.dense_heads import ATSSHead, DDODHead, FCOSHead, PAAHead

import families
from ctkd_det.models.boxes import location_boxes
from ctkd_det.models.dense import flat
from ctkd_det.models.heads import dense_reader
from helpers import build


@pytest.mark.parametrize('family', families.DENSE)
def test_every_detection_is_the_box_and_class_of_a_location(family):
    model = families.make_opinionated(build(families.tiny(family)), seed=0).eval()
    head = model.bbox_head
    head.test_cfg.update(score_thr=0.0, min_bbox_size=-1)
    if hasattr(head, 'bbox_coder'):
        head.bbox_coder.clip_border = False
    if family == 'paa':  # means of several boxes
        head.with_score_voting = False
    data = families.batch(model, num_images=1, training=False)
    with torch.no_grad():
        found = model(**data, mode='predict')[0].pred_instances
        outputs = head(model.extract_feat(data['inputs']))
    logits = flat(dense_reader(head).logits(outputs), head.cls_out_channels)
    boxes = location_boxes(head, outputs, torch.ones(len(logits), dtype=torch.bool))
    assert boxes.shape == (len(logits), 4)
    scores = logits.sigmoid()
    if type(head) in (FCOSHead, ATSSHead, DDODHead, PAAHead):  # what they multiply their classes by
        scores = scores * flat(outputs[2], 1).sigmoid()
    if family == 'paa':
        scores = scores.sqrt()
    assert len(found) > 8
    apart = (found.bboxes[:, None] - boxes).abs().amax(2)
    apart = apart + (found.scores[:, None] - scores[:, found.labels].T).abs()
    assert apart.amin(1).max() < 1e-3
    chosen = torch.arange(len(boxes)) % 3 == 0
    assert torch.equal(location_boxes(head, outputs, chosen), boxes[chosen])

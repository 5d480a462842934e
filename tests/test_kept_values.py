"""What MMDetection's modules keep outside of their weights."""
import copy

import pytest
import torch

import families
from ctkd_det.kept_values import kept_values, restore_kept_values
from helpers import build

LEVELS = 'bbox_head.cls_num_pos_samples_per_level'


def test_the_losses_of_ddod_depend_on_how_many_objects_each_level_has_had():
    """Once they are restored, a copy with the same weights has the same losses."""
    model = build(families.tiny('ddod')).train()
    fresh, data = copy.deepcopy(model), families.batch(model)

    def loss_of_classes(detector):
        return sum(detector(**data, mode='loss')['loss_cls']).item()
    model.bbox_head.cls_num_pos_samples_per_level[1] += 5  # as after other images
    kept = kept_values(model)
    assert kept == {LEVELS: [0, 5, 0, 0, 0]}
    expected = loss_of_classes(model)
    assert loss_of_classes(fresh) != expected
    for _ in range(2):  # the values are copies, which a step does not change
        restore_kept_values(fresh, kept)
        assert loss_of_classes(fresh) == expected


def test_nothing_is_kept_of_other_detectors():
    assert kept_values(build(families.tiny('retinanet'))) == {}


def test_numbers_of_numpy_become_those_of_python():
    """Which a checkpoint that is read restricted may hold."""
    model = build(families.tiny('dynamic')).train()
    head = model.roi_head
    head.train_cfg.dynamic_rcnn.update_iter_interval = 1
    torch.manual_seed(0)
    model(**families.batch(model), mode='loss')
    kept = kept_values(model)
    assert all(type(value) in (float, list) for value in kept.values())
    assert kept['roi_head.bbox_assigner.pos_iou_thr'] == pytest.approx(
        head.bbox_assigner.pos_iou_thr, abs=0)
    other = build(families.tiny('dynamic'))
    restore_kept_values(other, kept)
    assert kept_values(other) == kept

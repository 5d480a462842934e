"""A step without any RoI: what stands in for it has the shapes of a step with one."""
import pytest
import torch

from ctkd_det.models import BoxKDLoss
from ctkd_det.models.boxes import roi_box_side
from ctkd_det.models.heads import classifiers, num_logits
from ctkd_det.models.taps import RoILogits
from helpers import CLASSES, GLOBAL, batch, build, distill, student_config


@pytest.fixture(scope='module')
def model(teacher):
    return build(distill(student_config(), teacher, dict(loss_ctkd=GLOBAL))).train()


def records(model):
    # as the tap leaves them where mmdet skips the loss
    empty = RoILogits.__new__(RoILogits)
    for name in ('cls_score', 'labels', 'label_weights', 'avg_factor', 'rois', 'features'):
        setattr(empty, name, None)
    return model.complete([empty], torch.zeros(1))


def test_widths_are_those_of_the_classifier(model):
    """Eight classes and the background; of sigmoids there is no background."""
    head = classifiers(model)[0]
    assert num_logits(head) == head.fc_cls.out_features == len(CLASSES) + 1 == 9
    head.loss_cls.use_sigmoid = True
    assert num_logits(head) == 8
    head.loss_cls.use_sigmoid = False
    record = records(model)[0]
    assert record.cls_score.shape == (0, 9) and record.rois.shape == (0, 5)
    assert record.labels.shape == record.label_weights.shape == (0, )
    assert record.labels.dtype == torch.long and record.avg_factor == 0


def test_the_teachers_empty_answer_is_as_wide(model):
    data = batch(model)
    rois = [record.rois for record in records(model)]
    answers = model.teacher.roi_logits(data['inputs'], data['data_samples'], rois)
    assert [tuple(x.shape) for x in answers] == [(0, 9)]
    # beside an answer that is not empty
    answers = model.teacher.roi_logits(data['inputs'], data['data_samples'],
                                       [torch.tensor([[0., 1, 1, 20, 20]])])
    assert [tuple(x.shape) for x in answers] == [(1, 9)]


def test_the_loss_is_zero_with_every_parameter_in_its_graph(model):
    model.zero_grad()
    record = records(model)[0]
    loss = model.distill_losses['loss_ctkd'](
        record.cls_score, torch.zeros(0, 9), record.labels, weight=record.label_weights,
        avg_factor=record.avg_factor)
    loss.backward()
    assert loss == 0
    assert all((p.grad == 0).all() for p in classifiers(model)[0].parameters())


def test_a_loss_between_boxes_or_masks_alone_has_the_classifier_in_its_graph_too(model):
    """mmdet computes no classification loss without any RoI."""
    head = classifiers(model)[0]
    record = records(model)[0]
    record.teacher_boxes = torch.zeros(0, 4)
    side = roi_box_side(head, record)
    boxes = BoxKDLoss('bounded')(side['student'], side['teacher'], side['objects'],
                                 side['weight'], side['avg_factor'])
    # mmdet's mask head has predicted the masks of no RoI
    record = model.complete([RoILogits(mask_logits=torch.zeros(0, 8, 28, 28))], torch.zeros(1))[0]
    for loss in (boxes, record.mask_logits.sum()):
        model.zero_grad()
        assert loss == 0
        loss.backward()
        assert all((p.grad == 0).all() for p in head.parameters())


def test_as_many_answers_as_stages(model):
    """A stage without an answer, or the reverse, is an error and no shorter list."""
    data = batch(model)
    for number in (0, 2):
        with pytest.raises(ValueError, match='zip'):
            model.teacher.roi_logits(data['inputs'], data['data_samples'],
                                     [torch.zeros(0, 5)] * number)
        with pytest.raises(ValueError, match='zip'):
            model.complete([records(model)[0]] * number, torch.zeros(1))
    samples = data['data_samples']
    model.teacher.scale.factor = 0.5
    try:
        assert model.teacher.scale.images(data['inputs'], samples).shape == (2, 3, 32, 32)
    finally:
        model.teacher.scale.factor = 1

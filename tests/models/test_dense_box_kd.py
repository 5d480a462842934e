"""Boxes of single-stage detectors in pixels, against what mmdet's own losses receive."""
import copy

import pytest
import torch
from dense_targets import targets
from mmengine.logging import MessageHub

import families
import helpers
from ctkd_det.models.boxes import dense_box_side
from ctkd_det.models.boxes.dense import _scores
from ctkd_det.models.taps import DenseLogits
from ctkd_det.models.teachers import TeacherError

BOUNDED = dict(type='BoxKDLoss', mode='bounded', margin=1e6)  # every box is pulled
ALL = dict(type='BoxKDLoss', mode='iou', source='all_boxes')
NORMED = dict(norm_on_bbox=True)
DECODED = dict(reg_decoded_bbox=True, loss_bbox=dict(type='GIoULoss'))


@pytest.fixture(autouse=True)
def first_epoch():
    MessageHub.get_current_instance().update_info('epoch', 0)


def student(family, head=None):
    cfg = families.tiny(family)
    cfg.model.bbox_head.merge(head or {})
    return cfg


def lively(model, seed=2):
    """Boxes of different sizes at different locations."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in families.make_opinionated(model, seed).named_parameters():
        if name.startswith('bbox_head') and name.endswith('reg.weight'):
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.05
    return model


def build(family, made, head=None, **losses):
    cfg = student(family, head)
    cfg.model.update(type='KnowledgeDistillationDenseDetector', distill_losses=losses, **made)
    return lively(helpers.build(cfg)).train()


@pytest.mark.parametrize('family,teacher,head', [
    ('retinanet', 'retinanet', None), ('retinanet', 'retinanet', DECODED),
    ('fcos', 'gfl', NORMED), ('atss', 'fcos', None),
    ('gfl', 'atss', None), ('rtmdet', 'rtmdet', None)])
def test_the_objects_and_the_students_boxes_are_those_of_mmdets_loss(
        family, teacher, head, tmp_path):
    model = build(family, families.save_teacher(tmp_path, families.tiny(teacher)), head,
                  loss_box=BOUNDED, loss_all=ALL)
    data, seen, heard = helpers.batch(model), {}, []
    for name in ('loss_box', 'loss_all'):
        model.distill_losses[name].register_forward_hook(
            lambda m, args, kwargs, out, name=name: seen.update({name: (args, kwargs)}),
            with_kwargs=True)
    model.bbox_head.loss_bbox.register_forward_pre_hook(
        lambda m, args: heard.append(args[:3]))
    losses = model(**copy.deepcopy(data), mode='loss')
    (own, theirs), kwargs = seen['loss_box']
    assert len(own) == len(theirs) == len(kwargs['objects']) == len(kwargs['weight']) > 2
    truth = torch.cat([s.gt_instances.bboxes for s in data['data_samples']])
    assert (kwargs['objects'][:, None] - truth[None]).abs().amax(2).amin(1).max() < 1e-3
    predicted = torch.cat([x[0] for x in heard])
    if family == 'retinanet':  # it hands over offsets; the anchors are those of the objects
        assert len(own) < len(predicted)
    elif family != 'gfl' and not head:  # these two count in strides
        torch.testing.assert_close(own, predicted, rtol=1e-5, atol=1e-4)
    else:  # the overlap with an object does not depend on the unit of both
        boxes, targets = (torch.cat([x[i] for x in heard]) for i in (0, 1))
        if family == 'gfl':
            from mmdet.structures.bbox import bbox_overlaps
            torch.testing.assert_close(bbox_overlaps(own, kwargs['objects'], is_aligned=True),
                                       bbox_overlaps(boxes, targets, is_aligned=True),
                                       rtol=1e-4, atol=1e-5)
    everywhere, weights = seen['loss_all'][0][0], seen['loss_all'][1]['weight']
    assert len(everywhere) == len(weights) > len(own) and seen['loss_all'][1]['objects'] is None
    assert losses['loss_box'] > 0 and losses['loss_all'] > 0
    model.parse_losses(losses)[0].backward()
    assert all(p.grad is None for p in model.teacher_model.parameters())


@pytest.mark.parametrize('family,head', [
    ('retinanet', None), ('fcos', NORMED), ('atss', None), ('gfl', None), ('rtmdet', None)])
def test_a_teacher_with_the_students_weights_gives_zero(family, head, tmp_path):
    """In training FCOS leaves out a factor that its teacher, which is not, has in its outputs."""
    cfg = student(family, head)
    weights = lively(helpers.build(cfg)).state_dict()
    theirs = dict(type='BoxKDLoss', mode='bounded')
    model = build(family, families.save_teacher(tmp_path, cfg, weights=weights), head,
                  loss_box=theirs, loss_iou=dict(type='BoxKDLoss', mode='iou'), loss_all=ALL)
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()
    losses = model(**helpers.batch(model), mode='loss')
    assert [losses[name].item() for name in ('loss_box', 'loss_iou', 'loss_all')] == [0.0] * 3


def test_boxes_everywhere_by_an_independent_formula(tmp_path):
    """BCKD: the largest difference of the scores, times 1 - GIoU, over the number of objects.

    Times the weight that mmdet gives to the location, 2 to those of objects.
    """
    made = families.save_teacher(tmp_path, families.tiny('atss'), weights=lively(
        helpers.build(families.tiny('atss')), seed=1).state_dict())
    model = build('atss', made, loss_all=dict(ALL, loss_weight=4.0))
    data, outputs, head = helpers.batch(model), [], model.bbox_head
    head.train_cfg.pos_weight = 2.0
    weights, _, objects = targets(model, data)
    assert set(weights.tolist()) == {1.0, 2.0}
    head.register_forward_hook(lambda m, args, out: outputs.append(out))
    loss = model(**copy.deepcopy(data), mode='loss')['loss_all']
    loss.backward()
    # the scores say how much a box counts, and do not learn from that
    assert head.atss_cls.weight.grad is None and head.atss_reg.weight.grad.any()
    theirs = model.teacher_model
    with torch.no_grad():
        outputs.append(theirs.bbox_head(theirs.extract_feat(data['inputs'])))
    anchors = head.prior_generator.grid_priors([x.shape[-2:] for x in outputs[0][0]], device='cpu')
    total = 0.0
    by_level = weights.split([2 * len(level) for level in anchors])
    for level, (anchor, weight) in enumerate(zip(anchors, by_level, strict=True)):
        scores, boxes = [], []
        for cls, reg, _ in outputs:
            scores.append(cls[level].permute(0, 2, 3, 1).reshape(-1, 8).double().sigmoid())
            boxes.append(head.bbox_coder.decode(
                anchor.repeat(2, 1), reg[level].permute(0, 2, 3, 1).reshape(-1, 4)).double())
        s, t = boxes
        inner = (torch.minimum(s[:, 2:], t[:, 2:]) - torch.maximum(s[:, :2], t[:, :2])).clamp(0)
        outer = torch.maximum(s[:, 2:], t[:, 2:]) - torch.minimum(s[:, :2], t[:, :2])
        union = sum((x[:, 2:] - x[:, :2]).prod(1) for x in boxes) - inner.prod(1)
        giou = inner.prod(1) / union - (outer.prod(1) - union) / outer.prod(1)
        total += ((scores[0] - scores[1]).abs().amax(1) * (1 - giou) * weight).sum().item()
    assert loss.item() == pytest.approx(4 * total / objects, rel=1e-4) and total > 0


def test_in_a_crossed_head_the_teachers_regressor_says_the_students_boxes(tmp_path):
    """So they learn through the student's tower, and not through its own regressor."""
    made = families.save_teacher(tmp_path, families.tiny('atss'), weights=lively(
        helpers.build(families.tiny('atss')), seed=1).state_dict())
    models = [build('atss', dict(made, **cross), loss_box=BOUNDED)
              for cross in ({}, dict(cross_head=dict(layer=1)))]
    data, seen = helpers.batch(models[0]), []
    for model, learns in zip(models, (True, False), strict=True):
        model.distill_losses['loss_box'].register_forward_pre_hook(
            lambda m, args, kwargs: seen.append((*args, kwargs['objects'])), with_kwargs=True)
        model(**copy.deepcopy(data), mode='loss')['loss_box'].backward()
        weight = model.bbox_head.atss_reg.weight
        assert (weight.grad is not None and weight.grad.any().item()) == learns
        assert model.bbox_head.reg_convs[0].conv.weight.grad.any()
    (own, *same), (crossed, *others) = seen
    assert all(map(torch.equal, same, others)) and (own - crossed).abs().max() > 0.1


def test_scores_of_a_softmax_are_probabilities_of_its_classes():
    """A number that is added to all logits changes nothing, and the background is no class."""
    cfg = families.tiny('retinanet')
    cfg.model.bbox_head.loss_cls = dict(type='CrossEntropyLoss', use_sigmoid=False)
    head = helpers.build(cfg).bbox_head
    logits = torch.randn(5, head.num_classes + 1, generator=torch.Generator().manual_seed(0))
    for shift in (0, 5, -15):
        torch.testing.assert_close(_scores(head, logits + shift), logits.softmax(1)[:, :-1])


def test_distances_are_means_in_float32_under_autocast():
    """bfloat16 has steps of 1/16 at a distance of 8, which are pixels times the stride."""
    head = lively(helpers.build(student('gfl'))).bbox_head
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        outputs = head([torch.randn(1, head.in_channels, size, size, generator=generator)
                        for size in (8, 4, 2, 1, 1)])
    count = sum(x.shape[2] * x.shape[3] for x in outputs[0])
    record = DenseLogits(labels=torch.zeros(count).long(), outputs=outputs,
                         teacher_outputs=outputs, box_targets=[torch.zeros(count, 4)])
    exact = dense_box_side(head, head, record, 'boxes', None)['student']
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = dense_box_side(head, head, record, 'boxes', None)['student']
    assert torch.equal(found, exact)


@pytest.mark.parametrize('family,num_objects', [('retinanet', 0), ('gfl', 1), ('fcos', 0)])
def test_no_object_and_one(family, num_objects, tmp_path):
    made = families.save_teacher(tmp_path, families.tiny(family))
    model = build(family, made, loss_box=BOUNDED)
    losses = model(**helpers.batch(model, num_images=1, num_objects=num_objects), mode='loss')
    assert (losses['loss_box'] > 0) == bool(num_objects)
    model.parse_losses(losses)[0].backward()


@pytest.mark.parametrize('family,losses,message', [
    ('tood', dict(loss_box=BOUNDED), 'the boxes of TOODHead cannot be compared'),
    ('retinanet', dict(loss_box=dict(BOUNDED, source='all_boxes')), "source must be 'boxes'")])
def test_other_heads_are_named(family, losses, message, tmp_path):
    made = families.save_teacher(tmp_path, families.tiny(family))
    with pytest.raises((ValueError, TypeError, TeacherError), match=message):
        build(family, made, **losses)

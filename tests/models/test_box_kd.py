"""Boxes of student and teacher in pixels: the loss, and where its boxes come from."""
import copy
import math

import pytest
import torch

import families
import helpers
from ctkd_det.models import BoxKDLoss
from ctkd_det.models.boxes import regressed
from ctkd_det.models.teachers import TeacherError

BOUNDED = dict(type='BoxKDLoss', mode='bounded')
IOU = dict(type='BoxKDLoss', mode='iou')


@pytest.fixture(scope='module')
def teacher_of(tmp_path_factory):
    made = {}

    def make(family, **options):
        key = (family, *options)
        if key not in made:
            made[key] = families.save_teacher(
                tmp_path_factory.mktemp(family), families.tiny(family),
                weights=opinionated(helpers.build(families.tiny(family)), 1).state_dict(),
                **options)
        return dict(made[key])

    return make


def opinionated(model, seed):
    """Boxes that move by some tenths of a RoI."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in families.make_opinionated(model, seed).named_parameters():
        if 'fc_reg' in name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
    return model


def build(family, teacher, **losses):
    cfg = families.tiny(family)
    cfg.model.update(type='KnowledgeDistillationTwoStageDetector', distill_losses=losses, **teacher)
    return opinionated(helpers.build(cfg), seed=2).train()


def coded(box, of):
    """A box relative to an object, in Faster R-CNN's coding, in Python's own numbers."""
    w, h = of[2] - of[0], of[3] - of[1]
    return [(box[0] + box[2] - of[0] - of[2]) / 2 / w / 0.1,
            (box[1] + box[3] - of[1] - of[3]) / 2 / h / 0.1,
            math.log(max((box[2] - box[0]) / w, 0.01)) / 0.2,
            math.log(max((box[3] - box[1]) / h, 0.01)) / 0.2]


def bounded(s, t, y, margin=0.0, target='object'):
    a, b = coded(s, y), coded(t, y)
    error, theirs = (sum(v * v for v in x) for x in (a, b))
    pull = error if target == 'object' else sum((v - w)**2 for v, w in zip(a, b, strict=True))
    return pull if error + margin > theirs else 0.0


def giou(s, t):
    def area(box):
        return max(box[2] - box[0], 0) * max(box[3] - box[1], 0)
    inner = area([max(s[0], t[0]), max(s[1], t[1]), min(s[2], t[2]), min(s[3], t[3])])
    outer = area([min(s[0], t[0]), min(s[1], t[1]), max(s[2], t[2]), max(s[3], t[3])])
    union = area(s) + area(t) - inner
    return 1 - (inner / union - (outer - union) / outer)


CASES = [
    # student, teacher, object: the teacher better, the student better, far apart, degenerate
    ([10, 10, 30, 26], [11, 9, 33, 31], [12, 8, 34, 32]),
    ([12, 9, 34, 32], [20, 10, 40, 40], [12, 8, 34, 32]),
    ([60, 60, 70, 64], [11, 9, 33, 31], [12, 8, 34, 32]),
    ([20, 20, 20, 44], [11, 9, 33, 31], [12, 8, 34, 32])]


@pytest.mark.parametrize('options,formula', [
    (dict(mode='bounded'), bounded),
    (dict(mode='bounded', margin=500.0, target='teacher'),
     lambda s, t, y: bounded(s, t, y, 500.0, 'teacher')),
    (dict(mode='bounded', margin=-9.0), lambda s, t, y: bounded(s, t, y, -9.0)),
    (dict(mode='iou'), lambda s, t, y: giou(s, t))])
def test_value_and_gradient_by_hand(options, formula):
    s, t, y = (torch.tensor([case[i] for case in CASES], dtype=torch.float64) for i in range(3))
    weights = [1.0, 0.5, 2.0, 1.0]

    def by_hand(boxes):
        return 0.7 * sum(w * formula(a, b, c) for w, a, b, c in zip(
            weights, boxes.tolist(), t.tolist(), y.tolist(), strict=True)) / 5.0
    loss = BoxKDLoss(**options, loss_weight=0.7)
    student = s.clone().requires_grad_()
    value = loss(student, t.requires_grad_(), y, torch.tensor(weights), avg_factor=5.0)
    assert value.item() == pytest.approx(by_hand(s), rel=1e-9)
    value.backward()
    assert t.grad is None
    for i in (0, 1, 2):  # the last one stands on the edge of what is differentiable
        for j in range(4):
            step = torch.zeros_like(s)
            step[i, j] = 1e-5
            slope = (by_hand(s + step) - by_hand(s - step)) / 2e-5
            assert student.grad[i, j].item() == pytest.approx(slope, rel=1e-4, abs=1e-7)
    assert student.grad.isfinite().all()
    # in half precision it is computed in float32
    half = loss(s.half(), t.half(), y.half(), torch.tensor(weights), 5.0)
    assert half.dtype == torch.float32 and half.item() == pytest.approx(by_hand(s), rel=1e-5)


def test_nothing_to_compare_and_options_that_mean_nothing():
    none = torch.zeros(0, 4)
    for mode in ('bounded', 'iou'):
        assert BoxKDLoss(mode)(none, none, none).item() == 0
    bounded_loss, box = BoxKDLoss('bounded'), torch.tensor([[4.0, 4.0, 8.0, 9.0]])
    bounded_loss(box + 1, box, box)
    assert bounded_loss.statistics['taught'] == 1
    bounded_loss(none, none, none)  # nothing of the step before is logged
    assert bounded_loss.statistics == {}
    empty = torch.tensor([[4.0, 4.0, 4.0, 9.0]])
    assert BoxKDLoss('iou')(empty, empty).item() == 0 < BoxKDLoss('iou')(empty, empty + 1).item()
    inside_out = torch.tensor([[4.0, 4.0, -900.0, -900.0]])
    assert 0 < BoxKDLoss('iou')(inside_out, empty) <= 2
    with pytest.raises(ValueError, match="mode must be 'bounded' or 'iou'"):
        BoxKDLoss('giou')
    with pytest.raises(ValueError, match="target must be 'object' or 'teacher'"):
        BoxKDLoss('bounded', target='box')
    with pytest.raises(ValueError, match="options of mode='bounded'"):
        BoxKDLoss('iou', margin=1.0)


def test_decoded_boxes_by_hand():
    """Of a RoI of 20 by 10 whose center is (20, 15), with deviations of .1 and .2."""
    specific, agnostic = (helpers.build(families.tiny(name)).roi_head.bbox_head
                          for name in ('faster', 'cascade'))
    rois = torch.tensor([[10.0, 10.0, 30.0, 20.0]])
    offsets = torch.tensor([1.0, -2.0, math.log(2) / 0.2, 0.0])
    rows = torch.full((1, 8, 4), 9.0)
    rows[0, 5] = offsets  # half a step right, up, twice as wide
    expected = [[22 - 20, 13 - 5, 22 + 20, 13 + 5]]
    found = regressed(specific, rois, rows.reshape(1, 32), torch.tensor([5]))
    torch.testing.assert_close(found, torch.tensor(expected).float())
    found = regressed(agnostic[0], rois, offsets[None], torch.tensor([5]))
    torch.testing.assert_close(found, torch.tensor(expected).float())
    # the second stage's deviations are half as large
    found = regressed(agnostic[1], rois, 2 * offsets[None], torch.tensor([5]))
    torch.testing.assert_close(found, torch.tensor(expected).float())


@pytest.mark.parametrize('student,teacher,options,stages', [
    ('faster', 'faster', {}, [[0]]), ('faster', 'cascade', dict(teacher_stage='mean'), [[0, 1, 2]]),
    ('cascade', 'faster', {}, [[0]] * 3)])
def test_foreground_boxes_of_both_against_mmdets_own(student, teacher, options, stages, teacher_of):
    model = build(student, dict(teacher_of(teacher), **options),
                  loss_box=dict(BOUNDED, margin=1e6))  # every box is pulled
    data, seen, pooled = helpers.batch(model), [], []
    model.distill_losses['loss_box'].register_forward_hook(
        lambda m, args, kwargs, out: seen.append((args, kwargs, out)), with_kwargs=True)
    extractors = model.roi_head.bbox_roi_extractor
    for each in extractors if student == 'cascade' else [extractors]:
        each.register_forward_pre_hook(lambda m, args: pooled.append(args[1]))
    losses = model(**copy.deepcopy(data), mode='loss')
    theirs, truth = model.teacher_model, [s.gt_instances.bboxes for s in data['data_samples']]
    heads = theirs.roi_head.bbox_head if teacher == 'cascade' else [theirs.roi_head.bbox_head]
    with torch.no_grad():
        feats = theirs.extract_feat(model.teacher.convert(data['inputs'], data['data_samples']))
    assert len(seen) == len(stages) == len(pooled)
    for i, ((args, kwargs, _), rois, asked) in enumerate(zip(seen, pooled, stages, strict=True)):
        own, other = args
        assert len(own) == len(other) == len(kwargs['objects']) == len(kwargs['weight']) > 0
        assert kwargs['avg_factor'] == len(rois) and own.requires_grad
        assert not other.requires_grad and set(kwargs['weight'].tolist()) == {1.0}
        # every object is one of the image's, and the RoI's own by its overlap
        pixels = torch.cat(truth)
        distance = (kwargs['objects'][:, None] - pixels[None]).abs().amax(2)
        assert distance.amin(1).max() < 1e-3
        labels = torch.cat([s.gt_instances.labels for s in data['data_samples']])[
            distance.argmin(1)]
        found = []
        for stage in asked:
            head = heads[stage]
            args_ = (stage, ) if teacher == 'cascade' else ()
            with torch.no_grad():
                pred = theirs.roi_head._bbox_forward(*args_, feats, rois)['bbox_pred']
            boxes = head.bbox_coder.decode(rois[:, 1:].repeat_interleave(
                pred.size(1) // 4, 0), pred.reshape(-1, 4)).view(len(rois), -1, 4)
            found.append(boxes)
        # the RoIs that were foreground: those whose decoded answer is compared, in their order
        rows = []
        for box, label in zip(other, labels, strict=True):
            each = [boxes[:, label if boxes.size(1) > 1 else 0] for boxes in found]
            mean = sum(each) / len(each)
            rows.append((mean - box).abs().amax(1).argmin().item())
            assert (mean[rows[-1]] - box).abs().max() < 1e-3
        assert rows == sorted(set(rows))
        name = f's{i}.loss_box' if len(stages) > 1 else 'loss_box'
        weight = model.roi_head.stage_loss_weights[i] if len(stages) > 1 else 1
        value = sum(bounded(*case, 1e6) for case in zip(
            *(x.tolist() for x in (own, other, kwargs['objects'])), strict=True)) / len(rois)
        assert losses[name].item() == pytest.approx(weight * value, rel=1e-3) and value > 0
    assert losses['box.taught'] == 1
    model.parse_losses(losses)[0].backward()
    assert all(p.grad is None for p in theirs.parameters())
    regressors = model.roi_head.bbox_head if student == 'cascade' else [model.roi_head.bbox_head]
    assert all(head.fc_reg.weight.grad.abs().sum() > 0 for head in regressors)


def test_a_student_that_regresses_in_pixels(teacher_of):
    """As for losses of overlap: what mmdet's loss receives are boxes already."""
    cfg, heard, seen = families.tiny('faster'), [], []
    cfg.model.roi_head.bbox_head.update(reg_decoded_bbox=True, loss_bbox=dict(type='GIoULoss'))
    cfg.model.update(type='KnowledgeDistillationTwoStageDetector',
                     distill_losses=dict(loss_box=IOU), **teacher_of('faster'))
    model = opinionated(helpers.build(cfg), seed=2).train()
    model.roi_head.bbox_head.loss_bbox.register_forward_pre_hook(
        lambda module, args: heard.append(args[:2]))
    model.distill_losses['loss_box'].register_forward_pre_hook(
        lambda module, args, kwargs: seen.append((args[0], kwargs['objects'])), with_kwargs=True)
    model(**helpers.batch(model), mode='loss')
    assert len(heard[0][0]) > 2 and all(map(torch.equal, seen[0], heard[0]))


def test_a_teacher_with_the_students_weights_gives_exactly_zero(tmp_path):
    weights = opinionated(helpers.build(families.tiny('cascade')), seed=2).state_dict()
    model = build('cascade', families.save_teacher(tmp_path, families.tiny('cascade'),
                                                   weights=weights),
                  loss_box=BOUNDED, loss_iou=IOU, loss_theirs=dict(BOUNDED, target='teacher'))
    losses = model(**helpers.batch(model), mode='loss')
    found = [value.item() for name, value in losses.items() if name.split('.')[-1] in (
        'loss_box', 'loss_iou', 'loss_theirs')]
    assert found == [0.0] * 9


def test_weight_zero_is_plain_mmdet_to_the_last_bit(teacher_of):
    plain = families.trained(opinionated(helpers.build(families.tiny('faster')), seed=2).train())
    ours = families.trained(build('faster', teacher_of('faster'),
                                  loss_box=dict(BOUNDED, loss_weight=0.0)))
    assert all(torch.equal(value, ours[key]) for key, value in plain.items())


@pytest.mark.parametrize('num_objects', [0, 1])
def test_no_object_and_one(num_objects, teacher_of):
    model = build('faster', teacher_of('faster'), loss_box=IOU)
    losses = model(**helpers.batch(model, num_images=1, num_objects=num_objects), mode='loss')
    assert (losses['loss_box'] > 0) == bool(num_objects)
    model.parse_losses(losses)[0].backward()


def test_by_name_the_teachers_own_columns_are_taken(tmp_path):
    """Its classes in reverse: the same weights, reversed, give the same boxes."""
    cfg = families.tiny('faster')
    weights = opinionated(helpers.build(cfg), seed=2).state_dict()
    for key in ('weight', 'bias'):
        reg, cls = (f'roi_head.bbox_head.fc_{part}.{key}' for part in ('reg', 'cls'))
        weights[reg] = weights[reg].view(8, 4, -1).flip(0).reshape(weights[reg].shape)
        weights[cls] = torch.cat([weights[cls][:8].flip(0), weights[cls][8:]])
    made = families.save_teacher(tmp_path, cfg, classes=helpers.CLASSES[::-1], weights=weights)
    model = build('faster', dict(made, class_mapping='by_name'), loss_box=IOU)
    model.teacher.check_classes(helpers.CLASSES)
    assert model(**helpers.batch(model), mode='loss')['loss_box'].item() == pytest.approx(
        0, abs=1e-6)


@pytest.mark.parametrize('student,teacher,message', [
    ('sabl', 'faster', 'the boxes of SABLHead cannot be compared'),
    ('faster', 'grid', 'teacher .*: the boxes of Shared2FCBBoxHead cannot be compared')])
def test_other_regressors_are_named(student, teacher, message, tmp_path):
    made = families.save_teacher(tmp_path, families.tiny(teacher))
    with pytest.raises((TypeError, TeacherError), match=message):
        build(student, made, loss_box=IOU)

"""The second look at a rotated batch: geometry, what it leaves alone, whom it teaches."""
import copy
from contextlib import nullcontext
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from mmdet.models.detectors import TwoStageDetector
from torch import nn

import families
from ctkd_det.models import BinaryKDLoss, KDLoss
from ctkd_det.models.detectors import kd_two_stage, start_checks
from ctkd_det.models.detectors.loss_configs import check_rotated
from ctkd_det.models.detectors.rotated import one_per_object, rotated_answers
from ctkd_det.models.rotation import rotate_images, rotate_rois
from ctkd_det.models.taps import RoILogits
from helpers import GLOBAL, batch, build, distill, make_teacher, student_config

SSKD = dict(loss_kd=dict(type='KDLoss', temperature=4.0),
            loss_rotated=dict(type='KDLoss', temperature=4.0, rotated=True),
            loss_ss=dict(type='SSKDLoss', loss_weight=10.0))


@pytest.fixture(scope='module')
def wide_teacher(tmp_path_factory):
    return make_teacher(tmp_path_factory.mktemp('wide'), roi_head=dict(
        bbox_head=dict(fc_out_channels=48)))


def detector(teacher, losses=SSKD):
    return build(distill(student_config(), teacher, copy.deepcopy(losses))).train()


def step(model, **options):
    data = batch(model, **options)
    return model(**data, mode='loss')


@pytest.mark.parametrize('turns', [1, 2, 3])
def test_a_rotated_box_holds_the_rotated_pixels(turns):
    """Of the second image, whose batch is wider than high."""
    images = torch.arange(2 * 5 * 8).reshape(2, 1, 5, 8)
    x1, y1, x2, y2 = 1, 2, 4, 4
    rois = rotate_rois(torch.tensor([[1., x1, y1, x2, y2]]), turns, (5, 8))
    index, *box = map(int, rois[0])
    found = rotate_images(images, turns)[index, 0, box[1]:box[3], box[0]:box[2]]
    pixels = images[1, 0, y1:y2, x1:x2]
    for _ in range(turns):  # counterclockwise: the last column becomes the first row
        pixels = torch.stack([pixels[:, i] for i in reversed(range(pixels.size(1)))])
    assert torch.equal(found, pixels) and index == 1


@pytest.mark.parametrize('number', [1, 2, 3])
def test_the_rest_of_a_full_turn_gives_the_plain_logits(wide_teacher, number):
    """Four quarter turns of a batch that is wider than high, in two parts.

    The pixels are the same to the last bit. A RoI's edges are rounded where they are subtracted
    from W, by half a unit in the last place of a number below 128 (4e-6 pixels).
    """
    model = detector(wide_teacher)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 3, 64, 96, generator=generator)
    corner = torch.rand(6, 2, generator=generator) * 40
    rois = torch.cat([torch.arange(6)[:, None] % 2, corner, corner + 7.3], 1)
    plain, = rotated_answers(model, images, [rois], 0)
    moved, = rotated_answers(model, rotate_images(images, number),
                             [rotate_rois(rois, number, (64, 96))], 4 - number)
    torch.testing.assert_close(moved.rois, rois, rtol=0, atol=2e-5)
    torch.testing.assert_close(moved.cls_score, plain.cls_score, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(moved.features, plain.features, rtol=1e-4, atol=1e-5)
    between, = rotated_answers(model, images, [rois], number)
    assert (between.cls_score - plain.cls_score).abs().max() > 1e-3


def test_it_says_of_the_plain_batch_what_the_student_said(wide_teacher):
    """The same head, maps and RoIs as in the step itself."""
    model = detector(wide_teacher)
    data = batch(model)
    with model.tap() as records:
        TwoStageDetector.loss(model, data['inputs'], data['data_samples'])
    found, = rotated_answers(model, data['inputs'], [records[0].rois], 0)
    torch.testing.assert_close(found.cls_score, records[0].cls_score)
    torch.testing.assert_close(found.features, records[0].features)


def test_the_student_is_left_as_plain_mmdet_has_it(wide_teacher):
    """Running statistics, counters and random states are, to the last bit, after two steps."""
    model, plain = detector(wide_teacher), build(student_config()).train()
    assert any(isinstance(m, torch.nn.BatchNorm2d) and m.training for m in model.modules())
    found = {}
    for name, each in (('ours', model), ('theirs', plain)):
        torch.manual_seed(3)
        losses = [step(each, seed=seed) for seed in range(2)]
        found[name] = losses, dict(each.named_buffers()), torch.get_rng_state()
    (ours, buffers, state), (theirs, expected, plain_state) = found.values()
    for a, b in zip(ours, theirs, strict=True):
        assert all(torch.equal(torch.stack([*a[key]]), torch.stack([*b[key]]))
                   if isinstance(b[key], list) else torch.equal(a[key], b[key]) for key in b)
        assert a['loss_rotated'] > 0 and a['loss_ss'] > 0
    assert all(torch.equal(buffers[name], value) for name, value in expected.items())
    assert torch.equal(state, plain_state)


def test_weight_0_runs_nothing_and_trains_plain_mmdet(wide_teacher):
    off = {name: dict(loss, loss_weight=0.0) for name, loss in SSKD.items()}
    model, plain = detector(wide_teacher, off), build(student_config()).train()
    weights = []
    with patch.object(kd_two_stage, 'rotated_answers', side_effect=AssertionError), patch.object(
            model.teacher, 'features', side_effect=AssertionError):
        for each in (model, plain):
            optimizer = torch.optim.SGD(each.parameters(), lr=0.01, momentum=0.9, weight_decay=0.1)
            torch.manual_seed(3)
            for _ in range(2):
                optimizer.zero_grad()
                each.parse_losses(step(each))[0].backward()
                optimizer.step()
            weights.append(each.state_dict())
    assert all(torch.equal(weights[0][key], value) for key, value in weights[1].items())


def reached(model, loss):
    model.zero_grad()
    loss.backward(retain_graph=True)
    names = [name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()]
    return {'.'.join(name.split('.')[:2]) if 'head' in name else
            name.partition('.adapters.0.')[2].split('.')[0] or name.split('.')[0]
            for name in names}


def test_where_gradients_flow(wide_teacher):
    model = detector(wide_teacher)
    losses = step(model)
    student = {'backbone', 'neck', 'roi_head.bbox_head'}
    assert reached(model, losses['loss_rotated']) == student
    assert reached(model, losses['loss_ss']) == {*student, 'student', 'teacher'}
    # scales and shifts of normalisation learn from the second look, too
    assert all(m.weight.grad.any() for name, m in model.backbone.named_modules()
               if name == 'bn1')
    assert all(p.grad is None for p in model.teacher_model.parameters())


def test_both_sides_see_one_rotation_from_the_draws_of_the_loss(wide_teacher):
    """The rotated term by hand, with the RoIs, labels and weights of the plain step."""
    model = detector(wide_teacher, dict(loss_rotated=SSKD['loss_rotated']))
    model.eval()  # batch statistics would be others in a second pass
    generator, drawn = torch.Generator().manual_seed(0), set()
    for seed in range(4):
        turns = 1 + int(3 * torch.rand((), generator=generator))
        data = batch(model, seed=seed)
        with patch.object(kd_two_stage, 'rotated_answers', wraps=rotated_answers) as answers:
            losses = model(**data, mode='loss')
        _, images, (rois, ), used = answers.call_args.args
        assert used == turns and images is data['inputs']
        turned = rotate_rois(rois, turns, tuple(images.shape[2:]))
        s, t = (each.roi_head._bbox_forward(each.extract_feat(
            torch.rot90(images, turns, (2, 3))), turned)['cls_score'].double()
            for each in (model, model.teacher_model))
        expected = 16 * F.kl_div((s / 4).log_softmax(1), (t / 4).softmax(1),
                                 reduction='batchmean')
        torch.testing.assert_close(losses['loss_rotated'].double(), expected, rtol=1e-4, atol=0)
        drawn.add(turns)
    assert len(drawn) > 1


def test_the_teacher_sees_its_own_size_and_normalisation_rotated(wide_teacher):
    """Padding stays zero where it goes, and RoIs are scaled before they are turned."""
    model = detector(dict(wide_teacher, teacher_scale=0.5))
    data = batch(model)
    images, samples = data['inputs'], data['data_samples']
    images = F.pad(images, (0, 32))
    samples[0].set_metainfo(dict(img_shape=(48, 60)))
    prepared = model.teacher.prepare(images, samples)
    rois = torch.tensor([[0., 8, 4, 24, 36], [1., 0, 16, 40, 20]])
    with patch.object(model.teacher, 'extract_feat', lambda x: [x]), patch.object(
            model.teacher, '_classify', lambda feats, rois, stages: (feats[0], rois)):
        (seen, turned), = model.teacher.roi_logits(images, samples, [rois], turns=1)
    assert torch.equal(seen, torch.rot90(prepared, 1, (2, 3)))
    for before, after in zip(rois, turned, strict=True):
        i, x1, y1, x2, y2 = (before / torch.tensor([1, 2, 2, 2, 2])).int().tolist()
        _, *box = after.int().tolist()
        assert torch.equal(seen[i, :, box[1]:box[3], box[0]:box[2]],
                           torch.rot90(prepared[i, :, y1:y2, x1:x2], 1, (1, 2)))


def test_one_roi_for_each_object():
    """By hand: RoI 2 overlaps object 0 more than RoI 0; RoI 3 is background; object 2 has none."""
    record = RoILogits(
        labels=torch.tensor([1, 1, 1, 5, 0]),
        rois=torch.tensor([[0., 0, 0, 10, 10], [0, 20, 20, 30, 30], [0, 1, 1, 11, 11],
                           [0, 1, 1, 11, 11], [1, 1, 1, 11, 11]]))
    boxes = [torch.tensor([[1., 1, 11, 12], [20, 20, 30, 33], [50, 50, 60, 60]]),
             torch.zeros(0, 4)]
    assert one_per_object(record, boxes, num_classes=5).tolist() == [2, 1]
    boxes[1] = torch.tensor([[100., 100, 110, 110]])  # it is this object's, though apart
    assert one_per_object(record, boxes, num_classes=5).tolist() == [2, 1, 4]
    assert one_per_object(record, [boxes[0][:0]] * 2, num_classes=5).tolist() == []


def test_each_stage_of_a_cascade_beside_ctkd(tmp_path):
    taught = families.save_teacher(tmp_path, families.tiny('cascade'))
    losses = dict(SSKD, loss_ctkd=GLOBAL)
    losses['loss_rotated'] = dict(losses['loss_rotated'], temperature='loss_ctkd')
    model = build(distill(families.tiny('cascade'), taught, losses)).train()
    found = step(model)
    for i in range(3):
        assert found[f's{i}.loss_rotated'] > 0 and found[f's{i}.loss_ss'] > 0
    model.parse_losses(found)[0].backward()
    assert all(p.grad is not None for p in model.distill_losses.parameters())


def test_what_it_does_not_go_with():
    with pytest.raises(ValueError, match='loss_rotated looks at rotated images, and the student'):
        build(distill(student_config(), dict(teacher_config='refined'),
                      dict(loss_rotated=SSKD['loss_rotated'])))
    losses = nn.ModuleDict(dict(loss_it=BinaryKDLoss(temperature=4.0, rotated=True)))
    with pytest.raises(ValueError, match='loss_it: .* and a single-stage student has no RoIs'):
        check_rotated(losses, has_rois=False, teacher=None)


@pytest.mark.parametrize('ranks, with_cp, refused', [(2, True, True), (1, True, False),
                                                    (2, False, False)])
def test_checkpointed_activations_on_several_ranks_are_refused(ranks, with_cp, refused,
                                                               monkeypatch):
    """DDP would stop in the first backward pass: a variable is marked ready twice."""
    monkeypatch.setattr(start_checks, 'get_world_size', lambda: ranks)
    student = nn.Module()
    student.backbone, student.backbone.with_cp = nn.Module(), with_cp
    student.distill_losses = nn.ModuleDict(dict(loss_sskd=KDLoss(1.0, rotated=True)))
    with pytest.raises(ValueError, match='loss_sskd .*with_cp=True') if refused else nullcontext():
        start_checks._check_second_look(student)

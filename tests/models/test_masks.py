"""Masks of Mask R-CNN, Cascade Mask R-CNN and RTMDet-Ins, of the student's RoIs or kernels."""
import copy

import numpy as np
import pytest
import torch
from dense_targets import targets

import families
import helpers
from ctkd_det.models import MaskKDLoss
from ctkd_det.models.teachers import TeacherError
from logit_formulas import Given, kl

TAU = 2.0
MASKS = dict(type='MaskKDLoss', temperature=TAU)


def by_hand(s, t, tau) -> float:
    """The mean over masks of tau squared times the mean over pixels of the KL of two answers."""
    def answers(z):
        p = 1 / (1 + np.exp(-z))
        return p, 1 - p

    return np.mean([k**2 * np.mean([kl(answers(b / k), answers(a / k))
                                    for a, b in zip(x.ravel(), y.ravel(), strict=True)])
                    for x, y, k in zip(s, t, tau, strict=True)]) if len(s) else 0.0


@pytest.mark.parametrize('p', [0, 1, 5])
def test_the_loss_is_the_formula_and_its_gradient_that_of_finite_differences(p):
    generator = torch.Generator().manual_seed(0)
    s, t = (2 * torch.randn(p, 3, 4, dtype=torch.float64, generator=generator) for _ in range(2))
    tau = 0.5 + 2 * torch.rand(p, 1, dtype=torch.float64, generator=generator)
    loss, labels = MaskKDLoss(Given(tau)), torch.zeros(p, dtype=torch.long)
    value = loss(s.requires_grad_(), t.requires_grad_(), labels)
    expected = by_hand(s.detach().numpy(), t.detach().numpy(), tau.numpy().ravel())
    assert value.item() == pytest.approx(expected, rel=1e-9)
    value.backward()
    assert t.grad is None and s.grad.shape == s.shape
    assert torch.autograd.gradcheck(
        lambda s, tau: MaskKDLoss(Given(tau))(s, t, labels), (s, tau.requires_grad_()))
    with pytest.raises(ValueError, match='what is of objects only'):
        MaskKDLoss(1.0, foreground_weight=0.5)


def config(family: str, agnostic: bool = False):
    cfg = families.tiny(family)
    if family != 'rtmdet_ins':
        cfg.model.roi_head.mask_head.update(class_agnostic=agnostic, num_convs=1)
    return cfg


def build(cfg, teacher: dict = None, loss: dict = MASKS):
    if teacher is not None:
        kind = 'Dense' if 'bbox_head' in cfg.model else 'TwoStage'
        cfg.model.update(type=f'KnowledgeDistillation{kind}Detector',
                         distill_losses=dict(loss_masks=loss), **teacher)
    model = families.make_opinionated(helpers.build(cfg), seed=2).train()
    generator = torch.Generator().manual_seed(3)
    for name, parameter in model.named_parameters():
        if 'conv_logits' in name or 'rtm_kernel' in name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1
    return model


@pytest.fixture(scope='module')
def teacher_of(tmp_path_factory):
    made = {}

    def make(family: str, agnostic: bool = False) -> dict:
        if (family, agnostic) not in made:
            cfg = config(family, agnostic)
            weights = build(copy.deepcopy(cfg)).state_dict()
            for name, value in weights.items():  # another than the student
                if 'conv_logits' in name or 'rtm_kernel' in name:
                    value.mul_(-2)
            made[family, agnostic] = families.save_teacher(
                tmp_path_factory.mktemp(family), cfg, weights=weights)
        return dict(made[family, agnostic])

    return make


def compared(model) -> list:
    """What the loss gets in each of its calls, once the model has run."""
    seen = []
    model.distill_losses['loss_masks'].register_forward_pre_hook(
        lambda module, args, kwargs: seen.append((*args, kwargs['labels'])), with_kwargs=True)
    return seen


def stages(roi_head) -> list:
    """Extractor and mask head of each stage."""
    pairs = roi_head.mask_roi_extractor, roi_head.mask_head
    return list(zip(*pairs, strict=True)) if isinstance(
        roi_head.mask_head, torch.nn.ModuleList) else [pairs]


def check_step(model, data, plain_cfg):
    """Run a step; the student's own losses must be plain mmdet's, to the last bit."""
    plain = build(plain_cfg)
    torch.manual_seed(5)  # samplers draw
    plain = plain(**copy.deepcopy(data), mode='loss')
    torch.manual_seed(5)
    losses = model(**data, mode='loss')
    for name, value in plain.items():
        for a, b in zip(*[v if isinstance(v, list) else [v] for v in (value, losses[name])],
                        strict=True):
            assert torch.equal(a, b), name
    return losses


@pytest.mark.parametrize('family,agnostic,teachers', [
    ('mask', False, False), ('mask', True, False), ('mask', False, True),
    ('cascade_mask', False, False)])
def test_the_teacher_predicts_the_masks_of_the_students_rois(family, agnostic, teachers,
                                                             teacher_of):
    model = build(config(family, agnostic), teacher_of(family, teachers))
    data, seen, rois, masks = families.batch(model), compared(model), [], []
    for extractor, head in stages(model.roi_head):
        extractor.register_forward_pre_hook(lambda module, args: rois.append(args[1]))
        head.register_forward_hook(lambda module, args, out: masks.append(out))
    losses = check_step(model, data, config(family, agnostic))
    names = [name for name in losses if name.endswith('loss_masks')]
    assert names == (['s0.loss_masks', 's1.loss_masks', 's2.loss_masks']
                     if family == 'cascade_mask' else ['loss_masks'])
    # of a mask RoI that is an object itself, the class is known
    with torch.no_grad():
        feats = model.teacher_model.extract_feat(model.teacher.convert(data['inputs'], []))
        for name, (s, t, classes), r, mine, (extractor, head) in zip(
                names, seen, rois, masks, stages(model.teacher_model.roi_head), strict=True):
            assert len(s) == len(t) == len(r) == len(classes) > 0
            theirs = head(extractor(feats[:extractor.num_inputs], r))
            assert theirs.size(1) == (1 if teachers else 8) and mine.size(1) == (
                1 if agnostic else 8)
            for i, c in enumerate(classes.tolist()):
                torch.testing.assert_close(t[i], theirs[i, 0 if teachers else c])
                assert torch.equal(s[i], mine[i, 0 if agnostic else c])
            check_classes(data, r, classes)
            weight = model.stage_weights[names.index(name)]
            expected = weight * by_hand(s.double().numpy(), t.double().numpy(), [TAU] * len(s))
            assert losses[name].item() == pytest.approx(expected, rel=1e-5) and expected > 1e-3
    model.parse_losses({name: losses[name] for name in names})[0].backward()
    reached = {name.split('.')[1] for name, p in model.named_parameters()
               if p.grad is not None and p.grad.abs().sum() and name.startswith('roi_head')}
    assert reached == {'mask_head'}
    assert all(p.grad is None for p in model.teacher_model.parameters())


def step_of(model):
    """The masks of the teacher that are compared, their classes, and what its stages predict."""
    data, seen, rois = families.batch(model), compared(model), []
    model.roi_head.mask_roi_extractor.register_forward_pre_hook(
        lambda module, args: rois.append(args[1]))
    model(**data, mode='loss')
    (_, t, classes), = seen
    with torch.no_grad():
        feats = model.teacher_model.extract_feat(
            model.teacher.prepare(data['inputs'], data['data_samples']))
        where = rois[0] * torch.tensor([1.0] + [model.teacher.scale.factor] * 4)
        said = [head(extractor(feats[:extractor.num_inputs], where))
                for extractor, head in stages(model.teacher_model.roi_head)]
    assert len(t) == len(classes) > 0
    return t, classes, said


def test_the_stages_of_a_cascade_are_averaged(teacher_of):
    t, classes, said = step_of(build(config('mask'), dict(
        teacher_of('cascade_mask'), teacher_stage='mean')))
    first, _, last = each = [masks[range(len(t)), classes] for masks in said]
    assert (first - last).abs().max() > 1e-3
    torch.testing.assert_close(t, sum(each) / 3)


def test_a_teacher_of_larger_images_sees_larger_rois(teacher_of):
    t, classes, (said, ) = step_of(build(config('mask'), dict(
        teacher_of('mask'), teacher_scale=1.5)))
    torch.testing.assert_close(t, said[range(len(t)), classes])


def check_classes(data, rois, classes):
    """A RoI is of the class of the object that it overlaps most."""
    for roi, label in zip(rois, classes.tolist(), strict=True):
        objects = data['data_samples'][int(roi[0])].gt_instances
        boxes = objects.bboxes.tensor if hasattr(objects.bboxes, 'tensor') else objects.bboxes
        corner, other = torch.max(boxes[:, :2], roi[1:3]), torch.min(boxes[:, 2:], roi[3:])
        common = (other - corner).clamp(min=0).prod(1)
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (roi[3:] - roi[1:3]).prod()
        assert objects.labels[(common / (areas - common)).argmax()] == label


def rtmdet_mask(head, outputs, image: int, level: int, y: int, x: int):
    """The mask of one location: three 1 x 1 convolutions that its kernel says."""
    kernel, feature = outputs[2][level][image, :, y, x], outputs[3][image]
    stride, (height, width) = 8 * 2**level, feature.shape[1:]
    rows, columns = torch.meshgrid(torch.arange(height) * 8.0, torch.arange(width) * 8.0,
                                   indexing='ij')
    z = torch.cat([torch.stack([x * stride - columns, y * stride - rows]) / (stride * 8), feature])
    sizes = [(8, 10), (8, 8), (1, 8)]
    weights = kernel[:sum(a * b for a, b in sizes)].split([a * b for a, b in sizes])
    biases = kernel[sum(a * b for a, b in sizes):].split([a for a, _ in sizes])
    for i, (weight, bias, size) in enumerate(zip(weights, biases, sizes, strict=True)):
        z = torch.einsum('oi,ihw->ohw', weight.view(size), z) + bias[:, None, None]
        z = z.relu() if i < 2 else z
    return z[0]


def test_rtmdets_own_kernels(teacher_of):
    model = build(config('rtmdet_ins'), teacher_of('rtmdet_ins'))
    data, seen, outputs = families.batch(model), compared(model), []
    _, labels, _ = targets(model, copy.deepcopy(data))
    model.bbox_head.register_forward_hook(lambda module, args, out: outputs.append(out))
    losses = check_step(model, data, config('rtmdet_ins'))
    (s, t, classes), = seen
    with torch.no_grad():
        head = model.teacher_model.bbox_head
        theirs = head(model.teacher_model.extract_feat(model.teacher.convert(data['inputs'], [])))
    places = [(image, level, y, x) for level, size in enumerate((8, 4, 2))
              for image in range(2) for y in range(size) for x in range(size)]
    objects = [(place, label) for place, label in zip(places, labels.tolist(), strict=True)
               if label < 8]
    assert len(objects) == len(s) > 3 and classes.tolist() == [label for _, label in objects]
    for i, (place, _) in enumerate(objects):
        torch.testing.assert_close(s[i], rtmdet_mask(model.bbox_head, outputs[0], *place),
                                   rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(t[i], rtmdet_mask(head, theirs, *place), rtol=1e-4, atol=1e-4)
    expected = by_hand(s.detach().double().numpy(), t.double().numpy(), [TAU] * len(s))
    assert losses['loss_masks'].item() == pytest.approx(expected, rel=1e-5) and expected > 1e-3
    assert model(**families.batch(model, num_objects=0), mode='loss')['loss_masks'].item() == 0.0


@pytest.mark.parametrize('family', ['mask', 'rtmdet_ins'])
def test_the_students_weights_give_zero_and_no_object_does(family, tmp_path):
    weights = build(config(family)).state_dict()
    model = build(config(family), families.save_teacher(tmp_path, config(family), weights=weights))
    for module in model.modules():  # those of the teacher are
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()
    seen = compared(model)
    assert model(**families.batch(model), mode='loss')['loss_masks'].item() == 0.0
    assert len(seen[0][0]) > 0
    losses = model(**families.batch(model, num_objects=0), mode='loss')
    assert losses['loss_masks'].item() == 0.0 and len(seen[1][0]) == 0
    total, _ = model.parse_losses(losses)
    total.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize('temperature', [
    dict(type='InstanceTemperature', num_logits=784),
    dict(type='GroupTemperature', by='class', num_classes=8, num_logits=784)],
    ids=['instance', 'group'])
def test_a_cascade_without_any_roi_has_masks_as_large_as_with_some(temperature, teacher_of):
    """mmdet ends it after its first stage; temperatures count the pixels of the others, too."""
    model = build(config('cascade_mask'), teacher_of('cascade_mask'),
                  dict(MASKS, temperature=temperature))
    seen = compared(model)
    with families.no_proposals(model):
        losses = model(**families.batch(model, num_objects=0), mode='loss')
    total, _ = model.parse_losses(losses)
    assert [tuple(s.shape) for s, _, _ in seen] == [(0, 28, 28)] * 3
    total.backward()
    assert all(p.grad is not None and p.grad.isfinite().all()
               for part in (model.distill_losses, model.roi_head.mask_head)
               for p in part.parameters())


def test_with_weight_zero_it_trains_as_plain_mmdet_to_the_last_bit(teacher_of):
    plain = families.trained(build(config('mask')), steps=2)
    ours = families.trained(build(config('mask'), teacher_of('mask'), dict(MASKS, loss_weight=0)),
                            steps=2)
    assert all(torch.equal(value, ours[key]) for key, value in plain.items())


def test_what_has_no_masks_is_refused(teacher_of, tmp_path):
    faster = families.save_teacher(tmp_path, families.tiny('faster'))
    with pytest.raises(TeacherError, match='has no mask head, .* take a teacher that predicts'):
        build(config('mask'), faster)
    with pytest.raises(ValueError, match='only logits and RoI .* MaskKDLoss compares masks: leave'):
        build(config('mask'), teacher_of('mask'), dict(MASKS, rotated=True))
    with pytest.raises(TeacherError, match='the student has no mask head.* take a student that'):
        build(families.tiny('faster'), teacher_of('mask'))
    with pytest.raises(ValueError, match='num_classes=9, but the student has 8 classes'):
        build(config('mask'), teacher_of('mask'), dict(MASKS, temperature=dict(
            type='GroupTemperature', by='class', num_classes=9, num_logits=784)))
    other = config('mask')
    other.model.train_cfg.rcnn.mask_size = 14
    other.model.roi_head.mask_roi_extractor.roi_layer.output_size = 7
    model = build(other, teacher_of('mask'))
    with pytest.raises(TeacherError, match=r'have \(28, 28\) pixels, those of the student \(14, '):
        model(**families.batch(model), mode='loss')


def test_classes_are_found_by_name(teacher_of):
    """The teacher's channel is that of the class's name, not of the student's number."""
    teacher = teacher_of('mask')
    cfg = config('mask')
    cfg.model.class_mapping = 'by_name'
    model = build(cfg, teacher)
    model.teacher.check_classes(helpers.CLASSES[::-1])
    t, classes, (said, ) = step_of(model)
    torch.testing.assert_close(t, said[range(len(t)), 7 - classes])

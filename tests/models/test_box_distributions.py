"""Localization distillation on GFL: against mmdet's own head, and the region by hand."""
import copy

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.logging import MessageHub

import families
import helpers
from ctkd_det.models import GroupTemperature, InstanceTemperature, LDLoss
from ctkd_det.models.boxes.valuable_region import valuable_region
from ctkd_det.models.teachers import TeacherError

LD = dict(type='LDLoss')
VLR = dict(type='LDLoss', source='vlr')


@pytest.fixture(autouse=True)
def first_epoch():
    MessageHub.get_current_instance().update_info('epoch', 0)


@pytest.fixture(scope='module')
def teacher_of(tmp_path_factory):
    """The detector's arguments; of this seed, with wide box distributions."""
    def make(cfg=None, weights=None):
        return families.save_teacher(tmp_path_factory.mktemp('gfl'),
                                     families.tiny('gfl') if cfg is None else cfg, weights=weights)
    weights = sharpened(helpers.build(families.tiny('gfl')), seed=1).state_dict()
    make.standard = make(weights=weights)
    return make


def sharpened(model, seed):
    generator = torch.Generator().manual_seed(seed)
    families.make_opinionated(model, seed)
    weight = model.bbox_head.gfl_reg.weight
    weight.data = torch.randn(weight.shape, generator=generator) * 0.5
    return model


def build(teacher, family='gfl', head=None, **losses):
    cfg = families.tiny(family)
    cfg.model.bbox_head.merge(head or {})
    cfg.model.update(type='KnowledgeDistillationDenseDetector', distill_losses=losses, **teacher)
    model = helpers.build(cfg)
    return (sharpened(model, seed=2) if family == 'gfl' else model).train()


def regression_gradient(model, loss):
    model.zero_grad()
    loss.backward()
    return model.bbox_head.gfl_reg.weight.grad.clone()


def test_value_and_gradient_are_those_of_mmdets_own_head(teacher_of):
    model = build(teacher_of.standard, loss_ld=LD)
    data = helpers.batch(model)
    ours = model(**copy.deepcopy(data), mode='loss')['loss_ld']
    gradient = regression_gradient(model, ours)

    head = MODELS.build(dict(
        families.tiny('gfl').model.bbox_head, type='LDHead', train_cfg=model.train_cfg,
        test_cfg=model.test_cfg,
        loss_ld=dict(type='KnowledgeDistillationKLDivLoss', loss_weight=0.25, T=10)))
    head.load_state_dict(model.bbox_head.state_dict())
    with torch.no_grad():
        x = model.extract_feat(data['inputs'])
        theirs = model.teacher_model.bbox_head(model.teacher_model.extract_feat(data['inputs']))
        scores = [level.sigmoid().amax(1) for level in head(x)[0]]
    single, total = head.loss_by_feat_single, []
    head.loss_by_feat_single = lambda *args, **kwargs: total.append(
        single(*args, **kwargs)) or total[-1]
    published = sum(head.loss(x, theirs, data['data_samples'])['loss_ld'])
    weights = sum(level[4] for level in total).item()  # of the main region, by mmdet
    assert 1 < weights < sum(level.sum() for level in scores)
    # a mean over 17 bins, of a quarter, not divided
    scale = 0.25 / 17 * weights
    assert published.item() == pytest.approx(scale * ours.item(), rel=1e-5) and ours > 0.01
    published.backward()
    torch.testing.assert_close(head.gfl_reg.weight.grad, scale * gradient, rtol=1e-4, atol=1e-9)


def pairwise(a, b):
    """IoU and DIoU of two boxes, in Python's own numbers."""
    w, h = (max(min(a[i + 2], b[i + 2]) - max(a[i], b[i]), 0) for i in (0, 1))
    area = sum((x[2] - x[0]) * (x[3] - x[1]) for x in (a, b)) - w * h
    centers = sum(((a[i] + a[i + 2] - b[i] - b[i + 2]) / 2)**2 for i in (0, 1))
    diagonal = sum((max(a[i + 2], b[i + 2]) - min(a[i], b[i]))**2 for i in (0, 1))
    return w * h / area, w * h / area - centers / diagonal


def region_by_hand(anchors, counts, valid, boxes, topk):
    weights = [0.0] * len(anchors)
    for box in boxes:
        found, start = [], 0
        for count in counts:
            level = [i for i in range(start, start + count) if valid[i]]
            level.sort(key=lambda i, b=box: sum(
                (anchors[i][j] + anchors[i][j + 2] - b[j] - b[j + 2])**2 for j in (0, 1)))
            found += level[:topk]
            start += count
        ious = [pairwise(anchors[i], box)[0] for i in found]
        mean = sum(ious) / len(ious)
        alpha = mean + (sum((x - mean)**2 for x in ious) / (len(ious) - 1))**0.5
        for i, anchor in enumerate(anchors):
            iou, diou = pairwise(anchor, box)
            if valid[i] and alpha / 4 <= diou < alpha:
                weights[i] = max(weights[i], iou)
    return weights


def test_the_valuable_region_by_hand():
    """Two levels, 16 and 4 anchors, one row outside of the image, two objects."""
    def grid(stride, side):
        return [[x - side / 2, y - side / 2, x + side / 2, y + side / 2]
                for y in range(stride // 2, 32, stride) for x in range(stride // 2, 32, stride)]
    anchors = grid(8, 16) + grid(16, 32)
    valid = [i not in (12, 13, 14, 15) for i in range(20)]
    boxes = [[3.0, 2.0, 17.0, 15.0], [14.0, 11.0, 31.0, 30.0]]
    expected = region_by_hand(anchors, [16, 4], valid, boxes, topk=3)
    found = valuable_region(torch.tensor(anchors), [16, 4], torch.tensor(valid),
                            torch.tensor(boxes), topk=3)
    assert found.tolist() == pytest.approx(expected, abs=1e-6)
    assert 3 < sum(x > 0 for x in expected) < 14
    nothing = valuable_region(torch.tensor(anchors), [16, 4], torch.tensor(valid),
                              torch.zeros(0, 4), topk=3)
    assert nothing.tolist() == [0.0] * 20
    ignored = valuable_region(torch.tensor(anchors), [16, 4], torch.zeros(20).bool(),
                              torch.tensor(boxes), topk=3)
    assert ignored.tolist() == [0.0] * 20


@pytest.mark.parametrize('bias', [0.0, -9.0], ids=['sure', 'unsure'])
def test_both_regions_by_an_independent_formula(bias, teacher_of):
    """The first image is padded on its right; a student that is unsure is divided by 1 object."""
    model = build(teacher_of.standard, loss_ld=dict(LD, temperature=3.0),
                  loss_vlr=dict(VLR, temperature='loss_ld', loss_weight=0.5))
    model.bbox_head.gfl_cls.bias.data += bias
    data, seen = helpers.batch(model, num_objects=2), {}
    data['data_samples'][0].set_metainfo(dict(pad_shape=(64, 24)))
    for name in ('loss_ld', 'loss_vlr'):
        model.distill_losses[name].register_forward_pre_hook(
            lambda m, args, kwargs, name=name: seen.update({name: (args, kwargs)}),
            with_kwargs=True)
    losses = model(**data, mode='loss')
    (s, t), kwargs = seen['loss_ld']
    (s_v, t_v), vlr = seen['loss_vlr']
    assert s.shape == (len(kwargs['labels']), 17) and len(s) % 4 == 0 < len(s) < len(s_v)
    assert set(kwargs['labels'].tolist()) <= set(range(8)) and set(vlr['labels'].tolist()) == {8}
    # of the anchors with weight, by hand; then every side counts alike
    anchors = model.bbox_head.prior_generator.grid_priors(
        [(8, 8), (4, 4), (2, 2), (1, 1), (1, 1)], device='cpu')
    counts = [len(level) for level in anchors]
    inside = [x * stride < 24 for stride, side in ((8, 8), (16, 4), (32, 2), (64, 1), (128, 1))
              for _ in range(side) for x in range(side)]
    by_hand = [region_by_hand(torch.cat(anchors).tolist(), counts, valid,
                              sample.gt_instances.bboxes.tolist(), topk=9)
               for sample, valid in zip(data['data_samples'], (inside, [True] * 86), strict=True)]
    expected, start = [], 0
    for count in counts:
        expected += [w for image in by_hand for w in image[start:start + count] if w]
        start += count
    assert vlr['weight'].tolist() == pytest.approx(
        [w for w in expected for _ in range(4)], abs=1e-5)
    for name, (a, b), weight, factor in (('loss_ld', (s, t), kwargs['weight'], 1),
                                         ('loss_vlr', (s_v, t_v), vlr['weight'], 0.5)):
        p, q = ((z.detach().double() / 3).exp() for z in (b, a))
        p, q = p / p.sum(1, keepdim=True), q / q.sum(1, keepdim=True)
        kl = 9 * (p * (p / q).log()).sum(1)
        value = factor * (weight.double() * kl).sum() / max(kwargs['weight'].sum().item(), 4)
        assert losses[name].item() == pytest.approx(value.item(), rel=1e-5) and value > 0


def test_a_teacher_with_the_students_weights_gives_exactly_zero(teacher_of):
    weights = build(teacher_of.standard, loss_ld=LD).state_dict()
    model = build(teacher_of(weights=weights), loss_ld=LD, loss_vlr=VLR)
    losses = model(**helpers.batch(model), mode='loss')
    assert losses['loss_ld'].item() == losses['loss_vlr'].item() == 0.0


def test_weight_zero_is_plain_mmdet_to_the_last_bit(teacher_of):
    plain = families.trained(sharpened(helpers.build(families.tiny('gfl')), seed=2).train())
    learned = dict(LD, loss_weight=0.0, temperature=dict(type='GlobalTemperature'))
    ours = families.trained(build(teacher_of.standard, loss_ld=learned,
                                  loss_vlr=dict(VLR, loss_weight=0.0)))
    assert all(torch.equal(value, ours[key]) for key, value in plain.items())


@pytest.mark.parametrize('num_objects', [0, 1])
def test_no_object_and_one(num_objects, teacher_of):
    temperature = dict(type='GroupTemperature', by='class', num_classes=8, num_logits=17)
    model = build(teacher_of.standard, loss_ld=dict(LD, temperature=temperature), loss_vlr=VLR)
    model.distill_losses['loss_ld'].temperature.grl.lambda_ = 1.0
    losses = model(**helpers.batch(model, num_images=1, num_objects=num_objects), mode='loss')
    assert (losses['loss_ld'] > 0) == (losses['loss_vlr'] > 0) == bool(num_objects)
    model.parse_losses(losses)[0].backward()
    theta = model.distill_losses['loss_ld'].temperature.theta
    # only the class of the object learns
    assert (theta.grad != 0).sum() == num_objects and theta.grad.isfinite().all()
    assert all(p.grad is None for p in model.teacher_model.parameters())


def test_classes_need_not_agree_and_only_boxes_are_asked_for(teacher_of):
    cfg = families.tiny('gfl')
    cfg.model.bbox_head.num_classes = 3
    model = build(teacher_of(cfg), loss_ld=LD)
    losses = model(**helpers.batch(model), mode='loss')
    assert losses['loss_ld'] > 0 and 'loss_kd' not in losses


@pytest.mark.parametrize('message,family,head,losses', [
    ('RetinaHead regresses no distribution', 'retinanet', None, dict(loss_ld=LD)),
    (r'have 9 bins \(reg_max=8\), those of teacher .* 17', 'gfl', dict(reg_max=8),
     dict(loss_ld=LD)),
    *[('loss_ld: GroupTemperature has num_classes=9, but the student has 8', 'gfl', None, dict(
        loss_ld=dict(loss, temperature=dict(type='GroupTemperature', by='class', num_classes=9,
                                            num_logits=17)))) for loss in (LD, VLR)],
    ("'loss_kd' must name .* one of \\[\\]", 'gfl', None, dict(
        loss_kd=dict(type='BinaryKDLoss', temperature=1.0),
        loss_ld=dict(LD, temperature='loss_kd')))])
def test_what_cannot_be_compared_is_refused(message, family, head, losses, teacher_of):
    with pytest.raises((ValueError, TypeError, TeacherError), match=message):
        build(teacher_of.standard, family, head, **losses)


def test_a_two_stage_student_has_no_distributions(teacher):
    with pytest.raises(ValueError, match="loss_ld: LDLoss compares box distributions, and only"):
        helpers.build(helpers.distill(helpers.student_config(), teacher, dict(loss_ld=LD)))


def test_options_that_mean_nothing():
    with pytest.raises(ValueError, match="source must be 'distributions' or 'vlr'"):
        LDLoss(source='logits')
    with pytest.raises(ValueError, match='foreground_weight=0.5 says nothing'):
        LDLoss(foreground_weight=0.5)
    with pytest.raises(ValueError, match='num_classes, or num_logits'):
        InstanceTemperature()
    with pytest.raises(ValueError, match='num_logits=17, but there are 16'):
        GroupTemperature('class', 8, num_logits=17)(torch.zeros(4, 16), None, torch.zeros(4).long())


def test_the_box_temperature_trains_and_is_resumed_beside_the_class_temperature(
        teacher_of, shapes, tmp_path):
    def config(epochs):
        cfg = helpers.use_data(helpers.student_config(max_epochs=epochs), shapes)
        cfg.pop('model')
        cfg.model = families.tiny('gfl').model
        box = dict(type='GlobalTemperature', tau_min=1, tau_range=20, initial_temperature=10)
        cfg.model.update(
            type='KnowledgeDistillationDenseDetector', **teacher_of.standard,
            distill_losses=dict(
                loss_ctkd=dict(type='BinaryKDLoss', foreground_weight=0.5,
                               temperature=dict(type='GlobalTemperature')),
                loss_ld=dict(LD, temperature=box)))
        cfg.custom_hooks = [dict(type='CurriculumHook', lambda_min=1.0)]
        cfg.optim_wrapper.optimizer.lr = 0.01
        cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
        cfg.resume = epochs > 1
        return cfg
    helpers.run(config(1), tmp_path / 'work')
    saved = torch.load(tmp_path / 'work' / 'epoch_1.pth')['state_dict']
    theta = saved['distill_losses.loss_ld.temperature.theta']
    scalars = helpers.run(config(2), tmp_path / 'work').message_hub.log_scalars
    tau = scalars['train/ld.tau_mean'].data[0]
    assert len(tau) == 8 and tau[0] == pytest.approx(10, abs=1e-5) and tau[1] != tau[0]
    assert tau[4] == pytest.approx(1 + 20 * theta.sigmoid().item())
    assert scalars['train/ctkd.tau_mean'].data[0][0] == pytest.approx(1)
    for name in ('ld.lambda', 'ld.theta_grad', 'ctkd.theta_grad'):
        assert len(scalars[f'train/{name}'].data[0]) == 8


def test_in_a_crossed_head_the_distributions_are_crossed_and_the_weights_are_not(teacher_of):
    plain, crossed = (build(teacher_of.standard, loss_ld=LD) if cross is None else build_crossed(
        teacher_of.standard) for cross in (None, {}))
    data, seen = helpers.batch(plain), []
    for model in (plain, crossed):
        model.distill_losses['loss_ld'].register_forward_pre_hook(
            lambda m, args, kwargs: seen.append((args, kwargs)), with_kwargs=True)
        model(**copy.deepcopy(data), mode='loss')
    (own, theirs), kwargs = seen[0]
    (others, same), crossed_kwargs = seen[1]
    assert torch.equal(theirs, same) and not torch.equal(own, others) and others.requires_grad
    for key in ('weight', 'labels', 'avg_factor'):
        assert torch.equal(kwargs[key], crossed_kwargs[key])


def build_crossed(teacher):
    cfg = families.tiny('gfl')
    cfg.model.update(type='KnowledgeDistillationDenseDetector', cross_head=dict(layer=1),
                     distill_losses=dict(loss_ld=LD), **teacher)
    return sharpened(helpers.build(cfg), seed=2).train()

"""DETRs, as student and as teacher."""
import copy

import pytest
import torch
from mmdet.registry import MODELS

import families
import helpers
from ctkd_det.models.detectors.choice import distilled_class
from ctkd_det.models.queries import QueryTap
from ctkd_det.models.teachers import TeacherError

TAU = 2.0
KD = dict(type='BinaryKDLoss', temperature=TAU)


def build(family: str, teacher: dict = None, loss: dict = KD, **changes):
    cfg = families.tiny(family)
    cfg.model.update(changes)
    if teacher is not None:
        cfg.model.update(type=distilled_class(MODELS.get(cfg.model.type)).__name__,
                         distill_losses=dict(loss_kd=loss), **teacher)
    model = helpers.build(cfg).train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return opinionated(model)


def opinionated(model, seed=2):
    """Classifiers whose logits differ from query to query."""
    return families.make_opinionated(model, seed)


@pytest.fixture(scope='module')
def teacher_of(tmp_path_factory):
    return families.saved_teachers(tmp_path_factory)


def losses_of(model, data):
    torch.manual_seed(5)  # DINO's noise
    return model(**copy.deepcopy(data), mode='loss')


def kd_by_hand(student, teacher, weights, avg_factor):
    p, q = (1 / (1 + (-z.detach().double() / TAU).exp()) for z in (teacher, student))
    kl = (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).sum(1) * TAU**2
    return ((kl * weights.double()).sum() / avg_factor).item()


@pytest.mark.parametrize('family', families.DETR)
def test_the_teacher_answers_the_students_queries(family, teacher_of):
    model = build(family, teacher_of(family))
    data = helpers.batch(model)
    seen, spied = [], []
    forward = model.decoder.forward
    model.decoder.forward = lambda **kwargs: spied.append(kwargs) or forward(**kwargs)
    handle = model.bbox_head.register_forward_hook(lambda m, args, out: seen.append(out[0]))
    found, plain = losses_of(model, data), losses_of(build(family), data)
    handle.remove()
    assert found.keys() - plain.keys() == {'loss_kd', 'kd.tau_mean', 'kd.tau_min', 'kd.tau_max'}
    assert all(torch.equal(found[name], value) for name, value in plain.items())
    assert len(seen) == len(spied) == 1, 'the student runs once'

    # the teacher, with its own learned queries replaced by hand
    teacher, kwargs = model.teacher_model, spied[0]
    asked = {name: kwargs[name][:, -10:].detach() for name in (
        'query', 'query_pos', 'reference_points') if name in kwargs}
    with torch.no_grad():
        images = model.teacher.convert(data['inputs'], data['data_samples'])
        into_encoder, into_decoder = teacher.pre_transformer(
            teacher.extract_feat(images), data['data_samples'])
        encoded = teacher.forward_encoder(**into_encoder)
        into_decoder.update(asked, memory=encoded['memory'])
        if family == 'dino':
            into_decoder['dn_mask'] = None
        hidden = teacher.forward_decoder(**into_decoder)['hidden_states'][-1]
        head = teacher.bbox_head
        theirs = (head.cls_branches[1] if hasattr(head, 'cls_branches') else head.fc_cls)(hidden)
    ours = seen[0][-1][:, -10:].reshape(-1, 8)
    # every query counts alike, and the divisor is that of sigmoid DETRs, the number of objects
    expected = kd_by_hand(ours, theirs.reshape(-1, 8), torch.ones(20), 6)
    assert found['loss_kd'].item() == pytest.approx(expected, rel=2e-5) and expected > 1e-3
    model.parse_losses(found)[0].backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def decoder_inputs(model, images, samples):
    into_encoder, inputs = model.pre_transformer(model.extract_feat(images), samples)
    memory = model.forward_encoder(**into_encoder)
    more = dict(batch_data_samples=samples) if hasattr(model, 'dn_query_generator') else {}
    return {**inputs, **model.pre_decoder(**memory, **more)[0]}


def last_logits(model, inputs):
    if 'dn_mask' in inputs:
        inputs = dict(inputs, dn_mask=None)
    hidden, head = model.forward_decoder(**inputs)['hidden_states'][-1], model.bbox_head
    return (head.cls_branches[1] if hasattr(head, 'cls_branches') else head.fc_cls)(hidden)


@pytest.mark.parametrize('family', families.DETR)
def test_the_student_answers_the_teachers_queries(family, teacher_of):
    model = build(family, teacher_of(family), distilled_queries='teacher')
    teacher, data = model.teacher_model, helpers.batch(model)
    found = losses_of(model, data)
    samples = copy.deepcopy(data['data_samples'])
    images = model.teacher.convert(data['inputs'], samples)
    theirs = decoder_inputs(teacher, images, samples)
    asked = {name: theirs[name] for name in ('query', 'query_pos', 'reference_points')
             if name in theirs}
    theirs = last_logits(teacher, theirs).reshape(-1, 8)
    ours = last_logits(model, {**decoder_inputs(model, data['inputs'], samples), **asked})
    sure = (1 / (1 + (-theirs.double()).exp())).max(1)[0]
    expected = kd_by_hand(ours.reshape(-1, 8), theirs, sure.detach(), 6)
    assert found['loss_kd'].item() == pytest.approx(expected, rel=2e-5) and expected > 1e-3
    # to the encoder and the decoder of the student, not to its own queries, and not to the teacher
    found['loss_kd'].backward()
    assert all(p.grad is None for p in teacher.parameters())
    got = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert any('encoder.layers.0' in name for name in got)
    assert any('decoder.layers.0' in name for name in got)
    assert not any('query_embedding' in name for name in got)


def test_conditional_detrs_look_where_the_asking_one_does(teacher_of):
    """Where a query looks can only be read by the ref_point_head that was trained with it."""
    model = build('conditional', teacher_of('conditional'),
                  distilled_queries=['student', 'teacher'])
    pair = [model, model.teacher_model]
    for seed, detector in enumerate(pair):
        generator = torch.Generator().manual_seed(seed)
        for layer in detector.decoder.ref_point_head.layers:
            layer.weight.data = torch.randn(layer.weight.shape, generator=generator) * (
                2 / layer.in_features)**0.5
    data, compared = helpers.batch(model), []
    model.distill_losses['loss_kd'].register_forward_pre_hook(
        lambda module, args: compared.extend(args))
    losses_of(model, data)
    samples = data['data_samples']
    images = data['inputs'], model.teacher.convert(data['inputs'], samples)
    inputs = [decoder_inputs(*both, samples) for both in zip(pair, images, strict=True)]
    others = [{**inputs[i], **{name: inputs[1 - i][name] for name in ('query', 'query_pos')}}
              for i in (0, 1)]
    own, astray = ([last_logits(*both) for both in zip(pair, asked, strict=True)]
                   for asked in (inputs, others))
    heads = [detector.decoder.ref_point_head for detector in pair]
    for detector, head in zip(pair, heads[::-1], strict=True):
        detector.decoder.ref_point_head = head
    told = [last_logits(*both) for both in zip(pair, others, strict=True)]
    expected = torch.cat([own[0], told[0]]), torch.cat([told[1], own[1]])
    for found, wanted in zip(compared, expected, strict=True):
        torch.testing.assert_close(found, wanted.reshape(-1, 8), rtol=1e-4, atol=1e-5)
    assert all((a - b).abs().max() > 1e-2 for a, b in zip(told, astray, strict=True))


def test_losses_of_several_sets_of_queries_are_added(teacher_of):
    sets = ('student', 'teacher', 'random')

    def kd(*whose):
        model = build('dab', teacher_of('dab'), distilled_queries=list(whose))
        return losses_of(model, helpers.batch(model))['loss_kd'].item()

    alone = {whose: kd(whose) for whose in sets}
    assert kd(*sets) == pytest.approx(sum(alone.values()), rel=1e-5)
    # in any order, although the teacher's own are answered first
    assert kd('random', 'teacher') == pytest.approx(alone['random'] + alone['teacher'], rel=1e-5)


@pytest.mark.parametrize('family, name', [('dab', 'query_pos'), ('dino', 'reference_points')])
def test_random_queries_are_drawn_anew_and_continued(family, name, teacher_of):
    def asked(model, steps):
        places = []
        handle = model.teacher_model.decoder.register_forward_pre_hook(
            lambda module, args, kwargs: places.append(kwargs[name]), with_kwargs=True)
        for _ in range(steps):
            losses_of(model, helpers.batch(model))
        handle.remove()
        return places[1::2]  # every other call is for its own queries

    model, other, third = (build(
        family, teacher_of(family), distilled_queries='random') for _ in range(3))
    first, second = asked(model, 2)
    assert not torch.equal(first, second) and first.shape == (2, 10, 4)
    uniform = first.sigmoid() if family == 'dab' else first
    assert 0.3 < uniform.mean() < 0.7 and uniform.std() > 0.2
    assert torch.equal(asked(other, 1)[0], first)
    third.load_state_dict(other.state_dict())  # as a resumed run does
    assert torch.equal(asked(third, 1)[0], second)


def test_labels_of_the_teachers_queries_are_its_own_matches(teacher_of):
    """Exactly one query of each object, with the object's class."""
    model = build('dab', teacher_of('dab'), distilled_queries='teacher')
    data, seen = helpers.batch(model), []
    model.distill_losses['loss_kd'].register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs['labels']), with_kwargs=True)
    losses_of(model, data)
    for labels, sample in zip(seen[0].view(2, -1), data['data_samples'], strict=True):
        assert sorted(labels[labels < 8].tolist()) == sorted(sample.gt_instances.labels.tolist())


def test_with_weight_zero_it_trains_as_plain_mmdet_to_the_last_bit(teacher_of):
    plain = families.trained(build('dab'))
    ours = families.trained(build('dab', teacher_of('dab'), dict(KD, loss_weight=0.0),
                                  distilled_queries=['teacher', 'random']))
    assert all(torch.equal(value, ours[key]) for key, value in plain.items())


@pytest.mark.parametrize('family, whose, reason', [
    ('conditional', 'random', 'a Conditional DETR.* learned vectors, .*; take .teacher'),
    ('dab', 'both', "one or several of .*, got 'both'"), ('dab', [], 'got '),
    ('dab', ['teacher', 'teacher'], 'got ')])
def test_unknown_queries_are_refused(family, whose, reason, teacher_of):
    with pytest.raises(ValueError, match=reason):
        build(family, teacher_of(family), distilled_queries=whose)


@pytest.mark.parametrize('family', families.DETR)
def test_a_teacher_with_the_students_weights_gives_zero(family, tmp_path):
    weights = build(family).state_dict()
    sets = ['student', 'teacher', *(['random'] if family in ('dab', 'dino') else [])]
    model = build(family, families.save_teacher(tmp_path, families.tiny(family), weights=weights),
                  distilled_queries=sets)
    # DINO's denoising queries stand in the same tensors: sums in another order
    assert losses_of(model, helpers.batch(model))['loss_kd'].item() == pytest.approx(0, abs=1e-6)


def test_images_without_objects(teacher_of):
    for family in families.DETR:
        model = build(family, teacher_of(family))
        total, _ = model.parse_losses(losses_of(model, helpers.batch(model, num_objects=0)))
        assert total.isfinite()


def test_queries_of_another_kind_are_refused(teacher_of):
    with pytest.raises(TeacherError, match='is a Deformable DETR detector, teacher .* a DINO one'):
        build('deformable', teacher_of('dino'))
    with pytest.raises(TeacherError, match='cannot answer the queries .*as_two_stage=False and Tr'):
        build('deformable', teacher_of('deformable'), as_two_stage=True, with_box_refine=True)


def test_other_detrs_are_named():
    with pytest.raises(TypeError, match='a DETR cannot be distilled'):
        distilled_class(MODELS.get('DETR'))
    with pytest.raises(TypeError, match='DDQDETR cannot be distilled: it has its own'):
        distilled_class(MODELS.get('DDQDETR'))


def test_labels_with_qualities(teacher_of):
    """QualityFocalLoss is given pairs of labels and qualities: the labels are taken."""
    model = build('deformable', teacher_of('deformable'))
    model.bbox_head.loss_cls = MODELS.build(dict(type='QualityFocalLoss', use_sigmoid=True))
    data = helpers.batch(model, num_images=3)
    with QueryTap(model) as (record, ):
        losses_of(model, data)
    assert record.labels.shape == record.label_weights.shape == record.cls_score.shape[:1]
    assert len(record.labels) == 3 * next(iter(record.queries.values())).size(1)
    assert set(record.labels.tolist()) <= set(range(model.bbox_head.num_classes + 1))

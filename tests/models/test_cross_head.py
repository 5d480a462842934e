"""CrossKD: the student's maps through the rest of the teacher's head."""
import copy

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from mmengine.runner.activation_checkpointing import turn_on_activation_checkpointing

import families
import helpers
from ctkd_det.models.teachers import TeacherError
from ctkd_det.models.teachers.cross import CrossHead

KD = dict(type='BinaryKDLoss', temperature=2.0)
# where each head has its last layer of classes
PREDICTORS = dict(retinanet='retina_cls', fcos='conv_cls', atss='atss_cls', gfl='gfl_cls',
                  rtmdet='rtm_cls')


def two_layers(family: str):
    cfg = families.tiny(family)
    if 'stacked_convs' in cfg.model.bbox_head:
        cfg.model.bbox_head.stacked_convs = 2
    return cfg


@pytest.fixture(scope='module')
def teacher_of(tmp_path_factory):
    return families.saved_teachers(tmp_path_factory, two_layers)


def build(family: str, teacher: dict = None, cross: dict = None, loss: dict = KD, **options):
    cfg = two_layers(family)
    if teacher is not None:
        cfg.model.update(type='KnowledgeDistillationDenseDetector', cross_head=cross or {},
                         distill_losses=dict(loss_kd=loss), **teacher)
    cfg.model.bbox_head.update(options)
    return families.make_opinionated(helpers.build(cfg), seed=2).train()


def compared(model) -> list:
    """What the loss gets of both sides, once the model has run."""
    seen = []
    model.distill_losses['loss_kd'].register_forward_pre_hook(
        lambda module, args: seen.extend(args[:2]))
    return seen


def by_hand(family: str, model, images, align: bool):
    """The logits of the crossed head, (N, C), written out layer by layer."""
    student, teacher, levels = model.bbox_head, model.teacher_model.bbox_head, []
    theirs = model.teacher_model.extract_feat(model.teacher.convert(images, []))

    def layers(head, level):
        convs = head.cls_convs[level] if family == 'rtmdet' else head.cls_convs
        last = getattr(head, PREDICTORS[family])
        return [*convs, last[level] if family == 'rtmdet' else last]

    for i, (a, b) in enumerate(zip(model.extract_feat(images), theirs, strict=True)):
        a, b = layers(student, i)[0](a, activate=False), layers(teacher, i)[0](b, activate=False)
        if align:
            a = (a - a.mean((0, 2, 3), keepdim=True)) / a.std((0, 2, 3), keepdim=True)
            a = a * b.std((0, 2, 3), keepdim=True) + b.mean((0, 2, 3), keepdim=True)
        first, second, last = layers(teacher, i)
        scores = last(second(first.activate(a)))
        levels.append(scores.permute(0, 2, 3, 1).reshape(-1, 8))
    return torch.cat(levels)


@pytest.mark.parametrize('family,align', [
    ('retinanet', True), ('fcos', False), ('atss', True), ('gfl', False), ('gfl', True),
    ('rtmdet', False)])
def test_the_rest_of_the_teachers_head_classifies_the_students_maps(family, align, teacher_of):
    model = build(family, teacher_of(family), dict(layer=1, align=align))
    # at 128 pixels the coarsest maps have more than one value, so a deviation
    data, seen = helpers.batch(model, size=64 if not align else 128), compared(model)
    before = copy.deepcopy(model.teacher_model.state_dict())
    plain = build(family)(**copy.deepcopy(data), mode='loss')
    losses = model(**data, mode='loss')
    for name, value in plain.items():  # the student's own losses, to the last bit
        for a, b in zip(*[v if isinstance(v, list) else [v] for v in (value, losses[name])],
                        strict=True):
            assert torch.equal(a, b), name
    torch.testing.assert_close(seen[0], by_hand(family, model, data['inputs'], align),
                               rtol=1e-4, atol=1e-4)
    own = dict(model.bbox_head.named_parameters())
    gradients = torch.autograd.grad(losses['loss_kd'], own.values(), allow_unused=True)
    reached = {name for name, g in zip(own, gradients, strict=True)
               if g is not None and g.abs().sum() > 0}
    # below the cut only, and of the tower for classes only; RTMDet has one for each level
    layer = 2 if family == 'rtmdet' else 1
    assert reached and {name.split('.')[0] for name in reached} == {'cls_convs'}
    assert {name.split('.')[layer] for name in reached} == {'0'}
    assert all(p.grad is None for p in model.teacher_model.parameters())
    after = model.teacher_model.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())


@pytest.mark.parametrize('family', ['retinanet', 'fcos', 'atss', 'gfl', 'rtmdet'])
def test_a_teacher_with_the_students_weights_gives_zero(family, tmp_path):
    weights = build(family).state_dict()
    model = build(family, families.save_teacher(tmp_path, two_layers(family), weights=weights),
                  dict(align=False))
    for module in model.modules():  # those of the teacher are
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()
    data = helpers.batch(model)
    assert model(**data, mode='loss')['loss_kd'].item() == 0.0
    model.teacher.cross.align = True  # mean + (x - mean) is not x to the last bit
    assert abs(model(**data, mode='loss')['loss_kd'].item()) < 1e-4


def head() -> torch.nn.Module:
    """A RetinaHead with one anchor at each location, in float64."""
    init_default_scope('mmdet')
    return MODELS.build(dict(
        type='RetinaHead', num_classes=2, in_channels=4, feat_channels=4, stacked_convs=3,
        norm_cfg=dict(type='GN', num_groups=2),
        anchor_generator=dict(type='AnchorGenerator', ratios=[1.0], scales=[8],
                              strides=[8, 16]))).double()


@pytest.mark.parametrize('align', [True, False])
def test_the_gradient_through_the_rest_is_that_of_finite_differences(align):
    torch.manual_seed(0)
    student, teacher = head(), head().eval().requires_grad_(False)
    cross = CrossHead(student, teacher, 'a', 'b', align=align)
    assert cross.layer == 2
    cross.own([torch.randn(2, 4, size, size, dtype=torch.float64) for size in (3, 2)])
    # what is kept until the next step is small
    assert all(x.untyped_storage().nbytes() == 8 * x.numel() for x in cross.patches)
    # as the towers run: of each level that for classes, then that for boxes
    maps = [torch.randn(2, 4, size, size, dtype=torch.float64, requires_grad=True)
            for size in (3, 3, 2, 2)]

    def outputs(*maps):
        classes, boxes = cross([x.clone() for x in maps])
        return (*classes, *boxes)

    assert torch.autograd.gradcheck(outputs, maps, fast_mode=True)


def test_a_map_of_one_position_has_no_deviation_and_finite_gradients():
    student, teacher = head(), head().requires_grad_(False)
    cross = CrossHead(student, teacher, 'a', 'b', layer=1)
    cross.own([torch.randn(1, 4, 1, 1, dtype=torch.float64)] * 2)
    maps = [torch.randn(1, 4, 1, 1, dtype=torch.float64, requires_grad=True) for _ in range(4)]
    sum(x.sum() for x in cross(maps)[0]).backward()
    assert all(x.isfinite().all() for x in cross(maps)[0]) and maps[0].grad.isfinite().all()


def test_with_weight_zero_it_trains_as_plain_mmdet_to_the_last_bit(teacher_of):
    plain = families.trained(build('gfl'))
    ours = families.trained(build('gfl', teacher_of('gfl'), loss=dict(KD, loss_weight=0.0)))
    assert all(torch.equal(value, ours[key]) for key, value in plain.items())


def test_heads_of_two_families_and_a_learned_temperature(teacher_of):
    loss = dict(type='BinaryKDLoss', temperature=dict(type='GlobalTemperature'))
    model = build('atss', teacher_of('gfl'), loss=loss)
    model.distill_losses['loss_kd'].temperature.grl.lambda_ = 1.0
    model.parse_losses(model(**helpers.batch(model), mode='loss'))[0].backward()
    assert model.distill_losses['loss_kd'].temperature.theta.grad != 0
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize('student,teacher,cross,reason', [
    ('gfl', 'gfl', dict(layer=3), r'layer=3, but the student has towers of 2 layers, 1 to 2'),
    ('gfl', 'gfl', dict(layer=0), 'layer=0, but the student has towers of 2 layers'),
    ('gfl', 'tood', {}, 'TOODHead has no two towers.*another method, without'),
    ('yolof', 'yolof', {}, 'YOLOFHead has no two towers')])
def test_heads_without_such_a_layer_are_refused(student, teacher, cross, reason, teacher_of):
    with pytest.raises((TeacherError, TypeError), match=reason):
        build(student, teacher_of(teacher), cross)


def test_what_else_is_refused(teacher_of):
    with pytest.raises(TeacherError, match=(
            'the student is 8 channels wide after layer 1, that of teacher .* 16: give the '
            r'student bbox_head=dict\(feat_channels=16\)')):
        build('gfl', teacher_of('gfl'), feat_channels=8)
    with pytest.raises(TypeError, match="does not take 'layr'; did you mean layer"):
        build('gfl', teacher_of('gfl'), dict(layr=1))
    with pytest.raises(ValueError, match='cross_head=.* no loss of distill_losses compares pre'):
        build('gfl', teacher_of('gfl'), dict(layer=1), dict(type='PKDLoss'))


@pytest.mark.parametrize('loss', [KD, dict(type='LDLoss', temperature=2.0)])
def test_checkpointing_the_layer_at_which_the_maps_cross_is_an_error(loss, teacher_of):
    """Its loss would have no graph and nobody would notice."""
    tower, other = ('cls', 'reg') if loss is KD else ('reg', 'cls')
    model = build('gfl', teacher_of('gfl'), dict(layer=1), loss)
    expected = model(**helpers.batch(model), mode='loss')['loss_kd']
    # behind the cut, or in the tower that is not compared
    turn_on_activation_checkpointing(model.bbox_head, [f'{tower}_convs.1', f'{other}_convs.0'])
    found = model(**helpers.batch(model), mode='loss')['loss_kd']
    assert torch.equal(found, expected) and found.requires_grad
    turn_on_activation_checkpointing(model.bbox_head, [f'{tower}_convs.0'])
    with pytest.raises(RuntimeError, match=(
            f'after layer 1 of the {tower} tower have no graph.*with_cp=True of the backbone')):
        model(**helpers.batch(model), mode='loss')
    # without the optimizer nothing needs a graph
    with torch.no_grad():
        assert torch.equal(model(**helpers.batch(model), mode='loss')['loss_kd'], expected)


def test_frozen_layers_before_the_crossing_are_an_error(teacher_of):
    model = build('gfl', teacher_of('gfl'), dict(layer=1))
    for part in (model.backbone, model.neck, model.bbox_head.cls_convs[0]):
        part.requires_grad_(False)
    with pytest.raises(RuntimeError, match='If all before them is frozen: leave cross_head out'):
        model(**helpers.batch(model), mode='loss')

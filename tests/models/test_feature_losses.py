"""Every feature loss against a float64 formula, value and gradient."""
import numpy as np
import pytest
import torch
from torch import nn

import feature_formulas as formulas
from ctkd_det.models import (
    ATLoss,
    CRDLoss,
    CWDLoss,
    FGDLoss,
    FitNetLoss,
    MGDLoss,
    PKDLoss,
    PKTLoss,
    ReviewKDLoss,
    SPLoss,
    SRRLLoss,
    VIDLoss,
)

BOXES = [[[3., 2., 20., 11.], [10., 8., 30., 18.]], [], [[0., 0., 40., 24.]]]
# (loss, formula, options); FitNet and VID are asked for both sources
NECK = {
    'fitnet': (FitNetLoss, formulas.fitnet, {}),
    'at': (ATLoss, formulas.at, {}),
    'at_batch': (ATLoss, formulas.at, dict(p=3, reduction='batch')),
    'vid': (VIDLoss, formulas.vid, dict(init_variance=2.0)),
    'pkd': (PKDLoss, formulas.pkd, {}),
    'cwd': (CWDLoss, formulas.cwd, dict(tau=2.5)),
    'reviewkd': (ReviewKDLoss, formulas.reviewkd, dict(mid_channels=3)),
    'mgd': (MGDLoss, formulas.mgd, {}),
    'mgd_mean': (MGDLoss, formulas.mgd, dict(reduction='mean')),
    'fgd': (FGDLoss, formulas.fgd, dict(alpha=.3, beta=.2, gamma=.1, lambda_=.05)),
}
ROI = {
    'fitnet_roi': (FitNetLoss, formulas.fitnet, dict(source='roi')),
    'vid_roi': (VIDLoss, formulas.vid, dict(source='roi')),
    'sp': (SPLoss, formulas.sp, {}),
    'pkt': (PKTLoss, formulas.pkt, {}),
    'srrl': (SRRLLoss, formulas.srrl, dict(alpha=.7, beta=1.3)),
    'crd': (CRDLoss, formulas.crd, dict(embed_channels=4, tau=.5)),
}
ALL = {**NECK, **ROI}
SHAPES = {  # of student and teacher
    'same': ((2, 5, 6, 9), (2, 5, 6, 9)), 'widths': ((2, 3, 9, 5), (2, 6, 9, 5)),
    'one': ((1, 4, 7, 7), (1, 6, 7, 7)), 'small': ((3, 4, 2, 3), (3, 4, 2, 3)),
    'row': ((2, 2, 1, 5), (2, 3, 1, 5))}
ROI_SHAPES = {'same': ((7, 6), (7, 6)), 'widths': ((9, 4), (9, 6)), 'two': ((2, 5), (2, 7))}


def make(name, student=None, teacher=None, **options):
    torch.manual_seed(0)
    kind, _, own = ALL[name]
    loss = kind(student_channels=student, teacher_channels=teacher, **own, **options).double()
    for parameter in loss.parameters():  # also those that begin at 0
        parameter.data += 0.3 * torch.randn_like(parameter)
    return loss


def extra(name, shape):
    """What a loss takes beside the features."""
    generator = torch.Generator().manual_seed(3)
    if name.startswith('mgd'):
        return dict(mask=torch.rand(shape[0], 1, *shape[2:], generator=generator) > .4)
    if name == 'fgd':
        return dict(boxes=[torch.tensor(b).double().reshape(-1, 4) for b in BOXES[:shape[0]]],
                    image_shape=(24, 40))
    if name == 'srrl':
        return dict(classifier=nn.Linear(shape[1], 3).double().requires_grad_(False))
    if name == 'crd':
        return dict(labels=torch.arange(shape[0]) // 2 if shape[0] > 2 else torch.tensor([0, 1]))
    return {}


def features(student, teacher, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, dtype=torch.float64, generator=generator)
            for shape in (student, teacher)]


def check(loss, formula, s, t, **kwargs):
    """Value, and the derivative in a random direction by central differences."""
    s.requires_grad_()
    value = loss(s, t, **kwargs)
    value.backward()
    arrays = {key: x.numpy() if key == 'mask' else x for key, x in kwargs.items()}
    own, theirs = s.detach().numpy(), t.detach().numpy()
    np.testing.assert_allclose(value.item(), formula(loss, own, theirs, **arrays), rtol=1e-9)
    direction = np.random.default_rng(0).standard_normal(own.shape)
    step = 1e-5
    ahead, behind = (formula(loss, own + sign * step * direction, theirs, **arrays)
                     for sign in (1, -1))
    np.testing.assert_allclose((s.grad.numpy() * direction).sum(), (ahead - behind) / (2 * step),
                               rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('name', NECK)
def test_maps_follow_the_formula(name, shape):
    student, teacher = SHAPES[shape]
    loss = make(name, student[1], teacher[1])
    check(loss, ALL[name][1], *features(student, teacher), **extra(name, teacher))


@pytest.mark.parametrize('shape', ROI_SHAPES)
@pytest.mark.parametrize('name', ROI)
def test_rois_follow_the_formula(name, shape):
    if (name, shape) == ('crd', 'two'):
        shape = 'same'
    student, teacher = ROI_SHAPES[shape]
    loss = make(name, student[1], teacher[1])
    formula = ALL[name][1]
    if name == 'crd':  # Z moves in the formula with its pairs; the loss holds it without a graph
        s, t = features(student, teacher)
        value = loss(s, t, **extra(name, teacher)).item()
        np.testing.assert_allclose(
            value, formula(loss, s.numpy(), t.numpy(), **extra(name, teacher)), rtol=1e-6)
        return
    check(loss, formula, *features(student, teacher), **extra(name, teacher))


def test_reviewkd_carries_the_coarse_levels_to_the_fine_ones():
    shapes = [(2, 3, 9, 6), (2, 4, 4, 3), (2, 5, 2, 2)]
    torch.manual_seed(0)
    loss = ReviewKDLoss([3, 4, 5], [5, 5, 5], mid_channels=3).double()
    s = [features(x, x, seed=i)[0] for i, x in enumerate(shapes)]
    t = [features((2, 5, *x[2:]), x, seed=9 + i)[0] for i, x in enumerate(shapes)]
    expected = formulas.reviewkd_levels(loss, [x.numpy() for x in s], [x.numpy() for x in t])
    np.testing.assert_allclose(loss(s, t).item(), expected, rtol=1e-9)


@pytest.mark.parametrize('name', [n for n in NECK if n not in ('mgd', 'mgd_mean', 'reviewkd')])
def test_levels_are_summed_with_their_weights(name):
    shapes = [(2, 4, 8, 10), (2, 4, 4, 5), (2, 4, 2, 3)]
    pairs = [features(x, x, seed=i) for i, x in enumerate(shapes)]
    s, t = zip(*pairs, strict=True)
    kwargs = extra(name, shapes[0])
    loss = make(name, [4] * 3, [4] * 3, levels=(0, 2), level_weights=(2.0, 0.5), loss_weight=3.0)
    parts = []
    for i in range(2):  # a loss of one level with the parts of that level
        one = make(name, 4, 4)
        for attribute in ('adapters', 'raw_variances', 'student_contexts', 'teacher_contexts'):
            if hasattr(loss, attribute):
                getattr(one, attribute)[0] = getattr(loss, attribute)[i]
        parts.append(one(s[2 * i], t[2 * i], **kwargs))
    torch.testing.assert_close(loss(s, t, **kwargs), 3 * (2 * parts[0] + 0.5 * parts[1]))
    assert set(loss.statistics) == {'level0', 'level2'}
    torch.testing.assert_close(loss.statistics['level2'], parts[1].detach())
    assert len(loss.adapters) == 2


@pytest.mark.parametrize('name', [n for n in ALL if n not in (
    'vid', 'vid_roi', 'crd', 'mgd', 'mgd_mean', 'reviewkd', 'srrl')])
def test_identical_features_lose_nothing(name):
    shape = (2, 5, 6, 9) if name in NECK else (7, 5)
    s, _ = features(shape, shape)
    loss = ALL[name][0](student_channels=5, teacher_channels=5, **ALL[name][2]).double()
    assert loss(s, s.clone(), **extra(name, shape)).item() == pytest.approx(0, abs=1e-12)


def test_what_the_scale_of_the_features_does():
    s, t = features((2, 5, 6, 9), (2, 5, 6, 9))
    rois = features((7, 5), (7, 6))
    for name, (a, b) in dict(at=(s, t), pkd=(s, t), sp=rois, pkt=rois).items():
        loss = make(name, a.size(1), b.size(1))
        torch.testing.assert_close(loss(50 * a, b), loss(a, b), rtol=1e-4, atol=0)
    torch.testing.assert_close(make('pkd', 5, 5)(s + 7, t), make('pkd', 5, 5)(s, t))
    torch.testing.assert_close(make('cwd', 5, 5)(s + 7, t), make('cwd', 5, 5)(s, t))


@pytest.mark.parametrize('name', ALL)
def test_no_gradient_goes_into_the_teacher(name):
    student, teacher = SHAPES['widths'] if name in NECK else ROI_SHAPES['widths']
    loss = make(name, student[1], teacher[1])
    s, t = features(student, teacher)
    kwargs = extra(name, teacher)
    loss(s.requires_grad_(), t.requires_grad_(), **kwargs).backward()
    assert s.grad.abs().sum() > 0 and t.grad is None
    assert all(p.grad is not None for p in loss.parameters())
    if name == 'srrl':
        assert all(p.grad is None for p in kwargs['classifier'].parameters())


def test_srrl_reaches_the_student_through_the_classifier_alone():
    loss = SRRLLoss(4, 6, alpha=0.0).double()
    s, t = features((9, 4), (9, 6))
    loss(s.requires_grad_(), t, **extra('srrl', (9, 6))).backward()
    assert s.grad.abs().sum() > 0


@pytest.mark.parametrize('name', ALL)
def test_one_and_none(name):
    """One image of one position, one RoI, no RoI: finite, and every parameter in the graph."""
    sizes = [(1, 1)] if name in NECK else [1, 0]
    for size in sizes:
        student, teacher = (((1, c, *size) if name in NECK else (size, c)) for c in (4, 6))
        loss = make(name, 4, 6)
        kwargs = extra(name, teacher) if name != 'crd' else dict(labels=torch.zeros(size).long())
        s, t = features(student, teacher)
        value = loss(s.requires_grad_(), t, **kwargs)
        value.backward()
        assert value.isfinite() and all(p.grad.isfinite().all() for p in loss.parameters())
        assert s.grad.isfinite().all()
        assert all(b.isfinite().all() for b in loss.buffers())
        if size == 0 or name in ('sp', 'pkt', 'crd'):
            assert value.item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize('name', NECK)
def test_other_sizes_are_resized_to_the_teacher(name):
    s, t = features((2, 4, 5, 8), (2, 6, 10, 13))
    loss = make(name, 4, 6)
    kwargs = extra(name, t.shape)
    resized = torch.nn.functional.interpolate(s, size=(10, 13), mode='bilinear')
    torch.testing.assert_close(loss(s, t, **kwargs), loss(resized, t, **kwargs))


def test_pkd_may_resize_the_teacher_or_refuse():
    s, t = features((2, 4, 5, 8), (2, 4, 10, 13))
    resized = torch.nn.functional.interpolate(t, size=(5, 8), mode='bilinear')
    loss = PKDLoss(4, 4, resize='teacher')
    torch.testing.assert_close(loss(s, t), loss(s, resized))
    with pytest.raises(ValueError, match=r'\(2, 4, 5, 8\).*\(2, 4, 10, 13\)'):
        PKDLoss(4, 4, resize=None)(s, t)


@pytest.mark.parametrize('name', ALL)
def test_half_precision_is_computed_in_float32(name):
    student, teacher = SHAPES['widths'] if name in NECK else ROI_SHAPES['widths']
    s, t = (100 * x.bfloat16() for x in features(student, teacher))
    kwargs = extra(name, teacher)
    if name == 'srrl':
        kwargs['classifier'].float()
    if name == 'fgd':
        kwargs['boxes'] = [x.float() for x in kwargs['boxes']]
    expected = make(name, student[1], teacher[1]).float()(s.float(), t.float(), **kwargs)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        value = make(name, student[1], teacher[1]).float()(s, t, **kwargs)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, expected)

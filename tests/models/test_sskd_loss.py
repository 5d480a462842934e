"""SSKD's self-supervised term: formula, rank selection, and whom it teaches when."""
import numpy as np
import pytest
import torch

import feature_formulas as formulas
from ctkd_det.models import SSKDLoss
from ctkd_det.models.losses.features.sskd_loss import best_ranked, true_rank


def make(widths=(4, 6), **options):
    torch.manual_seed(0)
    return SSKDLoss(*widths, **{**dict(loss_weight=3.0), **options}).double()


def features(number, widths=(4, 6), seed=0):
    """Plain and rotated, of both; like each other, so that some rows are right."""
    generator = torch.Generator().manual_seed(seed)
    plain = [torch.randn(number, width, dtype=torch.float64, generator=generator)
             for width in widths]
    rotated = [x + 0.3 * torch.randn(x.shape, dtype=torch.float64, generator=generator)
               for x in plain]
    return dict(student=plain[0], teacher=plain[1], rotated_student=rotated[0],
                rotated_teacher=rotated[1])


@pytest.mark.parametrize('number', [1, 2, 9])
@pytest.mark.parametrize('wrong_share', [0.0, 0.75, 1.0])
def test_value_and_gradient(number, wrong_share):
    loss, x = make(wrong_share=wrong_share, tau=0.7), features(number)
    for side in ('student', 'rotated_student'):
        x[side].requires_grad_()
    value = loss(**x)
    value.backward()
    arrays = {key: value.detach().numpy() for key, value in x.items()}

    def formula(**changed):
        a = {**arrays, **changed}
        return formulas.sskd(loss, a['student'], a['teacher'], a['rotated_student'],
                             a['rotated_teacher'])
    np.testing.assert_allclose(value.item(), formula(), rtol=1e-9, atol=1e-12)
    for side in ('student', 'rotated_student'):
        direction = np.random.default_rng(0).standard_normal(arrays[side].shape)
        ahead, behind = (formula(**{side: arrays[side] + step * direction})
                         for step in (1e-5, -1e-5))
        np.testing.assert_allclose((x[side].grad.numpy() * direction).sum(),
                                   (ahead - behind) / 2e-5, rtol=1e-4, atol=1e-9)
    if number == 9:
        right = loss.statistics['teacher_right'].item() * 9
        assert 1 < right < 8  # so that the selection has something to select


def test_the_rank_of_the_true_answer_by_hand():
    scores = torch.tensor([[3., 1., 2.], [3., 1., 2.], [3., 1., 2.], [2., 2., 2.], [2., 2., 2.]])
    assert true_rank(scores, torch.tensor([0, 1, 2, 0, 2])).tolist() == [0, 2, 1, 0, 2]


@pytest.mark.parametrize('share, kept', [(0.0, [0, 4]), (0.49, [0, 1, 4]), (0.5, [0, 1, 3, 4]),
                                         (0.75, [0, 1, 3, 4, 5]), (1.0, [0, 1, 2, 3, 4, 5])])
def test_right_rows_and_the_best_ranked_of_the_others(share, kept):
    """Four are wrong; of the two with rank 1 the first is taken first."""
    rank = torch.tensor([0, 1, 3, 1, 0, 2])
    assert best_ranked(rank, share).nonzero().squeeze(1).tolist() == kept


def gradients(loss, **options):
    x = features(7)
    for value in x.values():
        value.requires_grad_()
    loss.zero_grad()
    loss(**x, **options).backward()
    parts = {side: [p.grad.abs().sum().item() for p in loss.adapters[0][side].parameters()]
             for side in ('student', 'teacher')}
    reached = {key for key, value in x.items() if value.grad is not None and value.grad.any()}
    return parts, reached


def test_before_its_window_it_teaches_the_teachers_part_alone():
    loss = make(window=dict(begin=5, end=8, warmup=1))
    loss.window.move_to(4, 0)
    parts, reached = gradients(loss)
    assert loss.active and all(parts['teacher']) and not any(parts['student']) and not reached
    lesson = loss(**features(7)).item()
    loss.window.move_to(5, 0)  # half of the divergence
    parts, reached = gradients(loss)
    assert all(parts['teacher']) and all(parts['student'])
    assert reached == {'student', 'rotated_student'}
    half = loss(**features(7)).item() - lesson
    loss.window.move_to(6, 0)
    assert loss(**features(7)).item() - lesson == pytest.approx(2 * half) and half > 0
    loss.window.move_to(8, 0)
    assert not loss.active


def test_the_teachers_part_learns_as_fast_at_any_weight():
    ones, tens = (gradients(make(loss_weight=weight))[0] for weight in (1.0, 10.0))
    assert tens['teacher'] == pytest.approx(ones['teacher'])
    assert tens['student'] == pytest.approx([10 * x for x in ones['student']])


def test_no_roi_leaves_every_parameter_in_the_graph():
    loss = make()
    loss(**features(3))
    value = loss(**features(0))
    assert not loss.statistics, 'those of other RoIs'
    value.backward()
    assert value == 0 and all(p.grad is not None and not p.grad.any() for p in loss.parameters())


def test_arguments_out_of_range():
    for options in (dict(tau=0.0), dict(wrong_share=1.1)):
        with pytest.raises(ValueError, match='SSKDLoss: (tau|wrong_share) must be'):
            make(**options)

import pytest
import torch

from ctkd_det.models import GradientReversal


@pytest.mark.parametrize('lambda_', [0.0, 0.3, 1.0, 2.5])
def test_forward_is_identity_and_backward_is_minus_lambda(lambda_):
    layer = GradientReversal(lambda_)
    x = torch.tensor([1.5, -2.0], requires_grad=True)
    out = layer(x)
    assert torch.equal(out, x)
    (out * torch.tensor([2.0, 3.0])).sum().backward()
    torch.testing.assert_close(x.grad, -lambda_ * torch.tensor([2.0, 3.0]))


@pytest.mark.parametrize('bad', [-0.1, float('nan'), float('inf')])
def test_refuses_what_would_turn_the_sign_or_poison_the_gradient(bad):
    with pytest.raises(ValueError, match='lambda_'):
        GradientReversal(bad)
    layer = GradientReversal()
    with pytest.raises(ValueError, match='lambda_'):
        layer.lambda_ = bad


def test_warns_once_when_nobody_drives_it():
    layer = GradientReversal()
    x = torch.ones((), requires_grad=True)
    with pytest.warns(UserWarning, match='CurriculumHook') as caught:
        layer(x), layer(x)
    assert len(caught) == 1


def test_does_not_warn_once_driven_even_to_zero(recwarn):
    layer = GradientReversal()
    layer.lambda_ = 0.0
    x = torch.ones((), requires_grad=True)
    layer(x), GradientReversal(0.3)(x)
    assert not recwarn.list


def test_does_not_warn_where_nothing_learns(recwarn):
    x = torch.ones((), requires_grad=True)
    GradientReversal().eval()(x)
    with torch.no_grad():
        GradientReversal()(x)
    assert not recwarn.list

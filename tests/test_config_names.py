"""Configs that say the same in other words."""
import pytest
import torch

from ctkd_det.configs import comparable


@pytest.mark.parametrize('said, short', [
    ('mmdet.FocalLoss', 'FocalLoss'), ('mmdet.models.losses.focal_loss.FocalLoss', 'FocalLoss'),
    (torch.optim.SGD, 'SGD'), ('FocalLoss', 'FocalLoss')])
def test_a_registered_class_has_one_name(said, short):
    assert comparable([dict(type=said, _scope_='mmdet')]) == comparable((dict(type=short), ))


@pytest.mark.parametrize(
    'said', ['proj_a.KDLoss', 'mine.FocalLoss', 'torch.nn.LayerNorm', 'v1.2', 3.5])
def test_what_is_something_else_keeps_its_name(said):
    """The losses of two projects are two methods, not two seeds of one."""
    assert comparable(dict(type=said)) == dict(type=said)

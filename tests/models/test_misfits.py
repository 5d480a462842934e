"""A checkpoint of another architecture is told in a few lines, however many weights differ."""
import pytest
from torch import nn

from ctkd_det.models.misfits import misfits


def said(own, theirs):
    with pytest.raises(RuntimeError) as error:
        own.load_state_dict(theirs.state_dict())
    return misfits(error.value).splitlines()


def layers(count, width):
    return nn.Sequential(*[nn.Linear(width, width) for _ in range(count)])


def test_shapes():
    assert said(layers(4, 2), layers(4, 3)) == [
        '  size mismatch (checkpoint / detector): 0.weight [3, 3] / [2, 2], 0.bias [3] / [2], '
        '1.weight [3, 3] / [2, 2], and 5 more']
    assert said(layers(1, 2), layers(1, 3)) == [
        '  size mismatch (checkpoint / detector): 0.weight [3, 3] / [2, 2], 0.bias [3] / [2]']


def test_names_of_each_kind():
    """A line each, so that many of one kind do not hide another."""
    other = nn.ModuleDict(dict(a=nn.Linear(3, 3), b=nn.Linear(3, 3)))
    own = nn.Sequential(*layers(3, 2))
    own.a = nn.Linear(2, 2)
    assert said(own, other) == [
        '  missing: 0.weight, 0.bias, 1.weight, and 3 more', '  unexpected: b.weight, b.bias',
        '  size mismatch (checkpoint / detector): a.weight [3, 3] / [2, 2], a.bias [3] / [2]']
    assert misfits(RuntimeError('out of memory')) == '  other: out of memory'

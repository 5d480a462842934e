"""The tools that rewrite checkpoints."""
import pytest
import torch

import forked
from helpers import ROOT

TOOL = ROOT / 'tools' / 'model_converters' / 'halve_checkpoint.py'


@pytest.mark.parametrize('names', [('triangle', 'square'), None, 'bare'])
def test_halve_checkpoint(names, tmp_path):
    """With classes, without ``meta``, and weights alone."""
    weights = {'matrix': torch.tensor([[1.0, 1e-3]]), 'large': torch.tensor([[1e5, 1.0]]),
               'vector': torch.ones(2), 'count': torch.ones(2, 2, dtype=torch.long)}
    content = weights if names == 'bare' else dict(state_dict=weights)
    if names and names != 'bare':
        content['meta'] = dict(dataset_meta=dict(classes=names), epoch=3)
    torch.save(content, tmp_path / 'a.pth')
    target = tmp_path / 'new' / 'b.pth'
    done = forked.run(TOOL, tmp_path / 'a.pth', target)
    assert done.returncode == 0, done.stderr
    written = torch.load(target, weights_only=True)
    meta = dict(dataset_meta=dict(classes=names)) if names and names != 'bare' else {}
    assert written['meta'] == meta
    halved = written['state_dict']
    assert halved.pop('matrix').dtype == torch.float16
    # 1e5 would be infinite; vectors and whole numbers stay
    for key, value in halved.items():
        assert value.dtype == weights[key].dtype and torch.equal(value, weights[key])
    assert len(halved) == 3

"""The table of the losses' sizes: what it says is what a step computes."""
import sys

import pytest
import torch

from helpers import CONFIGS, batch, build, distill, student_config

sys.path.insert(0, str(CONFIGS.parent / 'tools' / 'benchmarks'))
from loss_scale import OWN, measure, table  # noqa: E402


def test_values_and_gradients_are_those_of_a_step(teacher):
    losses = dict(loss_pkd=dict(type='PKDLoss', loss_weight=3.0, window=dict(begin=100)),
                  loss_kd=dict(type='KDLoss', temperature=1.0))
    model = build(distill(student_config(), teacher, losses)).train()
    for module in model.modules():  # a second look at a batch must be like the first
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    for parameter in model.neck.parameters():  # the teacher's are the same
        parameter.data += 0.05 * torch.randn_like(parameter)
    data = batch(model)
    model.data_preprocessor.forward = lambda given, training: given
    torch.manual_seed(0)
    scales = measure(model, [data])
    torch.manual_seed(0)
    found = model(**data, mode='loss')
    assert scales['loss_pkd'].weight == 3.0 and scales['loss_cls'].weight is None
    assert scales['loss_pkd'].value == pytest.approx(found['loss_pkd'].item())
    own = model.parse_losses({k: v for k, v in found.items() if k not in losses})[0]
    assert scales[OWN].value == pytest.approx(own.item())
    for name, loss in (('loss_kd', found['loss_kd']), (OWN, own)):
        model.zero_grad()
        loss.backward(retain_graph=True)
        norm = torch.stack([p.grad.norm() for n, p in model.named_parameters()
                            if p.grad is not None and 'distill_losses' not in n]).norm()
        assert scales[name].gradient == pytest.approx(norm.item(), rel=1e-5)
    even = 3 * scales[OWN].gradient / scales['loss_pkd'].gradient
    row = list(scales).index('loss_pkd')
    assert table(scales).columns[-1]._cells[row] == f'{even:.2g}'

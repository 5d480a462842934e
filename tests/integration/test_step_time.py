"""The benchmark of a step measures steps that do the same, and counts right."""
import json
import sys

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from helpers import CONFIGS

sys.path.insert(0, str(CONFIGS.parent / 'tools' / 'benchmarks'))

import growth  # noqa: E402
import loss_costs  # noqa: E402
import step_time  # noqa: E402
from clock import Clock, medians  # noqa: E402
from steps import StepBench  # noqa: E402

CTKD = str(CONFIGS / 'shapes' / 'ctkd.py')


def test_the_last_line_is_json_with_the_overhead(monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', [
        'step_time.py', CTKD, '--batch', '2', '--size', '64', '64', '--rounds', '1', '--json',
        '--variants', 'fold', '--device', 'cpu'])
    step_time.main()
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    both = found['student'] + found['teacher']
    assert found['overhead'] == pytest.approx((found['distilled'] - both) / both)
    kinds = {'student', 'teacher', 'distilled', 'second head pass', "teacher's full loss", 'fold'}
    assert found['memory'].keys() == found['images_per_second'].keys() == kinds
    assert found['images_per_second']['teacher'] == pytest.approx(2 / found['teacher'])


def test_all_ways_to_distil_have_one_gradient():
    """What differs is only what they compute twice or for nothing."""
    init_default_scope('mmdet')
    torch.manual_seed(0)
    bench = StepBench(Config.fromfile(CTKD), 2, (64, 64))
    gradients, passes = [], []
    for model in (bench.model, bench.with_second_head_pass(), bench.with_full_teacher_loss()):
        calls = []
        hooks = [module.register_forward_hook(
                    lambda *_, name=name, calls=calls: calls.append(name))
                 for name, module in dict(
                     head=model.roi_head.bbox_head, teacher=model.teacher_model.backbone,
                     teachers_rpn=model.teacher_model.rpn_head).items()]
        for buffer, value in zip(model.buffers(), bench.model.buffers(), strict=True):
            buffer.copy_(value)
        bench.distilled(model)()
        for hook in hooks:
            hook.remove()
        passes.append({name: calls.count(name) for name in ('head', 'teacher', 'teachers_rpn')})
        gradients.append([p.grad for p in model.parameters()])
    assert passes == [dict(head=1, teacher=1, teachers_rpn=0),
                      dict(head=2, teacher=1, teachers_rpn=0),
                      dict(head=1, teacher=1, teachers_rpn=1)]
    for others in gradients[1:]:
        for one, other in zip(gradients[0], others, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)  # summed otherwise


def test_the_cost_of_a_loss_alone():
    init_default_scope('mmdet')
    args = step_time.argparse.Namespace(losses=['at', 'kd_fixed'], batch=1, size=(64, 64),
                                        device='cpu', rounds=1)
    clock = Clock(torch.device('cpu'))
    found = loss_costs.costs(Config.fromfile(CTKD), args, clock)
    assert list(found) == args.losses
    for cost in found.values():
        assert cost['ratio'] == cost['step'] / cost['student']
        assert cost['share'] == cost['losses'] / cost['step'] and cost['losses'] > 0


def test_the_points_of_an_axis():
    init_default_scope('mmdet')
    torch.manual_seed(0)
    cfg = Config.fromfile(CTKD)
    assert growth.point(cfg, 'images', 4, 16)[1] == 4
    for axis, value in dict(classes=80, levels=4, width=32).items():
        model = StepBench(growth.point(cfg, axis, value, 1)[0], 1, (64, 64)).model
        for detector in (model, model.teacher_model):
            assert value == dict(
                classes=detector.roi_head.bbox_head.num_classes, levels=detector.neck.num_outs,
                width=detector.neck.out_channels)[axis]
    bench = StepBench(growth.point(cfg, 'RoIs', 64, 2)[0], 2, (64, 64))
    assert len(bench.records[0].rois) == 64


def test_functions_take_turns():
    order = []
    kinds = {name: lambda name=name: order.append(name) for name in 'abc'}
    times = Clock(torch.device('cpu')).turns(kinds, rounds=3, budget=0)
    assert order == list('abcbcacab') and all(len(values) == 3 for values in times.values())
    assert medians(dict(a=[1., 5., 2.])) == dict(a=2.)


def test_the_size_is_the_configs():
    coco = Config.fromfile(CONFIGS / 'ctkd' / 'faster-rcnn_r18_fpn_ctkd-r101_1x_coco.py')
    assert step_time.image_size(coco) == (800, 1344)
    assert step_time.image_size(Config.fromfile(CTKD)) == (96, 96)


def test_of_a_loss_between_boxes_the_teachers_head_is_timed_too():
    init_default_scope('mmdet')
    cfg = Config.fromfile(CTKD)
    cfg.model.distill_losses = dict(loss_boxkd=dict(type='BoxKDLoss', mode='bounded'))
    bench = StepBench(cfg, 2, (64, 64))
    assert len(bench.records) == 1
    kinds = bench.kinds()
    assert "teacher's full loss" not in kinds
    for function in kinds.values():
        function()

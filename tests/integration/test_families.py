"""Whole runs of a cascade, of single-stage detectors and of a DETR."""
import pytest
import torch
from mmengine.runner import load_checkpoint

import families
import helpers

LEARNED = dict(type='GlobalTemperature', tau_min=0.5, tau_range=1.5, initial_temperature=1.0)
RUNS = dict(
    cascade=('KnowledgeDistillationTwoStageDetector', 'KDLoss',
             ['s0.loss_ctkd', 's1.loss_ctkd', 's2.loss_ctkd']),
    retinanet=('KnowledgeDistillationDenseDetector', 'BinaryKDLoss', ['loss_ctkd']),
    yolox=('KnowledgeDistillationDenseDetector', 'BinaryKDLoss', ['loss_ctkd']),
    dino=('KnowledgeDistillationDINO', 'BinaryKDLoss', ['loss_ctkd']))


@pytest.mark.parametrize('family', RUNS)
def test_trains_evaluates_and_leaves_a_plain_students_checkpoint(family, shapes, tmp_path):
    detector, loss, keys = RUNS[family]
    cfg = helpers.use_data(helpers.student_config(max_epochs=1), shapes)
    cfg.pop('model')
    cfg.model = families.tiny(family).model
    if family in ('retinanet', 'yolox'):  # after four steps it is sure of nothing
        cfg.model.test_cfg.score_thr = 0.0
    plain = cfg.model.copy()
    cfg.model.update(
        type=detector, **families.save_teacher(tmp_path, families.tiny(family)),
        distill_losses=dict(loss_ctkd=dict(type=loss, temperature=LEARNED, foreground_weight=0.5)))
    cfg.custom_hooks = [dict(type='CurriculumHook', lambda_min=1.0)]
    cfg.optim_wrapper.optimizer.lr = 0.01
    runner = helpers.run(cfg, tmp_path / 'run')
    scalars = runner.message_hub.log_scalars
    assert all(len(scalars[f'train/{key}'].data[0]) == 4 for key in keys)  # 8 images in twos
    total = scalars['train/loss'].data[0]
    parts = [sum(scalars[name].data[0][i] for name in scalars if 'loss_' in name)
             for i in range(4)]
    assert total == pytest.approx(parts, rel=1e-4)
    assert 'val/coco/bbox_mAP' in scalars
    # the adversary's gradient reaches theta: up the loss, so tau moves from where it began
    assert scalars['train/ctkd.theta_grad'].data[0][0] != 0
    taus = scalars['train/ctkd.tau_mean'].data[0]
    assert taus[0] == pytest.approx(1, abs=1e-6) and taus[-1] != taus[0]
    student = helpers.build(cfg.__class__(dict(model=plain)))
    saved = load_checkpoint(student, str(tmp_path / 'run' / 'epoch_1.pth'), strict=False)
    extra = saved['state_dict'].keys() - student.state_dict().keys()
    assert extra == {'distill_losses.loss_ctkd.temperature.theta'}
    assert not student.state_dict().keys() - saved['state_dict'].keys()
    with torch.no_grad():
        data = helpers.batch(student, training=False)
        a, b = (m.eval()(**data, mode='predict')[0].pred_instances.scores
                for m in (student, runner.model))
    assert len(a) > 0 and torch.equal(a, b)

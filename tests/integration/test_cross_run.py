"""A whole run of a student whose head is crossed with the teacher's."""
import pytest
import torch

import families
import helpers
from ctkd_det.models.distilled_config import is_beside_student, plain_model


def test_trains_resumes_and_leaves_a_plain_student(shapes, tmp_path):
    """With the published loss at a learned temperature, and PKD beside it."""
    teacher = families.save_teacher(tmp_path, families.tiny('gfl'))

    def config(epochs: int):
        cfg = helpers.use_data(helpers.student_config(max_epochs=epochs), shapes)
        cfg.pop('model')
        cfg.model = families.tiny('gfl').model
        cfg.model.test_cfg.score_thr = 0.0
        cfg.model.update(
            type='KnowledgeDistillationDenseDetector', cross_head=dict(layer=1), **teacher,
            distill_losses=dict(
                loss_ctkd=dict(type='QualityFocalKDLoss',
                               temperature=dict(type='GlobalTemperature')),
                loss_pkd=dict(type='PKDLoss')))
        cfg.custom_hooks = [dict(type='CurriculumHook', lambda_min=1.0)]
        cfg.optim_wrapper.optimizer.lr = 0.01
        return cfg

    helpers.run(config(1), tmp_path / 'run')
    cfg = config(2)
    cfg.resume = True
    runner = helpers.run(cfg, tmp_path / 'run')
    values = runner.message_hub.log_scalars
    assert runner.iter == 8 and 'val/coco/bbox_mAP' in values
    losses = values['train/loss_ctkd'].data[0]
    assert len(losses) == 8 and all(0 < x < 1e3 for x in losses)
    taus = values['train/ctkd.tau_mean'].data[0]
    assert taus[0] == pytest.approx(1, abs=1e-6) and taus[4] != taus[0] != taus[7] != taus[4]
    weights = torch.load(teacher['teacher_ckpt'])['state_dict']
    assert all(torch.equal(value, weights[key])
               for key, value in runner.model.teacher_model.state_dict().items())
    plain = plain_model(cfg.model)
    assert not {'cross_head', 'teacher_config', 'distill_losses'} & plain.keys()
    student = helpers.build(cfg.__class__(dict(model=plain))).eval()
    saved = torch.load(tmp_path / 'run' / 'epoch_2.pth')['state_dict']
    student.load_state_dict({k: v for k, v in saved.items() if not is_beside_student(k)})
    data = helpers.batch(student, training=False)
    with torch.no_grad():
        a, b = (model.eval()(**data, mode='predict')[0].pred_instances.scores
                for model in (student, runner.model))
    assert len(a) > 0 and torch.equal(a, b)

"""FRSKD in whole trainings."""
import torch

from ctkd_det.models.distilled_config import is_beside_student
from helpers import GLOBAL, distill, run, student_config


def config(shapes, window=None, **options):
    return distill(student_config(shapes, max_epochs=1), dict(teacher_config='refined', **options),
                   dict(loss_ctkd=dict(GLOBAL, window=window),
                        loss_at=dict(type='ATLoss', loss_weight=50.0)))


def weights(runner):
    return {key: value for key, value in runner.model.state_dict().items()
            if not is_beside_student(key)}


def test_weight_0_is_plain_mmdet(shapes, tmp_path):
    plain = run(student_config(shapes, max_epochs=1), tmp_path / 'plain')
    off = run(config(shapes, teacher_loss_weight=0.0), tmp_path / 'off')
    expected = weights(plain)
    assert weights(off).keys() == expected.keys()
    assert all(torch.equal(value, expected[key]) for key, value in weights(off).items())


def test_ctkd_between_a_student_and_its_refined_self(shapes, tmp_path):
    """All of it is trained, averaged by EMA as well, and validated by the student alone."""
    cfg = config(shapes)
    cfg.custom_hooks = [dict(type='CurriculumHook'), dict(type='EMAHook')]
    runner = run(cfg, tmp_path / 'work')
    log = runner.message_hub.log_scalars
    assert min(log['train/self_teacher.loss_cls'].data[0]) > 0
    assert min(log['train/loss_ctkd'].data[0]) > 0
    taught = log['train/loss_at'].data[0]  # after two thirds of the training
    begin = round(0.67 * len(taught))
    assert not any(taught[:begin]) and min(taught[begin:]) > 0
    assert log['train/ctkd.theta_grad'].data[0][-1] != 0
    saved = torch.load(tmp_path / 'work' / 'epoch_1.pth')
    key = 'self_teacher.roi_head.bbox_head.fc_cls.weight'
    assert not torch.equal(saved['state_dict'][key], saved['ema_state_dict'][f'module.{key}'])

"""What a checkpoint is good for: resuming with the teacher, going on without it."""
import shutil

import pytest
import torch
from mmengine.runner import Runner

from helpers import GLOBAL, distill, log_of, make_shapes, run, student_config

THETA = 'distill_losses.loss_ctkd.temperature.theta'


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return make_shapes(tmp_path_factory.mktemp('data'))


def config(data, teacher, epochs):
    cfg = distill(student_config(data, max_epochs=epochs), teacher,
                  dict(loss_ctkd=dict(GLOBAL, foreground_weight=0.5, loss_weight=0.1)))
    cfg.custom_hooks = [dict(type='CurriculumHook', end=2)]
    cfg.default_hooks.checkpoint.max_keep_ckpts = 5
    return cfg


def test_resume_takes_the_teacher_from_the_config(data, teacher, tmp_path):
    """The file may have moved meanwhile; where it is missing, the error names it."""
    here, there = tmp_path / 'here.pth', tmp_path / 'there.pth'
    shutil.copy(teacher['teacher_ckpt'], here)
    run(config(data, dict(teacher, teacher_ckpt=str(here)), 1), tmp_path / 'work')
    saved = torch.load(tmp_path / 'work' / 'epoch_1.pth')
    assert not [key for key in saved['state_dict'] if 'teacher' in key]
    here.rename(there)

    cfg = config(data, dict(teacher, teacher_ckpt=str(here)), 2)
    cfg.resume = True
    with pytest.raises(FileNotFoundError, match=r'teacher_ckpt .*here\.pth does not exist'):
        run(cfg, tmp_path / 'work')

    cfg = config(data, dict(teacher, teacher_ckpt=str(there)), 2)
    cfg.resume = True
    runner = run(cfg, tmp_path / 'work')
    assert runner.iter == 8 and 'another curriculum' not in log_of(tmp_path / 'work')
    weights = torch.load(there)['state_dict']
    for key, value in runner.model.teacher_model.state_dict().items():
        assert torch.equal(value, weights[key]), key
    # theta goes on from the checkpoint's
    tau = runner.message_hub.get_scalar('train/ctkd.tau_mean').data[0]
    assert tau[4] == pytest.approx(0.5 + 1.5 * saved['state_dict'][THETA].sigmoid().item())


def yolox_resizes(model):
    """Its preprocessor draws a size now and then, and keeps it until the next."""
    model.data_preprocessor.batch_augments = [dict(
        type='BatchSyncRandomResize', random_size_range=(64, 128), interval=3)]


def dynamic_rcnn(model):
    """New thresholds after each third step; the second ones follow from steps 4 to 6."""
    model.roi_head.update(type='DynamicRoIHead')
    model.roi_head.bbox_head.loss_bbox = dict(type='SmoothL1Loss', beta=1.0)
    model.train_cfg.rcnn.dynamic_rcnn = dict(
        iou_topk=4, beta_topk=2, update_iter_interval=3, initial_iou=0.2, initial_beta=1.0)


@pytest.mark.parametrize('keeps', [yolox_resizes, dynamic_rcnn])
def test_a_resume_goes_on_with_what_the_detector_keeps(data, teacher, tmp_path, keeps):
    """The checkpoint is of iteration 4 of 8."""
    def train(work_dir, resume=False):
        cfg = config(data, teacher, 2)
        keeps(cfg.model)
        cfg.resume = resume
        return run(cfg, work_dir)
    whole, parts = train(tmp_path / 'whole'), tmp_path / 'parts'
    parts.mkdir()
    for end in ('', '.sha256'):
        shutil.copy(tmp_path / 'whole' / f'epoch_1.pth{end}', parts)
    resumed = train(parts, resume=True)
    assert resumed.iter == 8
    for key, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[key], value), key


def test_a_students_checkpoint_goes_on_without_its_teacher(data, teacher, tmp_path, capsys):
    """mmengine warns of the temperature alone."""
    run(config(data, teacher, 1), tmp_path / 'distilled')
    saved = torch.load(tmp_path / 'distilled' / 'epoch_1.pth')['state_dict']
    cfg = student_config(data)
    cfg.load_from = str(tmp_path / 'distilled' / 'epoch_1.pth')
    cfg.work_dir = str(tmp_path / 'plain')
    cfg.experiment_name = f'plain_{tmp_path.name}'
    runner = Runner.from_cfg(cfg)
    capsys.readouterr()
    runner.load_or_resume()
    log = capsys.readouterr().out  # mmengine prints this warning
    assert log.count('do not match exactly') == 1
    assert f'unexpected key in source state_dict: {THETA}\n' in log
    assert 'missing keys' not in log and 'size mismatch' not in log
    found = runner.model.state_dict()
    assert found.keys() == saved.keys() - {THETA}
    assert all(torch.equal(value, saved[key]) for key, value in found.items())

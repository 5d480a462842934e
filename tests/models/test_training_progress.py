"""A detector follows the Runner that trains it, whatever others the process has."""
import pytest
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.runner import Runner

from ctkd_det.models.detectors.training_progress import OwnTraining
from ctkd_det.models.teachers import TeacherError
from helpers import CLASSES, GLOBAL, distill, make_teacher, student_config

LATER = dict(loss_ctkd=dict(GLOBAL, window=dict(begin=0.5)))


def configured(shapes, teacher, work_dir, losses=LATER):
    cfg = distill(student_config(shapes), teacher, losses)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.custom_hooks = [dict(type='CurriculumHook')]
    cfg.work_dir, cfg.experiment_name = str(work_dir), work_dir.name
    return cfg


def active(runner):
    """In which iterations its loss was."""
    return [value > 0 for value in runner.message_hub.get_scalar('train/loss_ctkd').data[0]]


class Failing(Hook):

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        raise InterruptedError


def test_runners_that_are_built_before_the_first_trains(shapes, teacher, tmp_path):
    runners = [Runner.from_cfg(configured(shapes, teacher, tmp_path / name)) for name in 'abc']
    runners[2].register_hook(Failing())
    with pytest.raises(InterruptedError):  # which leaves it behind as one that trains
        runners[2].train()
    for runner in runners[:2]:
        runner.train()
        assert active(runner) == [False] * 4 + [True] * 4


def test_a_training_within_a_training(shapes, teacher, tmp_path):
    inner = []

    class Within(Hook):

        def after_train_epoch(self, runner):
            if runner.epoch == 0:
                inner.append(Runner.from_cfg(configured(shapes, teacher, tmp_path / 'inner')))
                inner[0].train()

    outer = Runner.from_cfg(configured(shapes, teacher, tmp_path / 'outer'))
    outer.register_hook(Within())
    outer.train()
    assert [active(runner) for runner in (outer, *inner)] == [[False] * 4 + [True] * 4] * 2


def test_class_names_are_checked_though_another_runner_is_newer(shapes, tmp_path):
    reverse = make_teacher(tmp_path / 'teacher', classes=CLASSES[::-1])
    first, _ = [Runner.from_cfg(configured(shapes, reverse, tmp_path / name)) for name in 'ab']
    with pytest.raises(TeacherError, match='in another order'):
        first.train()


def test_a_detector_that_was_built_by_hand_follows_the_newest_that_trains():
    """Also where an earlier training has failed; none trains: nothing to follow."""
    def say(name, stage):
        hub = MessageHub.get_instance(name)
        hub.update_info('loop_stage', stage)
        return hub

    early = OwnTraining()
    say('failed', 'train')
    by_hand = OwnTraining()
    now = say('now', 'train')
    MessageHub.get_instance('to_come')
    assert early.now() is by_hand.now() is now
    for name in ('failed', 'now'):
        say(name, 'val')
    assert early.now() is by_hand.now() is None

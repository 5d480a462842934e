"""What a resume takes up from an older, moved or foreign part of a training, and what it leaves."""
import logging
import os
import re
import signal
import time
from types import SimpleNamespace

import pytest
import toy
from hooks.test_resumes_of_others import BEST, resume_by_name
from hooks.test_safe_checkpoint_hook import After, CutOff, Stop, assert_equal_runs, train
from mmengine.logging import MessageHub
from mmengine.runner import EpochBasedTrainLoop

from ctkd_det.compat.reading import read_checkpoint
from ctkd_det.hooks.checkpoint_files import SavingError
from ctkd_det.hooks.epoch_length import count_in_new_epochs
from ctkd_det.hooks.validations import VALIDATED
from ctkd_det.work_dir import WorkDir


@pytest.fixture
def time_zone(monkeypatch):
    """Sets the time zone of this process."""
    def set_to(name):
        monkeypatch.setenv('TZ', name)
        time.tzset()
    yield set_to
    monkeypatch.undo()
    time.tzset()


def test_a_resume_in_another_time_zone_is_the_later_part(tmp_path, time_zone):
    time_zone('Asia/Shanghai')
    train(tmp_path, hooks=(After(13), ), expected=Stop)
    time_zone('UTC')
    train(tmp_path, resume=True)
    # the first one is made again, at the beginning of iteration 10
    assert WorkDir(tmp_path).scalars()['toy/mAP'] == ([2, 4], [10.0, 19.0])
    assert WorkDir(tmp_path).scalars()['loss'][0] == list(range(1, 21))


def test_partial_files_of_other_programs_stay(tmp_path):
    """A crash leaves partial files of ours; a download leaves others with the same ending."""
    theirs = [tmp_path / 'photos.partial' / 'a.png', tmp_path / 'video.mp4.partial',
              tmp_path / 'epoch_1.pth.zip.partial', tmp_path / 'video.mp4.sha256']
    ours = [tmp_path / f'{name}.partial' for name in (
        'epoch_9.pth', 'epoch_9.pth.sha256', BEST.format(8), 'interrupted_epoch_3_iter_17.pth',
        'last_checkpoint', '.probe')]
    for path in (*theirs, *ours):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / 'epoch_9.pth.sha256').touch()  # it is written before the file
    train(tmp_path, epochs=1)
    assert [path for path in theirs if not path.exists()] == []
    assert not any(path.exists() for path in (*ours, tmp_path / 'epoch_9.pth.sha256'))


def test_a_checkpoint_of_a_training_without_epochs_is_not_resumed_by_epochs(tmp_path):
    """Which would train past its end: epoch 0 would have ten iterations of five."""
    train(tmp_path / 'theirs', epochs=2, by_epoch=False)
    runner = resume_by_name(toy.runner(tmp_path / 'mine'), tmp_path / 'theirs' / 'iter_10.pth')
    with pytest.raises(SavingError, match='of iteration 10 after 0 epochs of 5 iterations.*counts '
                       'no epochs'):
        runner.train()


@pytest.mark.parametrize('iteration, length, expected', [
    # 4 of 7 iterations, 7 of 7, and none of the second epoch
    (4, 2, 1), (4, 3, 2), (6, 2, 1), (6, 1, 0), (6, 14, 12)])
def test_a_converted_iteration_stays_within_its_epoch(iteration, length, expected):
    loop = object.__new__(EpochBasedTrainLoop)
    runner = SimpleNamespace(train_loop=loop, train_dataloader=range(length), _load_from='x',
                             logger=logging.getLogger('silent'))
    for epoch in (0, 2):
        checkpoint = dict(meta=dict(epoch=epoch, iter=epoch * 7 + iteration), epoch_length=7)
        count_in_new_epochs(runner, checkpoint)
        assert checkpoint['meta']['iter'] == epoch * length + expected
        assert checkpoint['epoch_length'] == length


class Terminate(CutOff):
    """Sends SIGTERM there."""

    def before_val_epoch(self, runner):
        if runner.iter == self.iterations:
            os.kill(os.getpid(), signal.SIGTERM)


def test_sigterm_ends_a_validation_that_is_made_again(tmp_path):
    train(tmp_path, hooks=(CutOff(10), ), expected=Stop)
    runner = train(tmp_path, hooks=(Terminate(10), ), expected=SystemExit, resume=True)
    assert runner.iter == 10
    assert {path.name for path in tmp_path.glob('*.pth')} == {'epoch_1.pth', 'epoch_2.pth'}


def test_a_validation_that_a_checkpoint_knows_of_is_not_made_again(tmp_path):
    """ReduceOnPlateauLR would count it twice; each of these is the best, and saved once more."""
    def with_plateau(runner):
        runner.param_schedulers = dict(
            type='ReduceOnPlateauLR', monitor='toy/mAP', rule='less', patience=1, by_epoch=True)
        return runner

    options = dict(epochs=8, save_best='toy/mAP')
    MessageHub._instance_dict.clear()
    whole = with_plateau(toy.runner(tmp_path / 'whole', **options))
    whole.train()
    parts = with_plateau(toy.runner(tmp_path / 'parts', hooks=(After(21), ), **options))
    with pytest.raises(Stop):
        parts.train()
    MessageHub._instance_dict.clear()
    resumed = with_plateau(toy.runner(tmp_path / 'parts', resume=True, **options))
    resumed.train()
    assert_equal_runs(resumed, whole)
    rates = [run.param_schedulers[0].state_dict() for run in (whole, resumed)]
    assert rates[0] == rates[1] and rates[0]['_last_value'] < [0.05]
    known = read_checkpoint(tmp_path / 'parts' / 'epoch_8.pth')['message_hub']['runtime_info']
    assert known[VALIDATED] == dict(epoch=8, iter=40)
    scores = [list(run.message_hub.get_scalar('val/toy/mAP').data[0]) for run in (whole, resumed)]
    assert scores[0] == scores[1]


def test_the_best_of_what_is_left_behind_is_replaced(tmp_path, monkeypatch):
    """Resumed from epoch 1, whose best checkpoint was removed for that of epoch 3."""
    def train_to(scores, resume=False):
        found = iter(scores)
        monkeypatch.setattr(toy.Score, 'compute_metrics',
                            lambda self, results: dict(mAP=next(found)))
        MessageHub._instance_dict.clear()
        runner = toy.runner(tmp_path, epochs=3, save_best='toy/mAP')
        runner._train_loop['val_interval'] = 1
        (resume_by_name(runner, tmp_path / 'epoch_1.pth') if resume else runner).train()
        return runner

    train_to([0.3, 0.2, 0.9])
    assert WorkDir(tmp_path).best_checkpoint.name == BEST.format(3)
    # epoch 1 is validated once more: it may be the best one of what stays
    runner = train_to([0.3, 0.2, 0.25], resume=True)
    best = {path.name for path in tmp_path.glob('best*')}
    assert best == {BEST.format(1), BEST.format(1) + '.sha256'}
    assert runner.message_hub.get_info('best_score') == 0.3
    runner = train_to([0.4, 0.1], resume=True)
    assert WorkDir(tmp_path).best_checkpoint.name == BEST.format(2)
    assert runner.message_hub.get_info('best_score') == 0.4
    assert read_checkpoint(tmp_path / BEST.format(2))['meta']['iter'] == 10


def test_a_best_checkpoint_that_is_there_keeps_its_score(tmp_path):
    """Also in a folder that was moved. Nothing is left to train, or to validate."""
    train(tmp_path / 'first', epochs=2, save_best='toy/mAP')
    (tmp_path / 'first').rename(tmp_path / 'moved')
    runner = train(tmp_path / 'moved', epochs=2, resume=True, save_best='toy/mAP')
    assert runner.message_hub.get_info('best_score') == 9.0


def test_the_log_has_the_scores_of_a_validation_alone(tmp_path):
    """mmengine adds what the message hub has under names that begin with val."""
    runner = toy.runner(tmp_path, epochs=4, save_best='toy/mAP')
    runner.train()
    _, line = runner.log_processor.get_log_after_epoch(runner, 2, 'val', with_non_scalar=True)
    assert re.findall(r'(\S+): ', line) == ['toy/mAP', 'data_time', 'time']

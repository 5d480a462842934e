"""A loss that is no number ends the training, before it reaches the weights."""
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.logging import MessageHub

from ctkd_det.hooks.finite_loss_hook import NotFiniteError
from ctkd_det.plain_batch import from_plain, to_plain
from ctkd_det.replay import replay
from helpers import (
    CLASSES,
    FEATURES,
    GLOBAL,
    distill,
    make_shapes,
    make_teacher,
    run,
    student_config,
)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return make_shapes(tmp_path_factory.mktemp('data'))


class Spoil(Hook):
    """Makes something NaN or too large before an iteration, the second one if not told."""
    priority = 'HIGHEST'

    def __init__(self, spoil, at=1):
        self.spoil, self.at = spoil, at

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.at:
            self.spoil(runner.model, data_batch)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.weights = {k: v.clone() for k, v in runner.model.state_dict().items()}


def nan_in(name):
    def spoil(model, data_batch):
        model.get_parameter(name).data.view(-1)[0] = float('nan')
    return spoil


def nan_teacher(model, data_batch):
    model.teacher_model.roi_head.bbox_head.fc_cls.bias.data[0] = float('nan')


def large_teacher(model, data_batch):
    model.teacher_model.roi_head.bbox_head.fc_cls.weight.data.fill_(3e38)


def nan_theta(model, data_batch):
    model.distill_losses['loss_ctkd'].temperature.theta.data.fill_(float('nan'))


CASES = {
    "loss_ctkd is nan.*the student's weights roi_head.bbox_head.fc_cls.weight": nan_in(
        'roi_head.bbox_head.fc_cls.weight'),
    "loss_ctkd is nan.*the teacher's weights roi_head.bbox_head.fc_cls.bias": nan_teacher,
    "loss_ctkd is nan.*what the teacher's roi_head.bbox_head.fc_cls returns": large_teacher,
    "loss_ctkd is nan.*the student's weights distill_losses.loss_ctkd.temperature": nan_theta,
}


def config(data, teacher):
    cfg = distill(student_config(data, max_epochs=1), teacher,
                  dict(loss_ctkd=dict(GLOBAL, foreground_weight=0.5)))
    cfg.custom_hooks = [dict(type='CurriculumHook')]
    cfg.default_hooks.finite = dict(type='FiniteLossHook')
    return cfg


@pytest.mark.parametrize('message', CASES)
def test_stops_names_the_first_and_keeps_the_weights(data, teacher, tmp_path, message):
    hook = Spoil(CASES[message])
    with pytest.raises(NotFiniteError, match=f'iteration 2 .epoch 1.: .*{message}'):
        run(config(data, teacher), tmp_path / 'work', hooks=(hook, ))
    file = tmp_path / 'work' / 'not_finite_iter_2.pth'
    saved = torch.load(file, weights_only=True)['state_dict']
    # trained by the first step, spoilt by the hook, not trained by the second
    changed = [key for key, value in hook.weights.items() if 'running' not in key
               and 'num_batches' not in key and not torch.equal(value, saved[key])]
    assert changed == ([next(word for word in message.split() if 'fc_cls.weight' in word)]
                       if 'student' in message and 'fc_cls' in message else
                       ['distill_losses.loss_ctkd.temperature.theta'] if 'student' in message
                       else [])
    assert not list((tmp_path / 'work').glob('epoch_*'))


def test_a_replay_has_the_same_losses(data, teacher, tmp_path):
    """The teacher's file is as it was, so its part is healthy; the student's is not."""
    with pytest.raises(NotFiniteError):
        run(config(data, teacher), tmp_path / 'work',
            hooks=(Spoil(nan_in('roi_head.bbox_head.fc_cls.weight')), ))
    step, losses, found = replay(tmp_path / 'work' / 'not_finite_iter_2.pth')
    assert step['losses'].keys() < losses.keys()
    for name, value in step['losses'].items():
        assert losses[name] == pytest.approx(value, rel=0, abs=0, nan_ok=True), name
    assert 'fc_cls.weight (1 of ' in str(found[0])


def nan_boxes(model, data_batch):
    """Only the detector's own loss of the boxes becomes NaN."""
    model.roi_head.bbox_head.fc_reg.weight.data.fill_(float('nan'))


def stopped_and_replayed(cfg, work, at=1):
    with pytest.raises(NotFiniteError, match='loss_bbox is nan. Not finite first'):
        run(cfg, work, hooks=(Spoil(nan_boxes, at), ))
    MessageHub.get_instance(str(work))  # as in a process that knows nothing of the training
    step, losses, _ = replay(work / f'not_finite_iter_{at + 1}.pth')
    assert step['losses'].keys() <= losses.keys()
    for name, value in step['losses'].items():
        assert losses[name] == pytest.approx(value, rel=0, abs=0, nan_ok=True), name
    return {name: value for name, value in losses.items() if name in cfg.model.distill_losses}


def test_a_replay_begins_before_the_losses_change_their_state(data, teacher, tmp_path):
    """MGD draws a mask; CRD draws, fills its queue and fixes Z."""
    cfg = config(data, teacher)
    cfg.model.distill_losses = {name: FEATURES[name] for name in ('loss_mgd', 'loss_crd')}
    for at in (0, 1):  # Z is not known in the first step, the queue is empty
        losses = stopped_and_replayed(cfg.copy(), tmp_path / f'work_{at}', at)
        assert len(losses) == 2 and all(0 < value < float('inf') for value in losses.values())


def test_a_replay_has_the_size_of_the_batch(data, teacher, tmp_path):
    """YOLOX's preprocessor has drawn another one than the images' after the first step."""
    cfg = config(data, teacher)
    cfg.model.data_preprocessor.batch_augments = [dict(
        type='BatchSyncRandomResize', random_size_range=(96, 96), interval=1)]
    stopped_and_replayed(cfg, tmp_path / 'work')


@pytest.mark.parametrize('at', [1, 5])
def test_a_replay_has_the_snapshot(data, tmp_path, at):
    """Before the first snapshot no loss is active; an epoch has 4 iterations."""
    cfg = distill(student_config(data), dict(teacher_config='snapshot'),
                  dict(loss_ctkd=dict(GLOBAL, foreground_weight=0.5)))
    cfg.custom_hooks = [dict(type='CurriculumHook'), dict(type='SnapshotHook', cycle=1)]
    cfg.default_hooks.finite = dict(type='FiniteLossHook')
    losses = stopped_and_replayed(cfg, tmp_path / 'work', at)
    assert (losses['loss_ctkd'] > 0) == (at > 4)


def test_a_replay_knows_classes_and_pipeline(data, tmp_path):
    """The teacher looks for its classes by name, and sees images normalised once."""
    cfg = config(data, dict(make_teacher(tmp_path / 'teacher', CLASSES[::-1]),
                            class_mapping='by_name'))
    own = cfg.model.data_preprocessor
    cfg.train_dataloader.dataset.pipeline.insert(-1, dict(
        type='Normalize', mean=own.mean, std=own.std, to_rgb=own.bgr_to_rgb))
    own.update(mean=None, std=None, bgr_to_rgb=False)
    assert stopped_and_replayed(cfg, tmp_path / 'work')['loss_ctkd'] > 0


def test_a_plain_student_is_watched_too(data, tmp_path):
    cfg = student_config(data, max_epochs=1)
    cfg.default_hooks.finite = dict(type='FiniteLossHook')
    cfg.optim_wrapper.optimizer.lr = 1e6
    cfg.optim_wrapper.clip_grad = None
    with pytest.raises(NotFiniteError, match=r'Not finite first: .* \(\d+ of \d+ values\)'):
        run(cfg, tmp_path / 'work')


def test_a_batch_comes_back_from_plain_values(data):
    import numpy as np
    from mmdet.structures.bbox import HorizontalBoxes
    from mmdet.structures.mask import BitmapMasks, PolygonMasks
    from mmengine.structures import InstanceData
    masks = np.eye(4, dtype=np.uint8)[None]
    instances = InstanceData(bboxes=HorizontalBoxes(torch.tensor([[0., 1, 2, 3]])),
                             labels=torch.tensor([1]), masks=BitmapMasks(masks, 4, 4))
    other = InstanceData(masks=PolygonMasks([[np.array([0., 0, 1, 0, 1, 1])]], 4, 4))
    plain = to_plain(dict(x=[instances, other], scale=np.array([1., 2.]), size=(4, np.int64(4))))
    torch.save(plain, file := data / 'plain.pth')
    back = from_plain(torch.load(file, weights_only=True))
    assert back['size'] == (4, 4) and back['scale'].tolist() == [1, 2]
    assert torch.equal(back['x'][0].bboxes.tensor, instances.bboxes.tensor)
    assert (back['x'][0].masks.masks == masks).all()
    assert back['x'][1].masks.masks[0][0].tolist() == [0, 0, 1, 0, 1, 1]

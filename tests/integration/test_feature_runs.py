"""Every loss between features through mmengine's Runner: train, save, resume, evaluate, export."""
import pytest
import torch
from mmengine.hooks import Hook

import families
from ctkd_det_cli.export.student import export_student
from helpers import FEATURES as METHODS
from helpers import GLOBAL, build, distill, log_of, make_shapes, make_teacher, run, student_config

IMAGES = 4  # two iterations an epoch


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp('features')
    wide = make_teacher(folder / 'teacher', neck=dict(out_channels=24),
                        rpn_head=dict(in_channels=24), roi_head=dict(
                            bbox_roi_extractor=dict(out_channels=24),
                            bbox_head=dict(in_channels=24, fc_out_channels=48)))
    data = make_shapes(folder / 'data', IMAGES)

    def make(epochs=1, losses=METHODS):
        cfg = distill(student_config(data, max_epochs=epochs), wide, losses)
        cfg.custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
        return cfg
    return make


@pytest.fixture(scope='module')
def trained(config, tmp_path_factory):
    """One epoch with every loss and CTKD, under EMA; its config and folder."""
    folder = tmp_path_factory.mktemp('run')
    cfg = config(losses=dict(METHODS, loss_ctkd=GLOBAL))
    cfg.custom_hooks = [dict(type='CurriculumHook'), dict(type='EMAHook', momentum=0.5)]
    cfg.dump(folder / 'config.py')
    return folder, run(cfg, folder / 'work')


class Remember(Hook):
    """The weights with which a training begins."""
    priority = 'LOWEST'  # after EMAHook has put the trained ones back

    def before_train(self, runner):
        self.state = {key: value.clone() for key, value in runner.model.state_dict().items()}


def test_every_method_trains_and_is_logged(trained):
    folder, runner = trained
    for name in METHODS:
        values = runner.message_hub.get_scalar(f'train/{name}').data[0]
        assert len(values) == IMAGES // 2 and all(v == v and v != 0 for v in values), name
    assert runner.message_hub.get_scalar('train/pkd.level0').data[0][0] > 0
    state = torch.load(folder / 'work' / 'epoch_1.pth')['state_dict']
    assert {key.split('.')[1] for key in state if key.startswith('distill_losses.')} == {
        'loss_ctkd', *METHODS} - {'loss_at', 'loss_sp', 'loss_pkt'}
    # the adapters learn
    start = build(runner.cfg).state_dict()
    moved = {key.split('.')[1] for key, value in runner.model.state_dict().items()
             if key.startswith('distill_losses.') and key in dict(runner.model.named_parameters())
             and not torch.equal(value, start[key])}
    assert moved == {'loss_ctkd', *METHODS} - {'loss_at', 'loss_sp', 'loss_pkt'}


def test_a_resumed_run_goes_on_with_adapters_and_draws(config, trained):
    folder, _ = trained
    # EMAHook saves what was trained under this key, and what it averaged as the state_dict
    saved = {key.removeprefix('module.'): value for key, value in torch.load(
        folder / 'work' / 'epoch_1.pth')['ema_state_dict'].items()}
    cfg = config(epochs=2, losses=dict(METHODS, loss_ctkd=GLOBAL))
    cfg.custom_hooks = [dict(type='CurriculumHook'), dict(type='EMAHook', momentum=0.5)]
    cfg.resume, cfg.load_from = True, str(folder / 'work' / 'epoch_1.pth')
    resumed = Remember()
    runner = run(cfg, folder / 'resumed', [resumed])
    assert runner.iter == IMAGES  # two more
    for key, value in saved.items():
        if 'distill_losses' in key:
            assert torch.equal(resumed.state[key], value), key
    for name in ('loss_mgd', 'loss_crd', 'loss_sskd'):
        key = f'distill_losses.{name}.draws._extra_state'
        assert not torch.equal(runner.model.state_dict()[key], saved[key])


@pytest.mark.parametrize('averaged', [False, True])
def test_the_exported_student_is_plain(trained, tmp_path, averaged):
    folder, _ = trained
    exported = export_student(folder / 'config.py', folder / 'work' / 'epoch_1.pth', tmp_path,
                              ema=averaged, shape=(64, 64))
    plain = build(student_config())
    weights = torch.load(exported.checkpoint)['state_dict']
    plain.load_state_dict(weights, strict=True)


def test_a_multiplier_for_temperatures_that_slows_adapters_is_reported(config, trained, tmp_path):
    """The key of configs of version 0.1; the parameters' names contain it as well."""
    cfg = config(losses=dict(loss_ctkd=GLOBAL, loss_pkd=METHODS['loss_pkd']))
    cfg.train_dataloader.batch_size = IMAGES
    cfg.default_hooks.checkpoint = None
    cfg.custom_hooks = [dict(type='CurriculumHook')]
    cfg.optim_wrapper.paramwise_cfg = dict(
        custom_keys=dict(distill_losses=dict(lr_mult=0.05, decay_mult=0)))
    run(cfg, tmp_path / 'slow')
    words = 'has a smaller learning rate than the student'
    assert log_of(tmp_path / 'slow').count(f'What loss_pkd learns {words}') == 1
    assert words not in log_of(trained[0] / 'work')


def test_a_single_stage_student_of_a_two_stage_teacher(shapes, tmp_path):
    """Nothing but the neck is compared, so kinds and classes do not matter in a run."""
    taught = families.save_teacher(tmp_path, families.tiny('faster'), classes=('a', 'b'))
    cfg = student_config(shapes, max_epochs=1)
    cfg.model = distill(families.tiny('retinanet'), taught, dict(
        loss_pkd=dict(type='PKDLoss', loss_weight=0.1))).model
    cfg.model.type = 'KnowledgeDistillationDenseDetector'
    runner = run(cfg, tmp_path / 'work')
    assert runner.message_hub.get_scalar('train/loss_pkd').data[0].min() > 0

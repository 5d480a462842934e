"""The options that people change most, as the written config has them."""
import json
import re
import shutil
from pathlib import Path

import pytest
from click import ClickException
from mmengine.config import Config

from cli.conftest import invoke
from ctkd_det_cli.distill.changes import Changes, stretched
from ctkd_det_cli.distill.image_size import resized
from ctkd_det_cli.distill.source_code import assignment, portable
from ctkd_det_cli.distill.temperature_speed import _steps
from ctkd_det_cli.training.run import default_work_dir
from helpers import CONFIGS

PAIR = ['faster-rcnn_r50_fpn_1x_coco', '--teacher', 'faster-rcnn_r101_fpn_2x_coco',
        '--teacher-ckpt', 'auto']


def written(out, *args):
    result = invoke('distill', '--dry-run', *args, '--out', out)
    assert result.exit_code == 0, result.output
    return Config.fromfile(out)


@pytest.fixture(scope='module')
def changed(tmp_path_factory):
    folder = tmp_path_factory.mktemp('changed')
    cfg = written(folder / 'x.py', *PAIR, '--epochs', 24, '--batch-size', 4, '--lr', 0.005,
                  '--img-scale', 640, 400, '--seed', 7, '--with-baseline')
    return cfg, Config.fromfile(folder / 'x_alone.py')


def test_what_is_written(changed):
    cfg, _ = changed
    assert cfg.train_cfg.max_epochs == 24 and cfg.train_cfg.val_interval == 1
    warm_up, steps = cfg.param_scheduler
    assert (warm_up.end, warm_up.by_epoch) == (500, False)  # counted in iterations: as it was
    assert (steps.milestones, steps.begin, steps.end) == ([16, 22], 0, 24)
    assert cfg.train_dataloader.batch_size == 4 and cfg.train_dataloader.num_workers == 2
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.momentum) == ('SGD', 0.005, 0.9)
    # beside what the method brings
    assert [key.lr_mult for key in cfg.optim_wrapper.paramwise_cfg.custom_keys.values()] == [0.05]
    # the rate is for the batch that it was given with
    assert cfg.auto_scale_lr.base_batch_size == 4 and not cfg.auto_scale_lr.enable
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        step, = [s for s in loader.dataset.pipeline if s.type == 'Resize']
        assert step.to_dict() == dict(type='Resize', scale=(640, 400), keep_ratio=True)
        assert loader.dataset.data_root == 'data/coco/'
    assert cfg.randomness.seed == 7


def test_the_baseline_differs_in_the_teacher_alone(changed):
    distilled, alone = (cfg.to_dict() for cfg in changed)
    plain = alone['model']
    assert plain['type'] == 'FasterRCNN' and 'teacher_config' not in plain
    assert 'custom_hooks' not in alone and 'custom_imports' not in alone
    assert 'paramwise_cfg' not in alone['optim_wrapper']
    for key in ('custom_hooks', 'custom_imports'):
        distilled.pop(key)
    distilled['optim_wrapper'].pop('paramwise_cfg')
    for key in ('teacher_config', 'teacher_ckpt', 'distill_losses'):
        distilled['model'].pop(key)
    distilled['model']['type'] = 'FasterRCNN'
    assert distilled == alone


def test_the_student_alone(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = written(tmp_path / 'x.py', folder / 'student.py', '--method', 'none', '--data',
                  folder / 'shapes')
    assert cfg.model.type == 'FasterRCNN' and [h.type for h in cfg.custom_hooks] == ['EMAHook']
    assert cfg.train_dataloader.dataset.data_root == f'{folder / "shapes"}/'
    assert cfg.randomness.seed == 0  # the student's own
    result = invoke('distill', folder / 'student.py', '--method', 'none', '--dry-run')
    assert result.exit_code == 0 and (tmp_path / 'student_alone.py').is_file()


def test_a_seed_is_always_written(tmp_path):
    assert written(tmp_path / 'x.py', *PAIR).randomness.seed == 0


def test_another_seed_has_folders_of_its_own(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(folder / 'student.py', 'student.py')
    line = ['distill', 'student.py', '--dry-run', '--method', 'none']
    configs = {}
    for seed in (0, 1):
        assert invoke(*line, '--seed', seed).exit_code == 0
        configs[seed] = Config.fromfile(Path(f'seed_{seed}' if seed else '', 'student_alone.py'))
        assert configs[seed].randomness.pop('seed') == seed
    assert configs[0].to_dict() == configs[1].to_dict()


@pytest.mark.parametrize('config, expected', [
    ('a.py', 'work_dirs/a'), ('seed_1/a.py', 'work_dirs/seed_1/a'),
    ('/x/seed_12/a.py', 'work_dirs/seed_12/a'), ('seed_x/a.py', 'work_dirs/a')])
def test_where_a_config_is_trained(config, expected):
    assert default_work_dir(Path(config)) == Path(expected)


@pytest.mark.parametrize('value', [
    dict(classes=('apple', '{{$N:A|((\',open("x","w"))#}}')), ['{{ fileBasename }}'],
    '{{ fileDirname }}/{{ fileBasename }}'])
def test_what_mmengine_would_replace_is_not_written(value):
    with pytest.raises(ClickException, match="MMEngine replaces '{{'"):
        assignment('name', value)


def test_the_folder_may_be_moved(tmp_path):
    assert assignment('a', portable(f'{tmp_path}/b', tmp_path)) == "a = '{{ fileDirname }}/b'\n"


def schedule(**scheduler):
    return Config(dict(train_cfg=dict(max_epochs=12, val_interval=4),
                       param_scheduler=dict(scheduler)))


def test_shorter_schedules():
    steps = dict(type='MultiStepLR', milestones=[8, 11], begin=0, end=12, gamma=0.1)
    found = stretched(schedule(**steps), 2)
    # epoch 11 of 12 would be the second of 2, after which nothing comes
    assert found == dict(train_cfg=dict(max_epochs=2, val_interval=2),
                         param_scheduler=[dict(steps, milestones=[1], end=2)])
    cosine = dict(type='CosineAnnealingLR', T_max=10, begin=2, end=12, by_epoch=True)
    assert stretched(schedule(**cosine), 6)['param_scheduler'] == [
        dict(cosine, T_max=5, begin=1, end=6)]
    assert 'param_scheduler' not in stretched(schedule(**cosine), 12)


def test_validation_begins_and_grows_denser_within_a_shorter_training():
    base = schedule(type='MultiStepLR', milestones=[8])
    base.train_cfg.update(val_begin=6, dynamic_intervals=[(8, 2), (11, 1)])
    validations = {epochs: stretched(base, epochs)['train_cfg'] for epochs in (24, 3, 1, 12)}
    assert validations == {
        24: dict(max_epochs=24, val_begin=12, dynamic_intervals=[(16, 2), (22, 1)]),
        3: dict(max_epochs=3, val_interval=3, val_begin=2, dynamic_intervals=[(2, 2), (3, 1)]),
        1: dict(max_epochs=1, val_interval=1, val_begin=1, dynamic_intervals=[(1, 1), (1, 1)]),
        12: dict(max_epochs=12)}


def test_parts_of_a_schedule_that_have_no_epoch_left_are_taken_out():
    """YOLOX's: a warm-up, a cosine, and a constant rate for the last 15 of 300 epochs."""
    parts = [dict(type='QuadraticWarmupLR', begin=0, end=5), dict(
        type='CosineAnnealingLR', begin=5, T_max=285, end=285), dict(
        type='ConstantLR', begin=285, end=300)]
    base = Config(dict(train_cfg=dict(max_epochs=300), param_scheduler=parts))
    spans = {epochs: [(part['begin'], part['end']) for part in stretched(base, epochs)[
        'param_scheduler']] for epochs in (30, 5, 1)}
    assert spans == {30: [(0, 1), (1, 28), (28, 30)], 5: [(0, 1), (1, 5)], 1: [(0, 1)]}


@pytest.mark.parametrize('old, new, before, after', [
    (12, 24, dict(type='OneCycleLR', eta_max=0.1, total_steps=12), dict(total_steps=24)),
    (12, 6, dict(type='CosineRestartLR', periods=[4, 8], restart_weights=[1, 1], end=12),
     dict(periods=[2, 4], end=6)),
    (12, 5, dict(type='CosineRestartLR', periods=[6, 6], restart_weights=[1, 1], end=12),
     dict(periods=[2, 3], end=5))])
def test_cycles_are_stretched(old, new, before, after):
    base = Config(dict(train_cfg=dict(max_epochs=old), param_scheduler=[before]))
    assert stretched(base, new)['param_scheduler'] == [{**before, **after}]


def test_the_floor_of_a_schedule_keeps_its_share_of_the_rate(tmp_path):
    """RTMDet's 0.004 falls to 0.0002; with 0.0001 it would rise."""
    rtmdet = ('rtmdet_tiny_8xb32-300e_coco', '--method', 'none')
    cfg = written(tmp_path / 'x.py', *rtmdet, '--lr', 0.0001, '--epochs', 5)
    warm_up, cosine = cfg.param_scheduler
    assert cosine.eta_min == pytest.approx(0.000005) and 'eta_min' not in warm_up
    # and its mosaic ends within so few epochs, which count from 0
    assert [hook.switch_epoch for hook in cfg.custom_hooks if 'switch_epoch' in hook] == [4]


def test_an_average_begins_within_a_shorter_training():
    hooks = [dict(type='EMAHook', begin_epoch=6), dict(type='EMAHook', begin_epoch=0)]
    base = Config(dict(train_cfg=dict(max_epochs=12), custom_hooks=hooks))
    assert [hook['begin_epoch'] for hook in Changes(epochs=2).hooks(base)] == [1, 0]


def nothing(cfg):
    """What may be None in a config of mmdet or one's own."""
    cfg.optim_wrapper.update(paramwise_cfg=None, clip_grad=None)
    cfg.auto_scale_lr = cfg.randomness = cfg.custom_imports = None
    cfg.test_dataloader = cfg.test_cfg = cfg.test_evaluator = None


def test_what_a_base_has_set_to_none(folder, tmp_path):
    """MMEngine refuses a dict in its place, unless that says _delete_."""
    cfg = Config.fromfile(folder / 'student.py')
    nothing(cfg)
    cfg.dump(tmp_path / 'student.py')
    found = written(tmp_path / 'x.py', tmp_path / 'student.py', '--teacher',
                    folder / 'teacher' / 'teacher.py', '--teacher-ckpt',
                    folder / 'teacher' / 'teacher.pth', '--method', 'ctkd+fgd', '--lr', 0.01,
                    '--data', folder / 'shapes')
    assert found.optim_wrapper.paramwise_cfg.custom_keys.temperature.lr_mult == 0.05
    assert found.optim_wrapper.clip_grad.max_norm > 0 and found.randomness.seed == 0
    assert found.test_dataloader is None and found.val_dataloader.dataset.ann_file == 'val.json'


def test_a_students_own_clipping_stays(folder, tmp_path):
    """Its baseline has it, too."""
    cfg = Config.fromfile(folder / 'student.py')
    cfg.optim_wrapper.clip_grad = dict(max_norm=0.1)
    cfg.dump(tmp_path / 'student.py')
    found = written(tmp_path / 'x.py', tmp_path / 'student.py', '--teacher',
                    folder / 'teacher' / 'teacher.py', '--teacher-ckpt',
                    folder / 'teacher' / 'teacher.pth', '--method', 'fgd')
    assert found.optim_wrapper.clip_grad == dict(max_norm=0.1)


@pytest.mark.parametrize('change, said', [
    (dict(proposal_file='p.pkl'), 'also learns from proposals'),
    (dict(pipeline=[dict(type='LoadAnnotations', with_bbox=True, with_seg=True)]),
     'also learns from maps of segmentation')])
def test_data_that_a_folder_does_not_have(change, said, folder, tmp_path):
    cfg = Config.fromfile(folder / 'student.py')
    cfg.train_dataloader.dataset.update(change)
    cfg.dump(tmp_path / 'student.py')
    result = invoke('distill', '--dry-run', tmp_path / 'student.py', '--method', 'none', '--data',
                    folder / 'shapes', '--out', tmp_path / 'x.py')
    assert result.exit_code == 1 and said in result.output


def test_snapshots_keep_yolox_warm_up_and_not_its_tail(tmp_path):
    cfg = written(tmp_path / 'x.py', 'yolox_tiny_8xb8-300e_coco', '--method', 'snapshot')
    assert [s.type.rpartition('.')[2] for s in cfg.param_scheduler] == [
        'CosineRestartLR', 'QuadraticWarmupLR']


def test_steps_of_repeated_and_gathered_batches():
    cfg = dict(train_cfg=dict(max_epochs=3), optim_wrapper={}, train_dataloader=dict(
        batch_size=2, dataset=dict(type='CocoDataset')))
    assert _steps(cfg, 9) == 3 * 5
    assert _steps(dict(cfg, optim_wrapper=dict(accumulative_counts=4)), 9) == 15 // 4
    cfg['train_dataloader']['dataset'] = dict(type='RepeatDataset', times=10, dataset={})
    assert _steps(cfg, 9) == 3 * 45
    del cfg['train_dataloader']['batch_size']  # torch takes one image then
    assert _steps(cfg, 9) == 3 * 90


def test_scopes_are_not_written():
    """mmengine adds them to what it reads from `mmdet::`."""
    found = stretched(schedule(type='MultiStepLR', milestones=[8], _scope_='mmdet'), 24)
    assert found['param_scheduler'] == [dict(type='MultiStepLR', milestones=[16])]


def test_several_scales_keep_their_ratio():
    scales = [(1333, 640), (1333, 800)]
    step = dict(type='RandomChoiceResize', scales=scales, keep_ratio=True)
    inner = dict(type='CocoDataset', pipeline=[step])
    loader = dict(dataset=dict(type='RepeatDataset', times=3, dataset=inner))
    found = resized(Config(dict(train_dataloader=loader)), (666, 400))
    assert found['train_pipeline'] == [dict(step, scales=[(666, 320), (666, 400)])]
    assert found['train_dataloader']['dataset']['dataset'] == dict(pipeline='train_pipeline')


@pytest.mark.parametrize('student, option, message', [
    (CONFIGS / 'shapes' / 'student.py', ['--img-scale', 64, 64],
     r"train pipeline resizes no images: add dict\(type='Resize', .*in a config of yours"),
    ('dino-4scale_r50_8xb2-12e_coco', ['--img-scale', 64, 64], 'resizes inside RandomChoice'),
    ('faster-rcnn_r50_fpn_1x_voc0712', ['--img-scale', 64, 64], 'has several train data sets'),
    ('yolox_s_8xb8-300e_coco', ['--img-scale', 64, 64], 'Mosaic in the .* has a size of its own'),
    ('faster-rcnn_r50-caffe-dc5_ms-3x_coco', ['--epochs', 0], '0 is not in the range'),
    ('mask-rcnn_r50_fpn_1x-wandb_coco', ['--lr', 0], 'is not in the range')])
def test_refused(student, option, message, tmp_path):
    result = invoke('distill', student, '--method', 'none', '--dry-run', '--out',
                    tmp_path / 'x.py', *option)
    assert result.exit_code in (1, 2) and not (tmp_path / 'x.py').exists()
    assert re.search(message, ' '.join(result.output.split())), result.output


@pytest.mark.parametrize('student, key, value', [
    ('rtmdet_tiny_8xb32-300e_coco', 'switch_epoch', 28), ('yolox_tiny_8xb8-300e_coco',
                                                          'num_last_epochs', 2)])
def test_hooks_that_count_epochs_are_stretched_too(student, key, value, tmp_path):
    """The mosaic of 300 epochs ends in the same part of 30."""
    cfg = written(tmp_path / 'x.py', student, '--method', 'none', '--epochs', 30)
    hooks = [hook[key] for hook in cfg.custom_hooks if key in hook]
    assert hooks == [value] and cfg.train_cfg.max_epochs == 30
    # after it RTMDet validates after each epoch
    assert cfg.train_cfg.val_interval == 10
    assert cfg.train_cfg.get('dynamic_intervals') == ([(28, 1)] if 'rtm' in student else None)
    cfg = written(tmp_path / 'y.py', student, '--epochs', 30, '--teacher', 'auto')
    assert [hook[key] for hook in cfg.custom_hooks if key in hook] == [value]
    assert [hook.type for hook in cfg.custom_hooks].count('CurriculumHook') == 1


def test_both_trainings_find_their_own_checkpoint(folder, tmp_path):
    result = invoke('distill', *PAIR, '--with-baseline', '--resume', folder / 'student.py',
                    '--out', tmp_path / 'x.py')
    assert result.exit_code == 2 and '--resume without FILE' in result.output
    assert not (tmp_path / 'x.py').exists()


def test_a_config_does_not_replace_what_it_is_made_from(folder):
    text = (folder / 'student.py').read_text()
    result = invoke('distill', folder / 'student.py', '--method', 'none', '--dry-run', '--force',
                    '--out', folder / 'student.py')
    assert result.exit_code == 2 and 'would replace a config that the new' in result.output
    assert (folder / 'student.py').read_text() == text


def test_a_refusal_leaves_the_cleaned_copies_unwritten(folder, tmp_path):
    data = tmp_path / 'data'
    shutil.copytree(folder / 'shapes', data)
    for part in ('train', 'val'):
        content = json.loads((data / f'{part}.json').read_text())
        for box in content['annotations']:
            del box['area']
        (data / f'{part}.json').write_text(json.dumps(content))
    line = ['distill', folder / 'student.py', '--method', 'none', '--data', data, '--dry-run',
            '--out', tmp_path / 'out' / 'x.py']
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'x.py').write_text('# edited\n')
    result = invoke(*line)
    assert result.exit_code == 1 and 'says something else' in result.output
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['x.py']
    assert invoke(*line, '--force').exit_code == 0
    assert len(list((tmp_path / 'out').glob('*.json'))) == 2

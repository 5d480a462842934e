"""What the screen shows of a training, and how it ends."""
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config, config
from mmengine.logging import HistoryBuffer
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from cli.conftest import command, fork, invoke
from ctkd_det.work_dir import WorkDirError
from ctkd_det_cli.mistakes import sentence
from ctkd_det_cli.options import _one_pair_each, parsed
from ctkd_det_cli.places import keep_config
from ctkd_det_cli.training import Training
from ctkd_det_cli.training.advice import batch_advice, warm_up_advice
from ctkd_det_cli.training.opening import opening
from ctkd_det_cli.training.progress import duration
from ctkd_det_cli.training.result import (
    Metric,
    Result,
    comparison,
    ending,
    metric_of,
    path_of,
)
from ctkd_det_cli.training.run import configured, default_work_dir
from ctkd_det_data import DataError
from helpers import ROOT, student_config, use_data


@pytest.fixture(scope='module')
def screen(distilled):
    return (distilled / 'printed.txt').read_text()


def test_one_screen_says_who_learns_what(screen, distilled):
    assert len(screen.splitlines()) < 80  # most of them the config; they were six hundred
    for fact in ('distilled learns from teacher', 'batch            4 images on 1 device (cpu)',
                 '8 images, 8 classes', 'learning rate    0.05 (SGD)', 'seed             3',
                 'length           1 epochs, 2 iterations', 'loss_ctkd (KDLoss, temperature Glob'):
        assert fact in screen
    assert str(distilled / 'teacher' / 'teacher.pth') in screen
    assert 'for 16 images in a step, and a step has 4: --auto-scale-lr' in screen
    assert 'scales it to 0.0125' in screen
    assert 'mmengine - ' not in screen and 'loading annotations' not in screen


def test_a_loader_that_states_no_batch_size(folder, tmp_path):
    """Torch takes one image in a step then."""
    cfg = use_data(student_config(max_epochs=3), folder / 'shapes')
    del cfg.train_dataloader['batch_size']
    cfg.work_dir = str(tmp_path)
    said = opening(Runner.from_cfg(cfg), Training(tmp_path / 'x.py'), tmp_path / 'log')
    assert 'batch            1 images on 1 device' in said and '3 epochs, 24 iterations' in said
    assert 'the learning rate 0.05 is for 16 images in a step, and a step has 1' in said.lower()


def test_progress_and_end(screen, distilled):
    values = r'loss [\d.]+, ctkd [\d.]+, dkd [\d.]+, tau 1\n'
    assert re.search(f'epoch 1/1 iteration 1/2  .* left, {values}', screen)
    assert re.search(rf'epoch 1/1 iteration 2/2  mAP 0\.\d{{3}}, {values}Finished', screen)
    # dkd's is fixed
    assert 'temperature of ctkd: ' in screen and 'temperature of dkd' not in screen
    assert f'last checkpoint: {distilled / "work" / "epoch_1.pth"}' in screen
    assert f'ctkd-det export {distilled / "work"} --out student' in screen


@pytest.mark.parametrize('keys', [
    ['mine/bbox_mAP', 'mine/cat_precision', 'mine/bbox_mAP_50'],
    ['coco/bbox_mAP', 'a/bbox_mAP', 'coco/cat_precision'],
    ['coco/segm_mAP', 'coco/cat_precision'], ['pascal_voc/mAP', 'pascal_voc/AP50'],
    ['mine/recall', 'mine/AP_of_cats']], ids=lambda keys: keys[0])
def test_the_metric_that_matters(keys):
    """CocoMetric(classwise=True) logs each class before the mean."""
    first, *others = keys
    logged = [*others, first] if 'mAP' in first else keys
    hub = SimpleNamespace(log_scalars={
        f'val/{key}': HistoryBuffer([0.25], [1]) for key in ('time', *logged)})
    assert metric_of(SimpleNamespace(message_hub=hub)) == Metric(first, [0.25])


def test_the_rest_is_in_the_log(distilled):
    log = (distilled / 'work' / 'console.log').read_text()
    assert 'loading annotations' in log and 'mmengine - INFO' in log


def test_files_are_those_of_mmdets_tool(distilled):
    """The dumped config trains without this command."""
    dumped = Config.fromfile(distilled / 'work' / 'distilled.py')
    assert 'runner_type' not in dumped and dumped.train_dataloader.batch_size == 4
    assert [h.type for h in dumped.custom_hooks] == ['EMAHook', 'CurriculumHook', 'CheckDataHook']


@pytest.fixture(scope='module')
def own_loss(folder, tmp_path_factory):
    """A folder with a plain config that imports the module beside it, which stops the training."""
    home = tmp_path_factory.mktemp('own')
    (home / 'my_hook.py').write_text(
        'import os, signal\nfrom mmdet.registry import HOOKS\nfrom mmengine.hooks import Hook\n\n\n'
        '@HOOKS.register_module()\nclass Press(Hook):\n    """Ctrl-C after the first epoch."""\n'
        '    def before_train_epoch(self, runner):\n'
        '        if runner.epoch == 1:\n'
        "            runner.logger.warning('pressed')\n"
        '            os.kill(os.getpid(), signal.SIGINT)\n')
    cfg = use_data(student_config(max_epochs=2), folder / 'shapes')
    cfg.val_dataloader = cfg.val_evaluator = cfg.val_cfg = None
    cfg.train_cfg.pop('val_interval')
    cfg.custom_imports = dict(imports=['my_hook'], allow_failed_imports=False)
    cfg.custom_hooks = [dict(type='Press')]
    cfg.dump(home / 'config.py')
    return home


def test_ctrl_c_says_how_to_go_on(own_loss, tmp_path):
    """In a folder elsewhere: the module beside the config is found."""
    status, printed = fork('train', own_loss / 'config.py', '--work-dir', 'work', cwd=tmp_path)
    assert status == 130 and 'Traceback' not in printed, printed
    assert 'warning: pressed' in printed  # not MMEngine's: it is shown
    assert re.search(r'Stopped at iteration 4 of 8. The last checkpoint is .*epoch_1\.pth', printed)
    assert f'ctkd-det train {own_loss / "config.py"} --work-dir work --resume' in printed


@pytest.mark.parametrize('within', ['runner', 'formatter'])
def test_ctrl_c_while_it_prepares(within, folder, tmp_path, monkeypatch):
    """MMEngine's formatter turns the interrupt into a SyntaxError with the whole config in it."""
    def press(*args, **kwargs):
        raise KeyboardInterrupt

    use_data(student_config(), folder / 'shapes').dump(tmp_path / 'x.py')
    if within == 'formatter':
        monkeypatch.setattr(config, 'FormatCode', press)
    else:
        monkeypatch.setattr(Runner, 'setup_env', press)
    result = invoke('train', tmp_path / 'x.py', '--work-dir', tmp_path / 'work')
    assert result.exit_code == 130 and 'Error' not in result.output
    assert '\nStopped. There is no checkpoint yet. To start anew:\n' in result.output


@pytest.mark.parametrize('args, message', [
    (['train', 'nowhere.py'], "'nowhere.py' does not exist"),
    (['test', 'nowhere.py', 'x.pth'], "'nowhere.py' does not exist"),
    (['train', '{student}', '--work-dri', 'x'], '--work-dri.*--work-dir'),
    (['test', '{student}', 'nowhere.pth'], 'no file nowhere.pth'),
    (['test', '{student}', '{student}', '--out', 'x.json'], 'does not end in .pkl'),
    (['train', '{student}'], r'training data are not there: .*train\.json.*--data'),
    (['train', '{student}', '--resume', 'nowhere.pth'], 'data are not there|no file nowhere'),
    (['train', '{student}', '--cfg-options', 'train_dataloder.batch_size=3'],
     'no train_dataloder.batch_size; did you mean train_dataloader'),
    (['train', '{broken}'], r'broken\.py cannot be read: SyntaxError'),
    (['train', '{lonely}'], 'cannot be read: it needs the module no_such_module'),
    (['train', '{empty}'], 'trains nothing: it has no model and no train_dataloader'),
    (['test', '{empty}', '{empty}'], 'empty.py tests nothing: it has no model and no test_data')])
def test_mistakes(args, message, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = dict(student=folder / 'student.py', broken=tmp_path / 'broken.py',
                 lonely=tmp_path / 'lonely.py', empty=tmp_path / 'empty.py')
    files['broken'].write_text('a = (')
    files['lonely'].write_text("custom_imports = dict(imports=['no_such_module'], "
                               'allow_failed_imports=False)')
    files['empty'].write_text('a = 1')
    result = invoke(*(arg.format(**files) for arg in args))
    assert result.exit_code in (1, 2)
    assert re.search(message, ' '.join(result.output.split())), result.output
    assert not (tmp_path / 'work_dirs').exists()


@pytest.mark.parametrize('command', ['train', 'test'])
def test_the_config_is_not_replaced_by_its_copy(command, folder, tmp_path, monkeypatch):
    """MMEngine dumps the config into the work directory; of its own copy nothing is lost."""
    monkeypatch.chdir(tmp_path)
    own = Path('own.py')
    own.write_text(f"_base_ = '{folder / 'student.py'}'\nlr = 0.1  # tuned by hand\n")
    before = own.read_text()
    args = ['x.pth'] if command == 'test' else []
    Path('x.pth').touch()
    for options in (['--work-dir', '.'], ['--cfg-options', f'work_dir={tmp_path}']):
        result = invoke(command, 'own.py', *args, *options)
        assert result.exit_code == 1 and 'would replace own.py there' in result.output
        assert own.read_text() == before
    Config.fromfile('own.py').dump('own.py')
    assert keep_config(own, '.') is None


def test_missing_files_are_seen_before_torch_is_imported():
    script = ("import sys; from click.testing import CliRunner; from ctkd_det_cli.main import cli\n"
              "for args in (['train', 'x.py'], ['test', 'x.py', 'y'], ['export', 'x'], [\n"
              "    'distill', 'faster-rcnn_r50_fpn_1x_coco', '--teacher',\n"
              "    'faster-rcnn_r101_fpn_1x_coco', '--teacher-ckpt', 'x.pth'],\n"
              "    ['distill', 'x.py', '--method', 'ckd']):\n"
              "    assert CliRunner().invoke(cli, args).exit_code, args\n"
              "assert 'torch' not in sys.modules")
    result = subprocess.run([sys.executable, '-c', script], cwd=ROOT, capture_output=True,
                            text=True)
    assert result.returncode == 0, result.stderr


def test_a_module_beside_the_teachers_config(distilled, tmp_path, monkeypatch):
    """The command that distill shows at its end, where the two configs lie in two folders."""
    monkeypatch.chdir(distilled)
    monkeypatch.setattr(sys, 'path', [*sys.path])
    (tmp_path / 'teachers_backbone.py').write_text(
        'from mmdet.models.backbones import ResNet\nfrom mmdet.registry import MODELS\n\n\n'
        '@MODELS.register_module()\nclass TeachersResNet(ResNet):\n    pass\n')
    (tmp_path / 'teacher.py').write_text(
        f"_base_ = '{distilled / 'teacher' / 'teacher.py'}'\n"
        "custom_imports = dict(imports=['teachers_backbone'], allow_failed_imports=False)\n"
        "model = dict(backbone=dict(type='TeachersResNet'))\n")
    (distilled / 'other.py').write_text(
        f"_base_ = 'distilled.py'\nmodel = dict(teacher_config='{tmp_path / 'teacher.py'}')\n")
    cfg = configured(Training(Path('other.py')))
    init_default_scope('mmdet')
    teacher = MODELS.build(cfg.model).teacher_model
    assert type(teacher.backbone).__name__ == 'TeachersResNet'


def test_a_loss_beside_the_config_trains(distilled, tmp_path):
    """The loss of docs/contributing.md, with its command, from a folder elsewhere."""
    page = (ROOT / 'docs' / 'contributing.md').read_text()
    code = re.search(r'```python\n(import torch.nn.functional.*?)```', page, re.S)[1]
    (tmp_path / 'my_losses.py').write_text(code)
    (tmp_path / 'my_config.py').write_text(
        f"_base_ = '{distilled / 'distilled.py'}'\n"
        "custom_imports = dict(imports=['ctkd_det', 'my_losses'], allow_failed_imports=False)\n"
        "model = dict(distill_losses=dict(_delete_=True, loss_mine=dict(\n"
        "    type='SquaredLogitLoss', temperature=2.0)))\n")
    (tmp_path / 'elsewhere').mkdir()
    status, printed = fork('train', '../my_config.py', cwd=tmp_path / 'elsewhere')
    assert status == 0 and 'losses           loss_mine (SquaredLogitLoss, temp' in printed, printed
    assert f'PYTHONPATH={tmp_path} ctkd-det export ' in printed
    export = ['export', 'work_dirs/my_config', '--out', 'out']
    status, printed = fork(*export, cwd=tmp_path / 'elsewhere')
    assert status == 1 and 'it needs the module my_losses, which' in printed
    status, printed = command(*export, cwd=tmp_path / 'elsewhere',
                              PYTHONPATH=os.pathsep.join([str(ROOT), str(tmp_path)]))
    assert status == 0, printed
    # which the student does without
    assert 'my_losses' not in (tmp_path / 'elsewhere' / 'out' / 'my_config.py').read_text()
    status, printed = fork('test', '../my_config.py', 'work_dirs/my_config/epoch_1.pth',
                           cwd=tmp_path / 'elsewhere')
    assert status == 0 and 'bbox_mAP' in printed, printed
    half = torch.load(tmp_path / 'elsewhere/work_dirs/my_config/epoch_1.pth')
    half['state_dict'] = {k: v for k, v in half['state_dict'].items() if 'fc_cls' not in k}
    torch.save(half, tmp_path / 'half.pth')
    status, printed = fork('test', '../my_config.py', '../half.pth', '--cfg-options',
                           'test_dataloader.batch_size=2', cwd=tmp_path / 'elsewhere')
    assert status == 1 and 'fc_cls.weight among them' in printed, printed


def test_a_finished_training_again(distilled, tmp_path):
    """Without --resume it is refused; with it, the end is that of the first time."""
    work = shutil.copytree(distilled / 'work', tmp_path / 'work')
    line = ['train', distilled / 'distilled.py', '--work-dir', work, '--cfg-options',
            'train_dataloader.batch_size=4']
    refused = invoke(*line)
    assert refused.exit_code == 1 and '--resume' in refused.output
    resumed = invoke(*line, '--resume')
    # the opening comes first, also before the validation that is made again
    assert resumed.exit_code == 0 and re.search(r'resumed at +iteration 2\n.*iteration 2/2  mAP',
                                                resumed.output, re.DOTALL)
    end = r'  mAP .* at the end, .* at best'
    assert re.findall(end, resumed.output) == re.findall(
        end, (distilled / 'printed.txt').read_text()) != []


def test_a_failing_training_names_what_is_wrong(folder, tmp_path):
    cfg = use_data(student_config(), folder / 'shapes')
    cfg.model.roi_head.bbox_head.type = 'Shared2FCBoxHead'
    cfg.dump(tmp_path / 'x.py')
    result = invoke('train', tmp_path / 'x.py', '--work-dir', tmp_path / 'work')
    assert result.exit_code == 1 and 'perhaps Shared2FCBBoxHead' in result.output
    assert 'Traceback' in (tmp_path / 'work' / 'console.log').read_text()


def test_a_folder_that_cannot_be_written(folder, tmp_path):
    use_data(student_config(), folder / 'shapes').dump(tmp_path / 'x.py')
    result = invoke('train', tmp_path / 'x.py', '--work-dir', tmp_path / 'x.py' / 'work')
    assert result.exit_code == 1 and 'Not a directory): give another --work-dir' in result.output


def test_unknown_argument_of_a_registered_class():
    error = TypeError("KDLoss.__init__() got an unexpected keyword argument 'temprature'")
    assert sentence(error) == "KDLoss has no argument 'temprature'; perhaps temperature"
    assert sentence(RuntimeError('no')) == 'RuntimeError: no'


@pytest.mark.parametrize('error', [DataError('a.json is empty', 'x'), WorkDirError('it is empty.')])
def test_our_own_errors_are_sentences_already(error):
    assert sentence(error) == str(error)


def test_pairs_of_cfg_options():
    assert _one_pair_each(['x.py', '--cfg-options', 'a=1', 'b=2', 'y', 'c=3']) == [
        'x.py', '--cfg-options', 'a=1', '--cfg-options', 'b=2', 'y', 'c=3']


def test_a_misspelt_class_with_a_dot():
    text = '{} is not in the mmengine::hook registry. Please check'
    assert 'no such class in ctkd_det; perhaps CheckDataHook' in sentence(
        KeyError(text.format('ctkd_det.hooks.CheckDatHook')))
    assert sentence(KeyError(text.format('no_such.Hook'))).endswith('pip install no_such')


def test_values_of_cfg_options_keep_their_spaces():
    assert parsed(['a.b=/home/me/my project/data', "c='x y'", 'd=set (a, b)/x', 'e= 0.5', 'f= True',
                   'g=/a, b', 'h=[(1, 2), c]']) == {
        'a.b': '/home/me/my project/data', 'c': 'x y', 'd': 'set (a, b)/x', 'e': 0.5, 'f': True,
        'g': ['/a', 'b'], 'h': [(1, 2), 'c']}


def test_advice():
    cfg = Config(dict(auto_scale_lr=dict(base_batch_size=16, enable=False),
                      optim_wrapper=dict(optimizer=dict(lr=0.02)),
                      param_scheduler=[dict(type='LinearLR', by_epoch=False, begin=0, end=500)]))
    assert '0.02 is for 16 images in a step, and a step has 2' in batch_advice(cfg, 2)
    assert '0.0025' in batch_advice(cfg, 2) and batch_advice(cfg, 16) is None
    assert 'takes 500 iterations, but the training has 499' in warm_up_advice(cfg, 499)
    assert warm_up_advice(cfg, 500) is None
    # with end=1 the rate would stay at its first value
    assert warm_up_advice(cfg, 12).endswith('param_scheduler.0.end=2')
    assert warm_up_advice(cfg, 2).endswith('too short for a warm-up')
    cfg.param_scheduler[0].end = 1
    assert 'stays at its first value' in warm_up_advice(cfg, 500)
    cfg.param_scheduler[0].update(by_epoch=True, convert_to_iter_based=True)
    assert warm_up_advice(cfg, 500, 12) is None  # of an epoch's iterations
    cfg.auto_scale_lr.enable = True
    assert batch_advice(cfg, 2) is None
    cfg.param_scheduler = dict(type='LinearLR', begin=0, end=5)
    assert '5 epochs' in warm_up_advice(cfg, 9999, 4) and warm_up_advice(cfg, 9, None) is None


def test_words():
    assert [duration(s) for s in (5, 600, 3900)] == ['5 s', '10 min', '1 h 05 min']
    assert path_of([1, 1.2, 1.31]) == 'rose from 1.00 to 1.31'
    assert path_of([1.5, 0.9]) == 'fell from 1.50 to 0.90' and path_of([4, 4]) == 'stayed at 4.00'


def test_baseline_and_distillation_write_to_their_own_folders(folder, tmp_path):
    """A Runner would hand its visualizer on to the next one."""
    result = invoke('distill', folder / 'student.py', '--teacher', folder / 'teacher/teacher.py',
                    '--teacher-ckpt', folder / 'teacher/teacher.pth', '--data', folder / 'shapes',
                    '--out', tmp_path / 'x.py', '--work-dir', tmp_path / 'w', '--with-baseline',
                    '--batch-size', 4, '--lr', 0.01)
    assert result.exit_code == 0, result.output
    assert re.search(r'mAP at the end: 0\.\d+ without the teacher, 0\.\d+ with it', result.output)
    assert result.output.count('Next:') == 1 and 'is for 16 images' not in result.output
    losses = {}
    for name in ('w', 'w_alone'):
        file, = (tmp_path / name).glob('*/vis_data/scalars.json')
        losses[name] = [set(json.loads(line)) for line in file.read_text().splitlines()]
    assert 'loss_ctkd' in losses['w'][0] and 'loss_ctkd' not in losses['w_alone'][0]
    assert len(losses['w']) == len(losses['w_alone']) == 3  # two steps and a validation


@pytest.mark.parametrize('there, resumes', [
    (None, False), ('epoch_1.pth', True), ('interrupted_epoch_1_iter_20.pth', True),
    ('last_checkpoint', True)])
def test_a_first_start_with_resume_has_the_configs_weights(folder, tmp_path, there, resumes):
    """MMEngine, and MMDetection's tool, would begin with other ones and not say so."""
    cfg = use_data(student_config(), folder / 'shapes')
    cfg.load_from = 'pretrained.pth'
    cfg.dump(tmp_path / 'x.py')
    work = tmp_path / 'work'
    work.mkdir()
    if there:
        (work / there).write_bytes(b'')
    read = configured(Training(tmp_path / 'x.py', str(work), resume='auto'))
    assert bool(read.get('resume')) is resumes
    assert read.load_from == (None if resumes else 'pretrained.pth')


def ended(tmp_path, last, teacher=None, out='c/x.py'):
    """A finished training of ``out``."""
    return Result(Training(tmp_path / out), tmp_path / 'w', Metric('coco/bbox_mAP', [last]), 1.0,
                  {}, teacher, {}, True, None)


@pytest.mark.parametrize('teacher, said', [
    (0.5, 'the teacher has 0.500, 0.100 more'), (0.3, 'the teacher has 0.300, 0.100 less'),
    (0.4, 'the teacher has 0.400, as much'), (0.4004, 'the teacher has 0.400, as much')])
def test_the_teacher_at_the_end(teacher, said, tmp_path):
    assert ending(ended(tmp_path, 0.4, teacher)).splitlines()[1].endswith(said)


@pytest.mark.parametrize('out, plain, of_seed', [
    ('x.py', 'x.py', 'seed_1/x.py'), ('c/x.py', 'c/x.py', 'c/seed_1/x.py'),
    ('c/seed_2/x.py', 'c/x.py', 'c/seed_1/x.py')])
def test_the_configs_of_other_seeds_lie_beside_it(out, plain, of_seed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = comparison(ended(tmp_path, 0.4), ended(tmp_path, 0.45, out=out))
    assert f'gave --out {plain}, with --out {of_seed} ...)' in said
    assert default_work_dir(Path(of_seed)) == Path('work_dirs/seed_1/x')  # each seed has its own


@pytest.mark.parametrize('teacher, warned', [(None, False), (0.41, False), (0.4, True),
                                             (0.3, True)])
def test_a_teacher_that_is_not_better_is_told(teacher, warned, tmp_path):
    said = comparison(ended(tmp_path, 0.4), ended(tmp_path, 0.45, teacher))
    assert ('no more than the student alone' in said) == warned


def test_the_weights_to_begin_with_are_shown(folder, tmp_path):
    cfg = use_data(student_config(max_epochs=1), folder / 'shapes')
    cfg.val_dataloader = cfg.val_evaluator = cfg.val_cfg = None
    cfg.train_cfg.pop('val_interval')
    cfg.load_from = str(folder / 'teacher' / 'teacher.pth')
    cfg.dump(tmp_path / 'x.py')
    line = ['train', tmp_path / 'x.py', '--work-dir', tmp_path / 'work']
    result = invoke(*line)
    assert re.search(rf'begins with +{re.escape(cfg.load_from)}\n', result.output), result.output
    assert 'begins with' not in invoke(*line, '--resume').output

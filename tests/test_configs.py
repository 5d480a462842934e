"""Every config file in the tree, built from its file name alone."""
import copy
import functools
from pathlib import Path

import pytest
import torch
from mmdet.registry import HOOKS, MODELS
from mmengine.config import Config
from mmengine.fileio import load
from mmengine.hub import get_config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope

from ctkd_det.hooks import CheckDataHook, CurriculumHook
from ctkd_det.models.distilled_config import SELF_TAUGHT, is_beside_student
from helpers import CONFIGS

FILES = sorted(str(p.relative_to(CONFIGS)) for p in CONFIGS.rglob('*.py'))
RECIPES = [name for name in FILES if not name.startswith('_base_')]
ALONE = [name for name in RECIPES if name.startswith('students/')
         or Path(name).stem.endswith(('student', 'teacher', 'warmup'))]
DISTILLED = [name for name in RECIPES if name not in ALONE]


@pytest.fixture(autouse=True)
def zeros(monkeypatch):
    """Weights are not drawn: that takes most of the time, and no test looks at their values."""
    def fill(tensor, *args, **kwargs):
        tensor.data.zero_()
        return tensor
    for name in ('uniform_', 'normal_', 'kaiming_uniform_', 'kaiming_normal_', 'xavier_uniform_'):
        monkeypatch.setattr(torch.nn.init, name, fill)


@functools.cache
def _read_once(name: str) -> Config:
    return Config.fromfile(CONFIGS / name)


def read(name: str) -> Config:
    """A copy: building a model changes its config."""
    return copy.deepcopy(_read_once(name))


@pytest.fixture(scope='session')
def weights_of(tmp_path_factory):
    """Checkpoint for a teacher's config, made once for each: zeros, which take no room."""
    made = {}

    def make(teacher_config: str) -> str:
        if teacher_config not in made:
            config = (get_config if '::' in teacher_config else Config.fromfile)(teacher_config)
            with torch.device('meta'):
                weights = MODELS.build(config.model).state_dict()
            path = tmp_path_factory.mktemp('weights') / 'teacher.pth'
            torch.save({key: torch.zeros((), dtype=value.dtype).expand(value.shape)
                        for key, value in weights.items()}, path)
            made[teacher_config] = str(path)
        return made[teacher_config]

    return make


@pytest.mark.parametrize('name', FILES)
def test_reads(name):
    assert read(name).to_dict()


@pytest.mark.parametrize('name', RECIPES)
def test_builds(name, weights_of):
    init_default_scope('mmdet')
    cfg = read(name)
    if name in DISTILLED and cfg.model.teacher_config not in SELF_TAUGHT:
        assert cfg.model.teacher_ckpt.endswith('.pth')
        cfg.model.teacher_ckpt = weights_of(cfg.model.teacher_config)
    model = MODELS.build(cfg.model)
    assert cfg.model.type.startswith('KnowledgeDistillation') == (name in DISTILLED)
    if name not in DISTILLED:
        return
    stem = Path(name).stem
    learned = [n for n, _ in model.named_parameters() if 'temperature' in n]
    assert bool(learned) == ('ctkd' in stem)
    # the student is the plain one: exactly its weights, and what the losses learn
    with torch.device('meta'):
        plain = MODELS.build(_plain(cfg.model))
    extra = model.state_dict().keys() - plain.state_dict().keys()
    assert extra == {key for key in model.state_dict() if is_beside_student(key)}
    assert not plain.state_dict().keys() - model.state_dict().keys()
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    of = {id(p): group for group in groups for p in group['params']}
    for key, parameter in model.named_parameters():
        if key.startswith('distill_losses.'):
            settings = of[id(parameter)]
            undecayed = 'temperature' in key or 'raw_variances' in key
            assert (settings.get('weight_decay') == 0) == undecayed, key
            if 'temperature' not in key:
                assert settings['lr'] == cfg.optim_wrapper.optimizer.lr
    hooks = [HOOKS.build(hook) for hook in cfg.get('custom_hooks', [])]
    driven = bool(learned) or 'scheduled' in stem
    assert any(isinstance(hook, CurriculumHook) for hook in hooks) == driven
    assert any(isinstance(hook, CheckDataHook) for hook in hooks)


@pytest.mark.parametrize('name', [name for name in FILES if name.startswith('students/')
                                  or name in ('shapes/student.py', 'shapes/teacher.py')])
def test_plain_students_are_guarded_without_an_import(name):
    """MMDetection's own train.py finds the hooks by their full names."""
    cfg = read(name)
    assert 'custom_imports' not in cfg
    assert {key: cfg.default_hooks[key]['type'] for key in ('checkpoint', 'finite', 'data')} == {
        key: f'ctkd_det.hooks.{kind}' for key, kind in dict(
            checkpoint='SafeCheckpointHook', finite='FiniteLossHook', data='CheckDataHook').items()}


def test_the_temperatures_multiplier_is_for_temperatures_only():
    init_default_scope('mmdet')
    fragment = read('_base_/distill/ctkd_instance.py')
    loss = MODELS.build(fragment.distill_losses.loss_ctkd)
    loss.adapters = torch.nn.ModuleList([torch.nn.Conv2d(2, 3, 1)])
    model = torch.nn.Module()
    model.distill_losses = torch.nn.ModuleDict(dict(loss_ctkd=loss))
    groups = build_optim_wrapper(model, dict(
        optimizer=dict(type='SGD', lr=0.02, weight_decay=1e-4),
        paramwise_cfg=fragment.temperature_paramwise)).optimizer.param_groups
    of = {id(p): group for group in groups for p in group['params']}
    settings = {name: (round(of[id(p)]['lr'], 6), of[id(p)]['weight_decay'])
                for name, p in model.named_parameters()}
    assert {name.split('.')[2]: value for name, value in settings.items()} == dict(
        temperature=(0.001, 0), adapters=(0.02, 1e-4))


def _plain(model: dict) -> dict:
    ours = ('teacher_config', 'teacher_ckpt', 'distill_losses', 'distilled_queries',
            'cross_head')
    return dict({k: v for k, v in model.items() if k not in ours}, type={
        'KnowledgeDistillationTwoStageDetector': 'TwoStageDetector',
        'KnowledgeDistillationDenseDetector': 'SingleStageDetector',
        'KnowledgeDistillationDABDETR': 'DABDETR'}[model['type']])


def test_schedules_are_those_of_their_names():
    for name in RECIPES:
        epochs = 24 if '_2x_' in name else 12 if '_1x_' in name else None
        if epochs:
            cfg = read(name)
            (end, ) = [s.end for s in cfg.param_scheduler if s.by_epoch]
            assert cfg.train_cfg.max_epochs == epochs == end
            assert cfg.auto_scale_lr.base_batch_size == 16


def test_the_papers_values_stay_available():
    cfg = read('ctkd/faster-rcnn_r18_fpn_ctkd-r101_1x_coco_paper.py')
    init_default_scope('mmdet')
    loss = MODELS.build(cfg.model.distill_losses.loss_ctkd)
    tau = loss.temperature(None, None, None)
    assert tau.item() == pytest.approx(15.6212, abs=1e-4) and loss.foreground_weight is None
    assert cfg.custom_hooks[0].end == 10 and not cfg.custom_hooks[0].convert_to_iter_based


def test_the_model_index_lists_every_recipe():
    index = load(CONFIGS.parent / 'model-index.yml')
    listed = [model['Config'].partition('/')[2] for file in index['Import']
              for model in load(CONFIGS.parent / file)['Models']]
    assert sorted(listed) == RECIPES


def test_recipes_have_names_that_mim_can_find():
    """mim looks for a config by its bare file name, anywhere in the tree."""
    names = [Path(name).name for name in FILES]
    assert [name for name in RECIPES if names.count(Path(name).name) > 1] == []

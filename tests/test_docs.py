"""What the documentation shows works: links, code blocks, both READMEs, the site."""
import ast
import importlib.util
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmdet.registry import HOOKS, MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from ctkd_det.models import FeatureLoss, GroupTemperature, InstanceTemperature, LogitLoss
from helpers import CONFIGS, ROOT

READMES = [ROOT / 'README.md', ROOT / 'README_zh-CN.md']
PAGES = [*READMES, *sorted((ROOT / 'docs').rglob('*.md')), *sorted(CONFIGS.glob('*/*.md'))]


def blocks(page: Path, language: str) -> list:
    return re.findall(rf'^```{language}\n(.*?)^```', page.read_text(), re.S | re.M)


def anchors(page: Path) -> set:
    """The anchors that GitHub and the site give to a page's headings."""
    text = re.sub(r'^```.*?^```', '', page.read_text(), flags=re.S | re.M)
    return {re.sub(r'[^\w\- ]', '', heading).strip().lower().replace(' ', '-')
            for heading in re.findall(r'^#+ (.+)$', text, re.M)}


@pytest.mark.parametrize('page', PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_and_picture_exists(page):
    text = re.sub(r'^```.*?^```', '', page.read_text(), flags=re.S | re.M)
    for target in re.findall(r'\]\(([^)\s]+)\)', text):
        if target.startswith('https://'):
            continue
        file, _, anchor = target.partition('#')
        path = page.parent / file if file else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


def test_the_readmes_say_the_same():
    english, chinese = READMES
    for language in ('diff', 'bash'):
        assert blocks(english, language) == blocks(chinese, language) != []
    texts = [page.read_text() for page in READMES]
    names, links, numbers = ([set(re.findall(pattern, text)) for text in texts] for pattern in (
        r'`[^`\n]+`', r'\]\(([^)]+)\)', r'[+−-]?\d+\.\d+'))
    assert names[0] <= names[1]  # comments of the commands are text in the translation
    assert links[0] - {chinese.name} == links[1] - {english.name}
    assert numbers[0] == numbers[1]


@pytest.mark.parametrize('page, docs', [(READMES[0], 'docs/'), (ROOT / 'docs' / 'index.md', '')],
                         ids=['README', 'index'])
def test_what_people_ask_is_one_click_from_the_first_pages(page, docs):
    text = page.read_text()
    for question, target in {
            'Which method should I use?': 'choose.md#which-method-should-i-use',
            'What gain can I expect?': 'choose.md#what-gain-can-i-expect',
            'How much slower is it?': 'performance.md#how-much-slower-is-it',
            'Which detectors?': 'detectors.md', 'How do I deploy?': 'deploy.md',
            'My mAP dropped': 'map-dropped.md'}.items():
        row = next(line for line in text.splitlines() if line.startswith(f'| {question} |'))
        assert f']({docs}{target})' in row
    assert docs == '' or len(text.splitlines()) <= 100


# tests/test_detectors_page.py has those of the other kinds of detectors
CODE = [(page, block) for page in PAGES if page.name != 'detectors.md'
        for block in blocks(page, 'python')]
IDS = [f'{page.relative_to(ROOT)}-{i}' for i, (page, _) in enumerate(CODE)]


@pytest.mark.parametrize('kind', [GroupTemperature, InstanceTemperature])
def test_the_table_of_temperatures_names_their_options(kind):
    row = next(line for line in (ROOT / 'docs/methods.md').read_text(encoding='utf-8').splitlines()
               if line.startswith(f'| `{kind.__name__}` |'))
    bounds = {'tau_min', 'tau_range'}
    options = inspect.signature(kind).parameters.keys() - bounds
    assert ', bounds,' in row and [name for name in options if f'`{name}' not in row] == []


def is_config(block: str) -> bool:
    return all(isinstance(line, ast.Assign) for line in ast.parse(block).body)


@pytest.mark.parametrize('page, block', [c for c in CODE if is_config(c[1])],
                         ids=[i for i, c in zip(IDS, CODE, strict=True) if is_config(c[1])])
def test_config_blocks_load_and_build(page, block, tmp_path, monkeypatch):
    """Together with the student and teacher that the pages speak of."""
    teacher, student = blocks(ROOT / 'docs' / 'dataset.md', 'python')[:2]
    (tmp_path / 'my_teacher.py').write_text(teacher)
    (tmp_path / 'my_student.py').write_text(student)
    (tmp_path / 'config.py').write_text(block.replace('ctkd_det::', f'{CONFIGS}/'))
    if 'my_losses' in block:  # a loss of the reader's own has a test of its own
        (tmp_path / 'my_losses.py').touch()
        monkeypatch.syspath_prepend(tmp_path)
    cfg = Config.fromfile(tmp_path / 'config.py')
    init_default_scope('mmdet')
    losses = cfg.get('distill_losses') or cfg.get('model', {}).get('distill_losses', {})
    for loss in losses.values():
        if loss['type'] == 'SquaredLogitLoss':
            continue
        if isinstance(loss.get('temperature'), str):
            loss = dict(loss, temperature=1.0)  # another loss's name
        if issubclass(MODELS.get(loss['type']), FeatureLoss):  # a detector knows the widths
            loss = dict(loss, student_channels=4, teacher_channels=4)
        MODELS.build(loss)
    for hook in cfg.get('custom_hooks', []):
        HOOKS.build(hook)
    if 'backbone' in cfg.get('model', {}):  # not only some arguments of the detector
        plain = {k: v for k, v in cfg.model.items() if k not in (
            'type', 'teacher_config', 'teacher_ckpt', 'distill_losses')}
        MODELS.build(dict(plain, type='FasterRCNN'))


def test_the_student_of_the_data_set_page_has_the_teachers_data_and_classes(tmp_path):
    teacher, student = blocks(ROOT / 'docs' / 'dataset.md', 'python')[:2]
    (tmp_path / 'my_teacher.py').write_text(teacher)
    (tmp_path / 'my_student.py').write_text(student)
    teacher, student = (Config.fromfile(tmp_path / f'my_{name}.py')
                        for name in ('teacher', 'student'))
    assert teacher.model.backbone.depth == 101 and student.model.backbone.depth == 50
    assert teacher.load_from and student.load_from is None
    classes = ('apple', 'pear', 'plum')
    for cfg in (teacher, student):
        assert cfg.model.roi_head.bbox_head.num_classes == len(classes)
        for part in ('train', 'val', 'test'):
            dataset = cfg[f'{part}_dataloader'].dataset
            assert dataset.metainfo.classes == classes and dataset.data_root == 'data/fruit/'
            if part != 'train':
                assert dataset.ann_file == 'annotations/val.json'
                assert cfg[f'{part}_evaluator'].ann_file == 'data/fruit/annotations/val.json'


def test_three_lines_are_the_recipe(tmp_path):
    """The loss, hook and learning rate that configs/ctkd has."""
    for name, block in zip(('my_teacher', 'my_student'),
                           blocks(ROOT / 'docs' / 'dataset.md', 'python'), strict=False):
        (tmp_path / f'{name}.py').write_text(block)
    block = blocks(ROOT / 'docs' / 'distil.md', 'python')[0]
    assert len(block.splitlines()) == 3
    (tmp_path / 'my_distill.py').write_text(block.replace('ctkd_det::', f'{CONFIGS}/'))
    cfg = Config.fromfile(tmp_path / 'my_distill.py')
    recipe = Config.fromfile(CONFIGS / 'ctkd' / 'faster-rcnn_r50_fpn_ctkd-r101_1x_coco.py')
    assert cfg.model.type == recipe.model.type
    assert cfg.model.distill_losses == recipe.model.distill_losses
    assert cfg.custom_hooks == recipe.custom_hooks
    assert cfg.custom_imports == recipe.custom_imports
    assert cfg.optim_wrapper.paramwise_cfg == recipe.optim_wrapper.paramwise_cfg
    assert cfg.model.roi_head.bbox_head.num_classes == 3


def test_the_examples_for_contributors_work(tmp_path):
    """A loss and a temperature of one's own, together, with the adversary's sign."""
    loss_code, _, temperature_code = blocks(ROOT / 'docs' / 'contributing.md', 'python')
    registered = dict(MODELS.module_dict)
    try:
        for name, code in (('loss', loss_code), ('temperature', temperature_code)):
            (tmp_path / f'{name}.py').write_text(code)
            spec = importlib.util.spec_from_file_location(name, tmp_path / f'{name}.py')
            spec.loader.exec_module(importlib.util.module_from_spec(spec))
        loss = MODELS.build(dict(type='SquaredLogitLoss', temperature=dict(
            type='ConfidenceTemperature')))
    finally:
        for name in MODELS.module_dict.keys() - registered.keys():
            del MODELS.module_dict[name]
    assert isinstance(loss, LogitLoss)
    torch.manual_seed(0)
    s, t = torch.randn(2, 5, 4)
    loss.temperature.grl.lambda_ = 1.0
    # this loss does not depend on tau: ((s - t) / tau)^2 tau^2
    value = loss(s, t, torch.zeros(5, dtype=torch.long))
    torch.testing.assert_close(value, ((s - t)**2).mean())
    tau = loss.temperature(s, t, None)
    assert tau.shape == (5, 1) and tau.min() > 0.5 and tau.max() < 2
    tau.sum().backward()
    assert loss.temperature.line.bias.grad.item() < 0  # tau rises with the bias: reversed


def test_the_site_builds_without_a_warning(tmp_path):
    for module in ('mkdocs', 'material', 'mkdocstrings_handlers', 'latex2mathml'):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f'needs requirements/docs.txt, which make docs installs ({module})')
    result = subprocess.run(
        [sys.executable, '-m', 'mkdocs', '-q', 'build', '--strict', '--site-dir', str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    html = {path.relative_to(tmp_path).as_posix(): path.read_text()
            for path in tmp_path.rglob('*.html')}
    # formulas are MathML, of the pages and of the docstrings
    assert '<math' in html['method.html'] and '<math' in html['api.html']
    for name, page in html.items():
        for left in ('arithmatex', '.. math', ':math:', ':class:'):
            assert left not in page, (name, left)
        # nothing is fetched from elsewhere
        assert not re.search(r'<(?:script|img|link)[^>]+(?:src|href)="(?:https?:)?//', page), name

"""Help, completion, and the commands that hand on to tools."""
import io
import os
import re
import subprocess
import sys

import pytest

from cli.conftest import command, invoke
from ctkd_det_cli import places, tools
from ctkd_det_cli.main import cli
from ctkd_det_cli.places import shipped
from helpers import FORK, ROOT


def test_help_imports_nothing_heavy():
    script = ('import sys; from click.testing import CliRunner; from ctkd_det_cli.main import cli;'
              "assert 'Commands:' in CliRunner().invoke(cli, ['--help']).output;"
              "print(sorted({'torch', 'numpy', 'mmengine', 'mmdet', 'ctkd_det', 'rich'} & "
              'set(sys.modules)))')
    result = subprocess.run([sys.executable, '-c', script], cwd=ROOT, capture_output=True,
                            text=True)
    assert result.stdout.strip() == '[]', result.stderr


def test_the_package_imports_no_extra():
    # torch 2.1 itself imports onnx
    script = ("import sys, torch.onnx; before = set(sys.modules); import ctkd_det; print(sorted("
              "{'click', 'ctkd_det_cli', 'faster_coco_eval', 'jinja2', 'onnx', 'onnxruntime', "
              "'plotly', 'ctkd_det.visualization.report'} & set(sys.modules) - before))")
    result = subprocess.run([sys.executable, '-c', script], cwd=ROOT, capture_output=True,
                            text=True)
    assert result.stdout.strip().splitlines()[-1] == (
        "['faster_coco_eval']" if FORK else '[]'), result.stderr


@pytest.mark.parametrize('name', sorted(cli.commands))
def test_every_help_has_examples(name):
    assert f'\n  ctkd-det {name} ' in invoke(name, '--help').output


def test_all_commands_are_there():
    assert set(cli.commands) == {'demo', 'distill', 'train', 'test', 'report', 'plot', 'export',
                                 'doctor', 'data', 'benchmark', 'replay'}


def test_methods_are_completed(tmp_path):
    _, printed = command(cwd=tmp_path, _CTKD_DET_COMPLETE='bash_complete', COMP_CWORD='4',
                         COMP_WORDS='ctkd-det distill x --method ctkd_i')
    assert printed.strip() == 'plain,ctkd_instance'


@pytest.fixture
def own_argv(monkeypatch):
    """Tools that run in this process may set their arguments."""
    monkeypatch.setattr(sys, 'argv', [])


@pytest.mark.parametrize('name', ['train', 'test'])
def test_options_of_mmdets_tools_are_there(name):
    tool = shipped('mmdet', 'tools') / f'{name}.py'
    theirs = set(re.findall(r"'(--[a-z-]+)'", tool.read_text())) - {'--local-rank'}
    assert theirs and theirs <= set(_options(cli.commands[name]))


def test_status_of_a_failing_tool(own_argv, tmp_path):
    result = invoke('plot', tmp_path)
    assert result.exit_code == 1 and 'is no work directory of a run' in result.output


def test_what_mmdets_test_is_told(monkeypatch):
    told = []
    monkeypatch.setattr(tools, 'run_tool', lambda script, args: told.append(args[2:]))
    teacher = ROOT / 'configs' / 'shapes' / 'teacher.py'
    line = ['test', teacher, teacher.with_suffix('.pth')]
    for options in (['--show', '--wait-time', 0], ['--tta'], []):
        assert invoke(*line, *options).exit_code == 0
    hook = ['--cfg-options', 'default_hooks.check_weights.type=ctkd_det.hooks.CheckWeightsHook']
    # 0 is an answer: the window waits for a key
    assert told == [['--show', '--wait-time', '0.0', *hook], ['--tta', *hook], hook]


def test_characters_that_an_output_does_not_have(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), 'cp932', write_through=True)
    monkeypatch.setattr(sys, 'stdout', stream)
    cli.main(['benchmark'], standalone_mode=False)
    print('±·')
    assert stream.buffer.getvalue().decode('cp932').splitlines()[-1] == '±?'


@pytest.mark.parametrize('line', [['demo', '--quick'], ['benchmark', 'instance_kl']])
def test_packages_that_do_not_fit(line, own_argv, tmp_path):
    (tmp_path / 'torchvision.py').write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')")
    status, printed = command(*line, cwd=tmp_path, PYTHONPATH=f'{tmp_path}{os.pathsep}{ROOT}')
    assert status == 1 and 'nms does not exist); ctkd-det doctor says' in printed, printed
    assert 'Traceback' not in printed


def test_missing_packages(monkeypatch):
    monkeypatch.setattr(places, 'find_spec', lambda name: None)
    result = invoke('distill', 'x.py', '--method', 'none')
    assert result.exit_code == 1 and 'mmengine is not installed; ctkd-det doctor' in result.output


def test_benchmarks(own_argv):
    listed = invoke('benchmark').output
    parts = {'recipes', 'formulations', 'benches', 'clock', 'growth', 'loss_costs', 'steps'}
    scripts = {p.stem for p in (ROOT / 'tools' / 'benchmarks').glob('*.py')} - parts
    assert {line.partition(':')[0] for line in listed.splitlines()} == scripts
    assert 'instance_kl: How much faster the vectorised' in listed
    result = invoke('benchmark', 'instance_kl', '--rois', '8', '--classes', '4')
    assert result.output.startswith('8 RoIs, 5 logits: loop')
    # what a benchmark imports from its own folder is found
    assert '--seeds' in invoke('benchmark', 'recipe_search', '--help').output
    unknown = invoke('benchmark', 'fast')
    assert unknown.exit_code == 2 and 'instance_kl' in unknown.output


def _shown(page) -> list:
    text = page.read_text(encoding='utf-8').replace('\\\n', ' ')
    return re.findall(r'^ctkd-det (\S+.*?)(?: +#.*)?$', text, re.M)


def test_the_page_on_the_command_line_shows_each_command():
    lines = _shown(ROOT / 'docs' / 'cli.md')
    assert {line.split()[0] for line in lines} == set(cli.commands)


def test_every_command_in_the_docs_exists_with_its_options():
    pages = [ROOT / 'README.md', *(ROOT / 'docs').rglob('*.md')]
    lines = [line for page in pages for line in _shown(page)]
    assert len(lines) > 30
    for line in lines:
        command = cli.commands[line.split()[0]]
        if command.name not in ('demo', 'benchmark'):  # the options of these are their scripts'
            assert set(re.findall(r' (--[a-z0-9-]+)', line)) <= set(_options(command)), line


@pytest.mark.parametrize('name', ['distill', 'train'])
def test_every_option_is_in_the_docs_and_no_other(name):
    page = (ROOT / 'docs' / 'cli.md').read_text()
    section = page.partition(f'\n## {name}\n')[2].partition('\n## ')[0]
    listed = re.findall(r'(?<=[`/])--[a-z-]+', ''.join(re.findall(r'^\|.*?\|', section, re.M)))
    assert set(listed) == set(_options(cli.commands[name])) - {'--help'}


def _options(command):
    return [option for param in command.params for option in (*param.opts, *param.secondary_opts)
            if option.startswith('--')]

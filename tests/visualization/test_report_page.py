"""The page from real runs, and from runs of which parts are missing."""
import inspect
import json
import re
import shutil
import subprocess
import sys
from html import unescape

import click
import pytest
from click.testing import CliRunner
from mmdet.visualization import DetLocalVisualizer

import forked
import helpers
from ctkd_det.visualization.report import write_report
from ctkd_det.visualization.report.detectors import Detector
from ctkd_det_cli.report import report
from studies import STUDENT, distilled, find_all, write_run

GROUP = dict(type='KDLoss', temperature=dict(type='GroupTemperature', by='foreground',
                                             num_classes=8))
SECTIONS = ('results', 'curves', 'temperature', 'losses', 'cost', 'classes', 'gallery', 'knowledge',
            'settings', 'environment')


@pytest.fixture(scope='module')
def runs(shapes, tmp_path_factory):
    """Trainings of two epochs: the student alone with two seeds, and one with groups.

    The teacher is the shipped one, so that there is something to see.
    """
    folder = tmp_path_factory.mktemp('runs')
    teacher = dict(teacher_config=str(helpers.CONFIGS / 'shapes' / 'teacher.py'),
                   teacher_ckpt=str(helpers.CONFIGS / 'shapes' / 'teacher.pth'))
    paths = []
    for name, seed in (('student', 0), ('student', 1), ('group', 0)):
        cfg = helpers.student_config(shapes)
        cfg.randomness.seed = seed
        DetLocalVisualizer._instance_dict.clear()  # else all write to the first one's folder
        if name == 'group':
            helpers.distill(cfg, teacher, dict(loss_ctkd=GROUP))
            cfg.custom_hooks = [dict(type='CurriculumHook')]
        (folder / f'{name}.py').write_text(cfg.pretty_text)
        named = type(cfg).fromfile(folder / f'{name}.py')  # so mmengine knows its name
        helpers.run(named, folder / f'{name}_s{seed}')
        paths.append(folder / f'{name}_s{seed}')
    find_all(paths[-1])
    return paths


@pytest.fixture(scope='module')
def page(runs, tmp_path_factory):
    out = tmp_path_factory.mktemp('page') / 'sub' / 'report.html'
    assert write_report(runs, out, images=3, score_thr=0.01) == out
    return out.read_text()


def section(page: str, name: str) -> str:
    return unescape(page.split(f'<section id="{name}">')[1].split('</section>')[0])


def figures(text: str) -> list:
    return [json.loads(found) for found in re.findall(
        r'<script type="application/json">(.*?)</script>', text, re.S)]


def test_every_section_has_its_content(page):
    assert [s for s in SECTIONS if f'<section id="{s}">' in page] == list(SECTIONS)
    assert 'Left out' not in page
    assert len(figures(section(page, 'classes'))[0]['data']) == 1  # one method against the baseline
    assert section(page, 'gallery').count('<image id=') == 3
    # ground truth, teacher, student, group on each
    assert section(page, 'gallery').count('class="picture"') == 12
    assert section(page, 'knowledge').count('class="plot"') >= 2
    assert 'model.distill_losses.loss_ctkd.temperature.by' in section(page, 'settings').replace(
        '<wbr>', '')
    assert 'shapes' not in section(page, 'settings').split('teacher_ckpt')[0]  # the data are one's


def test_a_line_for_each_group_and_its_lambda_on_one_axis(page):
    figure, = figures(section(page, 'temperature'))
    axes = [(trace['name'], trace['yaxis']) for trace in figure['data']]
    assert axes == [('group: foreground', 'y'), ('group: background', 'y'),
                    ('group: lower bound', 'y'), ('group: upper bound', 'y'), ('group', 'y2'),
                    ('group', 'y3')]
    assert figure['data'][0]['x'] == figure['data'][4]['x'] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [trace['y'] for trace in figure['data'][2:4]] == [[.5, .5], [2, 2]]
    # as the hook's docstring has it: of 8 steps, the first is done while it runs
    assert figure['data'][4]['y'][0] == pytest.approx(.03806, abs=1e-4)


def test_every_loss_has_a_plot(page):
    names = re.findall(r'<figcaption>(\w+)', section(page, 'losses'))
    assert names == ['loss', 'loss_ctkd', 'loss_bbox', 'loss_cls', 'loss_rpn_bbox',
                     'loss_rpn_cls']
    total, ctkd, *_ = figures(section(page, 'losses'))
    assert len(total['data']) == 3 and len(ctkd['data']) == 1


def test_a_method_has_one_colour_everywhere(page):
    colours = {}
    for figure in figures(page):
        for trace in figure['data']:
            colour = trace.get('line', trace.get('marker', {})).get('color') or \
                trace['marker']['color']
            colours.setdefault(trace.get('meta'), set()).add(colour)
    assert len(colours) == 3 and all(len(found) == 1 for found in colours.values())


def test_nothing_is_fetched(page):
    own = re.sub(r'<script>/\*\*\s+\* plotly\.js.*?</script>', '', page, flags=re.S)
    assert len(own) < len(page) / 2
    assert not re.search(r'(src|href)="(?!data:|#)', own) and '@import' not in own
    assert "default-src 'none'" in own


def test_second_report_runs_no_detector(runs, page, tmp_path, monkeypatch):
    def refuse(self, device):
        raise AssertionError('a detector was built')

    monkeypatch.setattr(Detector, 'build', refuse)
    again = write_report(runs, tmp_path / 'again.html', images=3, score_thr=0.01).read_text()
    assert again == page


def test_one_run_without_anything_but_curves(tmp_path):
    run = write_run(tmp_path / 'kd', 'kd', distilled(), (.1, .2))
    page = write_report([run], tmp_path / 'report.html').read_text()
    assert '<h1>kd: 20.0 mAP.</h1>' in page
    assert "teacher's checkpoint nowhere/teacher.pth is not here" in section(page, 'results')
    assert 'There is no baseline' in section(page, 'classes')
    assert 'No run of kd has a checkpoint' in section(page, 'gallery')
    assert 'Left out. The teacher' in section(page, 'knowledge')
    assert 'There is only one method' in section(page, 'settings')


def test_twenty_runs(tmp_path):
    runs = [write_run(tmp_path / 'student', 'student', STUDENT)]
    runs += [write_run(tmp_path / f'm{i}_s{s}', f'm{i}', distilled(1.0 + i), seed=s)
             for i in range(10) for s in (0, 1)]
    page = write_report(runs, tmp_path / 'report.html', val_images=0).read_text()
    assert page.count('class="chip"') == 11 and '21 runs' in page
    assert len(figures(section(page, 'curves'))[0]['data']) == 21
    assert 'No detector was run, as --val-images 0 says.' in section(page, 'gallery')


def test_a_run_that_was_not_validated(tmp_path):
    page = write_report([write_run(tmp_path / 'kd', 'kd', distilled(), ())],
                        tmp_path / 'report.html').read_text()
    assert '<h1>No run has a validation metric to show yet.</h1>' in page
    assert 'no validation metric logged yet' in section(page, 'results')


def test_broken_checkpoints_are_named_and_the_rest_is_shown(runs, tmp_path):
    copies = [shutil.copytree(run, tmp_path / run.name) for run in runs]
    shutil.rmtree(copies[2] / 'report', ignore_errors=True)
    (copies[2] / 'epoch_2.pth').write_bytes(b'no checkpoint')
    page = write_report(copies, tmp_path / 'report.html', images=2, score_thr=.01).read_text()
    assert 'group is left out: ' in section(page, 'gallery')
    assert section(page, 'gallery').count('<image id=') == 2  # the student and the teacher


def test_names_are_text(tmp_path):
    run = write_run(tmp_path / '<img src=x onerror=alert(1)>', 'kd', distilled())
    for file in run.glob('*.py'):
        file.rename(run / '<b>bold<.py')
    page = write_report([run], tmp_path / 'report.html').read_text()
    assert '<b>bold' not in page and '&lt;b&gt;bold' in page and '<img src=x' not in page


def test_a_page_that_cannot_be_written_is_refused_before_the_work(tmp_path, monkeypatch):
    run = write_run(tmp_path / 'kd', 'kd', distilled())
    monkeypatch.setattr('ctkd_det.visualization.report.collect', lambda *_: 1 / 0)
    (tmp_path / 'file').touch()
    for out in (tmp_path / 'file' / 'r.html', tmp_path / f'{"x" * 300}.html'):
        result = CliRunner().invoke(report, [str(run), '--out', str(out)])
        assert result.exit_code == 1
        assert result.output.startswith(f'Error: {out} cannot be written (')


@pytest.mark.parametrize('device', ['gpu', 'cuda:99'])
def test_a_device_that_is_not_there_is_refused_before_the_work(tmp_path, monkeypatch, device):
    monkeypatch.setattr('ctkd_det.visualization.report.read_study', lambda *_: 1 / 0)
    result = CliRunner().invoke(report, [str(tmp_path), '--device', device])
    assert result.exit_code == 1
    assert result.output.startswith(f'Error: --device {device} cannot be used (')
    assert result.output.count('\n') == 1


def test_the_command_and_python_have_the_same_options_and_defaults():
    """``tools/analysis_tools/report.py`` is the command itself."""
    signature = inspect.signature(write_report)
    assert [p.name for p in report.params] == list(signature.parameters)
    defaults = {p.name: p.default for p in report.params if p.name not in ('work_dirs', 'out')}
    assert defaults == {name: signature.parameters[name].default for name in defaults}


def test_the_page_on_it_has_a_row_for_each_option():
    """As the command states it: name, default, meaning."""
    text = (helpers.ROOT / 'docs' / 'report.md').read_text(encoding='utf-8')
    rows = [f"| `{p.opts[0]}` | {'' if p.default in (None, ()) else p.default} | {p.help} |"
            for p in report.params if isinstance(p, click.Option)]
    documented = [line for line in text.splitlines() if line.startswith('| `--')]
    assert documented == rows


def test_without_plotly_it_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, 'ctkd_det.visualization.report')
    monkeypatch.setitem(sys.modules, 'plotly', None)
    result = CliRunner().invoke(report, [str(tmp_path)])
    assert result.exit_code == 1
    assert "Error: the report needs plotly, which is not installed: pip install " \
        "'ctkd_det[report]'" in result.output


def test_the_command(runs, page, tmp_path):
    tool = str(helpers.ROOT / 'tools' / 'analysis_tools' / 'report.py')
    done = subprocess.run([sys.executable, tool, *map(str, runs), '--out', str(tmp_path / 'r.html'),
                           '--images', '3', '--score-thr', '0.01'],
                          capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == str(tmp_path / 'r.html')
    assert (tmp_path / 'r.html').read_text() == page
    wrong = forked.run(tool, tmp_path / 'nowhere')
    assert wrong.returncode == 2 and "nowhere' does not exist" in wrong.stderr

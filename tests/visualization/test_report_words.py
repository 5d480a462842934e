"""Temperatures in words, costs, names and the table as CSV."""
import csv
import io
from types import SimpleNamespace

import numpy as np
import pytest
from torch import nn

from ctkd_det.visualization.report import cost, knowledge
from ctkd_det.visualization.report.figures import loss_figures, temperature_figure
from ctkd_det.visualization.report.results import results
from ctkd_det.visualization.report.runs import read_run
from ctkd_det.visualization.report.study import read_study
from ctkd_det.visualization.report.table_csv import table_csv
from ctkd_det.visualization.report.temperature_words import bounds_of, temperature_words
from studies import STUDENT, distilled, write_run

LEARNED = dict(type='GlobalTemperature')
PAPER = dict(type='GlobalTemperature', tau_min=1.0, tau_range=20.0)


def study_of(folder, temperature, taus, seeds=1):
    """Runs that log these temperatures; each further seed ends 0.1 higher."""
    runs = []
    for seed in range(seeds):
        records = [{f'ctkd.tau_{part}': value + .1 * seed
                    for part, value in zip(taus, values, strict=True)} | dict(step=step, lr=.1)
                   for step, values in enumerate(zip(*taus.values(), strict=True), 1)]
        runs.append(write_run(folder / f's{seed}', 'ctkd', distilled(temperature, 'loss_ctkd'),
                              seed=seed, records=records))
    return read_study(runs)


@pytest.mark.parametrize('temperature, values, said', [
    (LEARNED, [1.0 + .01 * i for i in range(50)], 'τ went from 1.00 to 1.49 and was still rising.'),
    (LEARNED, [1.0] * 5 + [1.3] * 45, 'τ went from 1.00 to 1.30 and had come to rest.'),
    (LEARNED, [1.0] * 40 + [1.99] * 10, 'τ went from 1.00 to 1.99 and ended at its upper bound.'),
    (LEARNED, [1.0, 0.8, 0.51, 0.5, 0.5], 'τ went from 1.00 to 0.50 and ended at its lower bound.'),
    (LEARNED, [1.0] * 50, 'τ went from 1.00 to 1.00: it hardly moved.'),
    (4.0, [4.0] * 9, 'τ was 4.00 throughout.'),
    (LEARNED, [1.2], 'τ went from 1.20 to 1.20: it hardly moved.')])
def test_how_a_temperature_went(tmp_path, temperature, values, said):
    words, = temperature_words(study_of(tmp_path, temperature, dict(mean=values)))
    bounds = ' Its bounds are 0.5 and\N{NO-BREAK SPACE}2.' if temperature is LEARNED else ''
    assert words['text'] == said + bounds and words['name'] == 'ctkd'


def test_a_temperature_that_became_nan(tmp_path):
    nan = float('nan')
    words, = temperature_words(study_of(tmp_path / 'a', LEARNED, dict(mean=[1.0, 1.1, nan, nan])))
    assert words['text'].startswith('τ went from 1.00 to NaN at iteration 3. ')
    groups = {f'class_{i}': [1.0, nan if i == 2 else 1.1] for i in range(5)}
    words, = temperature_words(study_of(tmp_path / 'b', LEARNED, dict(groups, mean=[1.0, nan])))
    assert words['text'] == 'τ of 1 among 5 groups ended in NaN.'


def test_seeds_and_groups(tmp_path):
    two = temperature_words(study_of(tmp_path / 'a', 4.0, dict(mean=[4.0] * 9), seeds=2))
    assert two[0]['text'] == 'τ was 4.00 throughout (2 seeds ended between 4.00 and 4.10).'
    many = {f'class_{i}': [1.0, 1 + i / 10] for i in range(5)}
    words, = temperature_words(study_of(tmp_path / 'b', LEARNED, dict(many, mean=[1.0, 1.2])))
    assert words['text'] == ('τ of 5 groups ended between 1.00 (class 0) and 1.40 (class 4), '
                             'within bounds of 0.5 and 2.')


def test_student_and_teacher_are_told_apart(tmp_path):
    study = study_of(tmp_path, dict(type='DTKDTemperature'), dict(
        mean=[4.0] * 50, student=[2.0 + .04 * i for i in range(50)],
        teacher=[6.0 - .04 * i for i in range(50)]))
    words, = temperature_words(study)
    assert words['text'] == ('τ for the student went from 2.00 to 3.96 and was still rising. '
                             'τ for the teacher went from 6.00 to 4.04 and was still falling.')
    lines = {line['name'].rpartition(': ')[2]: line['line']['dash'] for line
             in temperature_figure(study)['data'] if 'lr' not in line['name']}
    assert lines.keys() >= {'student', 'teacher'} and lines['student'] != lines['teacher'] == 'dot'


def test_the_temperature_of_boxes_stands_beside_that_of_classes(tmp_path):
    model = distilled(LEARNED, 'loss_ctkd')
    model['distill_losses']['loss_ld'] = dict(type='LDLoss', temperature=PAPER)
    run = write_run(tmp_path / 'both', 'both', model, records=[
        {'ctkd.tau_mean': 1 + step / 100, 'ld.tau_mean': 10 + step / 10, 'lr': .1, 'step': step}
        for step in range(50)])
    words, = temperature_words(read_study([run]))
    assert 'τ of ctkd went from 1.00 to 1.49' in words['text']
    assert 'τ of ld (boxes) went from 10.00 to 14.90' in words['text']
    names = [line['name'] for line in temperature_figure(read_study([run]))['data']]
    assert sum('ld, boxes' in name for name in names) == 1
    assert sum('ctkd' in name and 'boxes' not in name for name in names) == 1
    # the softened answers of classes are shown at the classes' own
    assert knowledge.learned_tau(read_run(run), np.array([0])).tolist() == [
        pytest.approx(1.49)]


def test_bounds_are_the_configs_or_the_defaults(tmp_path):
    run = study_of(tmp_path, PAPER, dict(mean=[15.0])).methods[0].runs[0]
    assert bounds_of(run, 'ctkd') == (1, 21) and bounds_of(run, 'other') is None
    run.config.model.distill_losses.loss_more = dict(type='DKDLoss', temperature='loss_ctkd')
    assert bounds_of(run, 'more') == (1, 21)


def test_minutes_are_those_of_the_iterations(tmp_path):
    records = [dict(lr=.1, time=3.0, iter=10, step=10), dict(lr=.1, time=1.0, iter=40, step=40),
               {'coco/x': 1, 'time': 99.0, 'step': 2}]
    study = read_study([write_run(tmp_path / 'kd', 'kd', distilled(), records=records)])
    rows, notes = cost.costs(study, num_images=0)
    assert [row['minutes'] for row in rows] == pytest.approx([(10 * 3 + 30 * 1) / 60])
    assert rows[0]['size'] is None and notes == []


def test_the_page_says_why_operations_are_not_counted(tmp_path):
    resize = dict(type='Resize', scale=(64, 32))
    detector = SimpleNamespace(
        name='kd', cache=tmp_path, plain_model=dict, architecture=lambda: nn.Linear(2, 3),
        loader=dict(dataset=dict(pipeline=[resize])))
    for _ in ('measured', 'kept from the report before'):
        notes = []
        size = cost._size(detector, {}, notes)
        assert size.parameters == 9 and size.operations is None
        assert len(notes) == 1 and notes[0].startswith('The operations of kd could not be counted')


def test_levels_of_a_feature_loss_share_a_plot(tmp_path):
    model = distilled()
    model['distill_losses'] = dict(loss_pkd=dict(type='PKDLoss'))
    records = [{'loss_pkd': .5, 'pkd.level0': .1, 'pkd.level1': .3, 'step': step}
               for step in (10, 20)]
    figures = loss_figures(read_study([write_run(tmp_path / 'pkd', 'pkd', model,
                                                 records=records)]))
    assert list(figures) == ['loss', 'loss_pkd', 'loss_cls', 'pkd, each level']
    assert [trace['name'] for trace in figures['pkd, each level']['data']] == [
        'pkd: level0', 'pkd: level1']


def test_a_cascades_distillation_losses_come_before_its_own(tmp_path):
    records = [{'s0.loss_cls': .9, 's0.loss_kd': .5, 's1.loss_bbox': .2, 's1.loss_kd': .4,
                'step': step} for step in (10, 20)]
    figures = loss_figures(read_study([write_run(tmp_path / 'kd', 'kd', distilled(),
                                                 records=records)]))
    assert list(figures) == [
        'loss', 's0.loss_kd', 's1.loss_kd', 'loss_cls', 's0.loss_cls', 's1.loss_bbox']


def test_a_loss_that_is_nan_leaves_a_gap(tmp_path):
    records = [{'loss_kd': value, 'step': 10 * i, 'lr': .1} for i, value in enumerate(
        (3.0, float('nan'), float('inf'), 2.0), 4)]
    figures = loss_figures(read_study([write_run(tmp_path / 'kd', 'kd', distilled(),
                                                 records=records)]))
    line, = figures['loss_kd']['data']
    assert line['x'] == [40, 50, 60, 70] and line['y'] == [3.0, None, None, 2.0]


def test_a_single_value_is_seen(tmp_path):
    records = [{'loss_kd': .5, 'step': 10}, {'loss_kd': float('nan'), 'step': 20}]
    figures = loss_figures(read_study([write_run(tmp_path / 'kd', 'kd', distilled(),
                                                 records=records)]))
    assert figures['loss_kd']['data'][0]['mode'] == 'lines+markers'
    assert figures['loss']['data'][0]['mode'] == 'lines'


def test_the_table_as_csv(tmp_path):
    study = read_study([write_run(tmp_path / 'kd', '=kd', distilled(), (.1, .4)),
                        write_run(tmp_path / 'student', 'student', STUDENT, (.1, .3))])
    header, *rows = csv.reader(io.StringIO(table_csv(results(study, None),
                                                     cost.costs(study, 0)[0])))
    assert len({len(header), *map(len, rows)}) == 1
    first, second = (dict(zip(header, row, strict=True)) for row in rows)
    assert (first['method'], first['mAP %'], first['gain'], first['role']) == (
        'student', '30', '', 'baseline')
    # a spreadsheet would take the name for a formula
    assert (second['method'], second['mAP %'], second['gain']) == ("'=kd", '40', '10')


LONG = 'faster-rcnn_r18_fpn_{}1x_coco'


def test_long_names_lose_what_all_share(tmp_path):
    runs = [write_run(tmp_path / f'run{name}', LONG.format(name), model)
            for name, model in (('kd-r101_', distilled(1.0)), ('ctkd-r101_', distilled(2.0)),
                                ('', STUDENT))]
    study = read_study(runs)
    assert {m.name for m in study.methods} == {'student', 'kd-r101', 'ctkd-r101'}
    assert study.methods[0].stem == LONG.format('')
    one = read_study(runs[:1])
    assert one.methods[0].name == LONG.format('kd-r101_')


def test_short_names_stay(tmp_path):
    study = read_study([write_run(tmp_path / name, name, distilled(tau))
                        for name, tau in (('ctkd', 1.0), ('ctkd_paper', 2.0))])
    assert {m.name for m in study.methods} == {'ctkd', 'ctkd_paper'}


def test_a_method_can_be_called_otherwise(tmp_path):
    runs = [write_run(tmp_path / f'kd_s{seed}', 'kd', distilled(), seed=seed) for seed in (0, 1)]
    for key in ('kd', 'kd_s1', str(tmp_path / 'kd_s0')):
        study = read_study(runs, names=[f'{key}=KD, τ = 1'])
        assert study.methods[0].name == 'KD, τ = 1'
        assert study.methods[0].runs[1].name == 'KD, τ = 1, seed 1'
    for wrong in ('nowhere=KD', 'KD', 'kd='):
        with pytest.raises(ValueError, match='must be WORK_DIR=NAME'):
            read_study(runs, names=[wrong])


def test_a_folder_of_work_directories_stands_for_all_of_them(tmp_path):
    for name in ('kd', 'student'):
        write_run(tmp_path / name, name, STUDENT if name == 'student' else distilled())
    (tmp_path / 'pictures').mkdir()
    study = read_study([tmp_path])
    assert [m.name for m in study.methods] == ['student', 'kd'] and study.notes == []

"""Who is who in a report, and what the headline table and its sentence say."""
import math
from dataclasses import replace
from pathlib import Path

import pytest
from mmengine.config import Config

from ctkd_det.visualization.report.results import headline, results
from ctkd_det.visualization.report.runs import read_run
from ctkd_det.visualization.report.settings import config_differences, environment
from ctkd_det.visualization.report.study import read_study
from ctkd_det.visualization.report.study_predictions import TeacherMetrics
from studies import STUDENT, distilled, write_run


def three_methods(folder):
    """Two seeds of a student and of KD, one of CTKD; the teacher is not here."""
    ctkd = distilled(dict(type='GlobalTemperature'), 'loss_ctkd')
    return [write_run(folder / 'kd_s0', 'kd', distilled(), (.1, .40), 0),
            write_run(folder / 'kd_s1', 'kd', distilled(), (.1, .50), 1),
            write_run(folder / 'student_s0', 'student', STUDENT, (.1, .30), 0),
            write_run(folder / 'student_s1', 'student', STUDENT, (.1, .32), 1),
            write_run(folder / 'ctkd', 'ctkd', ctkd, (.1, .44), 0, max_epochs=3)]


def test_seeds_are_grouped_and_the_plain_detector_is_the_baseline(tmp_path):
    study = read_study(three_methods(tmp_path))
    assert [(m.name, m.role, len(m.runs)) for m in study.methods] == [
        ('student', 'baseline', 2), ('kd', 'distilled', 2), ('ctkd', 'distilled', 1)]
    assert [run.name for run in study.methods[1].runs] == ['kd, seed 0', 'kd, seed 1']
    assert len({m.colour for m in study.methods}) == 3 and study.notes == []


def test_initial_weights_in_the_seeds_own_folder_make_no_other_method(tmp_path):
    def start(folder):
        return dict(STUDENT, init_cfg=dict(type='Pretrained', checkpoint=f'{folder}/epoch_1.pth'))
    runs = [write_run(tmp_path / f'run{seed}', 'student', start(folder), (.1, .3), seed)
            for seed, folder in ((0, 'trunk'), (1, 'trunk/seed_1'), (12, 'trunk/seed_12'),
                                 (2, 'trunk/other'))]
    assert [[run.seed for run in m.runs] for m in read_study(runs).methods] == [[0, 1, 12], [2]]


@pytest.mark.parametrize('started', ['coco.pth', None])
def test_a_resumed_seed_stays_in_its_method(tmp_path, started):
    """``--resume FILE`` leaves FILE as ``load_from``, ``--resume`` none."""
    paths = [write_run(tmp_path / f's{seed}', 'kd', distilled(), seed=seed, load_from=started,
                       resume=False) for seed in (0, 1)]
    for seed, checkpoint in ((2, 's2/epoch_1.pth'), (3, None)):
        paths.append(write_run(tmp_path / f's{seed}', 'kd', distilled(), seed=seed,
                               load_from=checkpoint, resume=True))
        first = tmp_path / f's{seed}' / '20250101_000000' / 'vis_data'
        first.mkdir(parents=True)
        Config(dict(load_from=started)).dump(first / 'config.py')
        (first / 'scalars.json').write_text('{"lr": 0.1, "step": 1}')
    study = read_study([*paths, write_run(tmp_path / 's4', 'kd', distilled(), seed=4,
                                          load_from='other.pth')])
    assert [[run.seed for run in m.runs] for m in study.methods] == [[0, 1, 2, 3], [4]]


def test_the_log_is_not_read_for_each_setting(tmp_path, monkeypatch):
    """That of a long training has many megabytes; it is asked for a seed that was drawn."""
    work_dir = write_run(tmp_path / 'kd', 'kd', distilled(), seed=None)
    read, original = [], Path.read_text
    monkeypatch.setattr(Path, 'read_text', lambda self, *args, **kwargs: (
        read.append(self.suffix), original(self, *args, **kwargs))[1])
    assert read_study([work_dir]).methods[0].runs[0].seed == 77
    assert read.count('.log') == 1


def test_values_gains_and_spreads(tmp_path):
    teacher = TeacherMetrics(dict.fromkeys(('mAP', 'AP50', 'AP75', 'APs', 'APm', 'APl'), 60.0),
                             'all 9 validation images', complete=True)
    rows = {r['name']: r for r in results(read_study(three_methods(tmp_path)), teacher)}
    kd = rows['kd']
    assert [cell['mean'] for cell in kd['cells'][:2]] == pytest.approx([45, 90])
    assert kd['cells'][0]['spread'] == pytest.approx(math.sqrt(50))  # of 40 and 50, n - 1
    apl = next(cell for cell in kd['cells'] if cell['metric'].title == 'APl')
    assert apl['mean'] is None  # -1: no object of that size
    assert kd['gain'].mean == pytest.approx(45 - 31) and kd['behind'] == pytest.approx(-15)
    assert [seed for seed, _ in kd['gain'].pairs] == [0, 1]
    assert [gain for _, gain in kd['gain'].pairs] == pytest.approx([10, 18])
    assert kd['gain'].spread == pytest.approx(math.sqrt(32))
    assert kd['gain'].seeds == '2 seeds' and rows['ctkd']['gain'].seeds == '1 and 2 seeds'
    assert rows['student']['gain'] is None and rows['teacher']['cells'][0]['mean'] == 60
    assert rows['ctkd']['note'] == 'epoch 2 of 3' and kd['note'] == ''


def test_a_teacher_that_saw_a_part_is_marked_and_gives_no_distance(tmp_path):
    teacher = TeacherMetrics(dict(mAP=60.0), 'the first 5 of 9 validation images', complete=False)
    rows = {r['name']: r for r in results(read_study(three_methods(tmp_path)), teacher)}
    assert rows['teacher']['cells'][0]['mean'] == 60 and rows['kd']['behind'] is None
    assert rows['teacher']['note'] == 'on the first 5 of 9 validation images'
    assert not any('teacher' in sentence for sentence in headline(list(rows.values())))


def test_headline_says_it_and_warns(tmp_path):
    rows = results(read_study(three_methods(tmp_path)), None)
    assert headline(rows) == [
        'kd: 45.0 mAP (mean of 2 seeds), +14.0 over the student alone (2 seeds).',
        'Not finished, so these numbers will change: ctkd: epoch 2 of 3.',
        'Its lead of 1.0 over ctkd is within the spread between seeds (7.1): these runs do not '
        'tell the two apart.']
    kd = next(row for row in rows if row['name'] == 'kd')
    kd['gain'] = replace(kd['gain'], mean=-1.26)
    assert '−1.3 over the student alone' in headline(rows)[0]  # no hyphen


@pytest.mark.parametrize('kd, ctkd, said', [
    # seeds of KD spread by 7.1, those of CTKD by 0.7
    ((.40, .50), (.43, .44), 'Its lead of 1.5 over ctkd is within the spread between seeds (7.1): '
     'these runs do not tell the two apart.'),
    ((.50, .51), (.43, .44), 'Its lead over ctkd is 7.0; seeds spread by 0.7.'),
    ((.50, ), (), 'One seed says little about a difference of a few points.'),
    ((.50, .51), (), None)])
def test_what_a_lead_is_worth(tmp_path, kd, ctkd, said):
    models = dict(kd=distilled(), ctkd=distilled(dict(type='GlobalTemperature'), 'loss_ctkd'))
    runs = [write_run(tmp_path / f'{name}_{seed}', name, models[name], (.1, value), seed)
            for name, ends in (('kd', kd), ('ctkd', ctkd)) for seed, value in enumerate(ends)]
    assert headline(results(read_study(runs), None))[1:] == ([said] if said else [])


def test_a_student_may_be_above_its_teacher(tmp_path):
    teacher = TeacherMetrics(dict(mAP=44.0), 'all 9 validation images', complete=True)
    rows = results(read_study(three_methods(tmp_path)), teacher)
    assert headline(rows)[0].endswith(', 1.0 above the teacher.')


def test_the_headline_is_of_a_distilled_student(tmp_path):
    """Not of another plain detector, though that may be better."""
    large = write_run(tmp_path / 'large', 'large', dict(STUDENT, neck=dict(type='PAFPN')), (.5, .6))
    study = read_study([*three_methods(tmp_path), large])
    assert headline(results(study, None))[0].startswith('kd: 45.0 mAP (mean of 2 seeds), +14.0')


def test_gains_are_paired_where_both_have_the_seed(tmp_path):
    runs = [write_run(tmp_path / f'{name}_{seed}', name, model, (.1, value), seed)
            for name, model, ends in (('student', STUDENT, {0: .30, 1: .32}),
                                      ('kd', distilled(), {1: .40, 2: .50}))
            for seed, value in ends.items()]
    gain = {row['name']: row for row in results(read_study(runs), None)}['kd']['gain']
    assert gain.mean == pytest.approx(45 - 31) and gain.seeds == '2 seeds'
    assert gain.pairs == [(1, pytest.approx(8))] and gain.spread is None


def test_an_end_that_measured_nothing_is_no_unfinished_training(tmp_path):
    """Nor is one that EarlyStoppingHook ended."""
    stopped = write_run(tmp_path / 'stopped', 'stopped', distilled(3.0), (.1, .2), max_epochs=9)
    with next(stopped.glob('*/*.log')).open('a') as log:
        log.write('mmengine - INFO - the monitored metric did not improve in the last 5 records. ')
    rows = results(read_study([
        write_run(tmp_path / 'kd', 'kd', distilled(), (.1, .4)),
        write_run(tmp_path / 'nan', 'nan', distilled(2.0), (.1, math.nan)),
        write_run(tmp_path / 'none', 'none', distilled(4.0), ()), stopped]), None)
    assert headline(rows)[1:-1] == [
        'Without a value: nan: mAP is NaN at epoch 2; none: no validation metric logged yet.']
    assert {row['name']: row['note'] for row in rows}['stopped'] == (
        'stopped early at epoch 2 of 9')


@pytest.mark.parametrize('max_iters, finished', [(30, True), (39, True), (40, False)])
def test_the_end_of_iterations_is_known_to_the_last_logged_one(tmp_path, max_iters, finished):
    """Each tenth is logged."""
    run = read_run(write_run(tmp_path / 'kd', 'kd', distilled(), (), records=[
        {'coco/bbox_mAP': .3, 'step': 0}]))
    run.config.train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters)
    assert run.last_validation == 30 and run.finished == finished


def test_the_teacher_is_the_run_whose_checkpoint_is_named(tmp_path):
    teacher = write_run(tmp_path / 'big', 'big', dict(STUDENT, neck=dict(type='PAFPN')), (.5, .6))
    learner = write_run(tmp_path / 'kd', 'kd', distilled(ckpt=str(teacher / 'epoch_2.pth')))
    study = read_study([learner, teacher])
    assert [m.role for m in study.methods] == ['distilled', 'teacher']
    assert results(study, None)[0]['behind'] == pytest.approx(20 - 60)
    assert 'name one with --baseline' in study.notes[0]
    with pytest.raises(ValueError, match='both the baseline and the teacher'):
        read_study([learner], baseline=teacher)


@pytest.mark.parametrize('option', [
    dict(teacher_stage=0), dict(teacher_scale=2.0), dict(class_mapping='by_name'),
    dict(inherit=['neck']), dict(teacher_compile=True), dict(teacher_fold=True),
    dict(eval_teacher=True)])
def test_how_it_is_distilled_is_no_architecture(tmp_path, option):
    learner = write_run(tmp_path / 'kd', 'kd', dict(distilled(), **option))
    study = read_study([learner, write_run(tmp_path / 'student', 'student', STUDENT)])
    assert study.baseline and study.baseline.name == 'student'


def test_a_baseline_can_be_named(tmp_path):
    other = write_run(tmp_path / 'other', 'other', dict(STUDENT, neck=dict(type='PAFPN')), (.5, .1))
    paths = three_methods(tmp_path)
    assert read_study([*paths, other]).baseline.name == 'student'
    assert read_study(paths, baseline=other).baseline.name == 'other'


def test_same_config_name_with_other_settings_is_another_method(tmp_path):
    paths = [write_run(tmp_path / f'kd_tau{tau}', 'kd', distilled(tau)) for tau in (1., 4.)]
    study = read_study(paths)
    assert {m.name for m in study.methods} == {'kd (kd_tau1.0)', 'kd (kd_tau4.0)'}
    assert config_differences(study) == [dict(
        key='model.distill_losses.loss_kd.temperature',
        values=['1.0', '4.0'] if '1.0' in study.methods[0].name else ['4.0', '1.0'])]


def test_names_of_a_config_that_the_runner_does_not_read_are_no_settings(tmp_path):
    study = read_study([write_run(tmp_path / 'a', 'kd', distilled(), helper=1, seed=0),
                        write_run(tmp_path / 'b', 'kd', distilled(), helper=2, seed=1)])
    assert len(study.methods) == 1 and config_differences(study) == []


def test_an_unset_seed_is_the_one_that_was_drawn(tmp_path):
    run = read_study([write_run(tmp_path / 'kd', 'kd', distilled(), seed=None)]).methods[0].runs[0]
    assert run.seed == 77


def test_versions_of_training_and_of_now_are_told_apart(tmp_path):
    titles, rows = environment(read_study([write_run(tmp_path / 'kd', 'kd', distilled())]))
    assert titles == ['in training, from the log', 'now, of this report']
    values = {row['name']: row['values'] for row in rows}
    assert values['Python'][0] == '3.12.1' and values['PyTorch'][0] == '2.9.0'
    assert values['plotly'][0] is None and values['plotly'][1]


def test_wrong_and_empty_folders(tmp_path):
    run = write_run(tmp_path / 'kd', 'kd', distilled())
    (tmp_path / 'empty').mkdir()
    assert 'empty holds no curves' in read_study([run, tmp_path / 'empty']).notes[0]
    with pytest.raises(FileNotFoundError, match='none of these'):
        read_study([tmp_path / 'empty'])
    with pytest.raises(FileNotFoundError, match='nowhere'):
        read_study([run, tmp_path / 'nowhere'])
    with pytest.raises(FileNotFoundError, match='neither a work directory nor a checkpoint'):
        read_study([run], teacher=tmp_path / 'teacher.pth')


def test_twenty_methods_can_be_told_apart(tmp_path):
    study = read_study([write_run(tmp_path / f'm{i}', f'm{i}', distilled(1.0 + i))
                        for i in range(20)])
    assert len({(m.colour, m.dash) for m in study.methods}) == 20

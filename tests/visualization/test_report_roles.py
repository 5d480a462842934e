"""Studies with several teachers or architectures: nobody is compared with another's."""
import pytest

from ctkd_det.visualization.report.per_class import per_class_differences
from ctkd_det.visualization.report.results import headline, results
from ctkd_det.visualization.report.settings import config_differences
from ctkd_det.visualization.report.study import read_study
from ctkd_det.visualization.report.study_predictions import StudyPredictions, TeacherMetrics
from studies import STUDENT, distilled, write_run

RETINA = dict(type='RetinaNet', backbone=dict(type='ResNet', depth=18))


def rows_of(study, teacher=None):
    return {row['name']: row for row in results(study, teacher)}


def classes(cat):
    return [{'coco/cat_precision': cat, 'step': 2}]


@pytest.fixture
def two_teachers(tmp_path):
    """KD from R50 ends at 25 and from R101 at 35; the teachers have 30 and 40."""
    paths = [write_run(tmp_path / 'student', 'student', STUDENT, (.1, .2))]
    for depth, value, own in ((50, .30, .25), (101, .40, .35)):
        teacher = write_run(tmp_path / f'r{depth}', f'r{depth}', dict(
            STUDENT, backbone=dict(type='ResNet', depth=depth)), (.1, value))
        model = distilled(ckpt=str(teacher / 'epoch_2.pth'))
        paths += [teacher, write_run(tmp_path / f'kd_r{depth}', f'kd_r{depth}', model, (.1, own))]
    return paths


def test_the_student_alone_may_say_the_same_in_other_words(tmp_path):
    """Without what MMEngine marks in a base ``mmdet::...``, and as a pure-Python config's dump."""
    marked = dict(distilled(), neck=dict(type='FPN', strides=(4, 8), _scope_='mmdet'),
                  _scope_='mmdet')
    pure = dict(STUDENT, type='mmdet.models.FasterRCNN',
                neck=dict(type='mmdet.models.FPN', strides=[4, 8]))
    study = read_study([write_run(tmp_path / 'kd', 'kd', marked),
                        write_run(tmp_path / 'alone', 'alone', pure)])
    assert [(m.name, m.role) for m in study.methods] == [
        ('alone', 'baseline'), ('kd', 'distilled')] and study.notes == []
    assert {row['key'] for row in config_differences(study)} == {
        'model.type', 'model.teacher_config', 'model.teacher_ckpt',
        'model.distill_losses.loss_kd.type', 'model.distill_losses.loss_kd.temperature'}
    same = [write_run(tmp_path / f's{i}' / 'x', 'x', model, seed=i) for i, model in enumerate((
        dict(STUDENT, _scope_='mmdet'), STUDENT, dict(STUDENT, type='mmdet.models.FasterRCNN')))]
    assert [len(m.runs) for m in read_study(same).methods] == [3]


@pytest.mark.parametrize('baseline', ['', 'student'])
def test_a_folder_of_methods_with_their_seeds(tmp_path, baseline):
    """As tools/reproduce_coco.sh writes them; the one of the baseline can be named."""
    for seed in (0, 1):
        write_run(tmp_path / 'student' / f'seed_{seed}', 'student', STUDENT, seed=seed)
        write_run(tmp_path / 'ctkd' / f'seed_{seed}', 'ctkd', distilled(), seed=seed)
    study = (read_study([tmp_path / 'ctkd'], baseline=tmp_path / 'student') if baseline else
             read_study([tmp_path]))
    assert [(m.name, m.role, len(m.runs)) for m in study.methods] == [
        ('student', 'baseline', 2), ('ctkd', 'distilled', 2)] and study.notes == []
    with pytest.raises(ValueError, match='holds several methods, (ctkd, student|student, ctkd): '):
        read_study([tmp_path], baseline=tmp_path)


def test_each_is_compared_with_its_own_teacher(two_teachers):
    study = read_study(two_teachers)
    assert [(m.name, m.role) for m in study.methods] == [
        ('student', 'baseline'), ('kd_r101', 'distilled'), ('kd_r50', 'distilled'),
        ('r101', 'teacher'), ('r50', 'teacher')]
    rows = rows_of(study)
    assert rows['kd_r101']['behind'] == pytest.approx(-5) == rows['kd_r50']['behind']
    assert rows['student']['behind'] is None
    assert headline(list(rows.values()))[0].endswith('5.0 below the teacher.')
    assert study.notes == [
        'There are several teachers: kd_r101 learned from r101, kd_r50 learned from r50. Each '
        'method is compared with its own; images and probabilities are of r101.']
    assert (study.learner.name, study.teacher.name) == ('kd_r101', 'r101')
    named = read_study(two_teachers, teacher=two_teachers[1])
    assert (named.learner.name, named.teacher.name) == ('kd_r50', 'r50')
    assert rows_of(named)['kd_r101']['behind'] == pytest.approx(-5)


def test_the_evaluated_teacher_is_that_of_its_own_students(two_teachers):
    student, _, kd_r50, _, kd_r101 = two_teachers
    study = read_study([student, kd_r50, kd_r101])  # no teacher's training
    rows = rows_of(study, TeacherMetrics(dict(mAP=40.0), 'all 9 images', complete=True))
    assert study.teacher is None and study.learner.name == 'kd_r101'
    assert rows['kd_r101']['behind'] == pytest.approx(-5) and rows['kd_r50']['behind'] is None


def test_a_teacher_that_has_moved_is_that_of_all(two_teachers, tmp_path):
    student, _, kd_r50, _, kd_r101 = two_teachers
    moved = write_run(tmp_path / 'moved', 'moved', RETINA, (.1, .5))
    study = read_study([student, kd_r50, kd_r101], teacher=moved)
    assert [rows_of(study)[name]['behind'] for name in ('kd_r50', 'kd_r101')] == pytest.approx(
        [-25, -15])
    assert 'moved was taken for the only teacher' in study.notes[0]


def test_one_that_teaches_itself_hides_no_teacher(tmp_path):
    teacher = write_run(tmp_path / 'big', 'big', RETINA, (.1, .5))
    kd = write_run(tmp_path / 'kd', 'kd', distilled(ckpt=str(teacher / 'epoch_2.pth')), (.1, .3))
    model = dict(distilled(config='refined'), teacher_ckpt=None)
    study = read_study([teacher, kd, write_run(tmp_path / 'frskd', 'frskd', model, (.1, .4))])
    assert study.learner.name == 'kd' and study.notes[0].startswith('There are no gains')
    assert rows_of(study)['kd']['behind'] == pytest.approx(-20)


def two_architectures(folder):
    kd_retina = dict(RETINA, type='KnowledgeDistillationDenseDetector', teacher_config='x.py',
                     teacher_ckpt='nowhere/teacher.pth', distill_losses={})
    return [write_run(folder / 'faster', 'faster', STUDENT, (.1, .20), records=classes(.2)),
            write_run(folder / 'faster_kd', 'faster_kd', distilled(), (.1, .22),
                      records=classes(.25)),
            write_run(folder / 'retina', 'retina', RETINA, (.1, .30), records=classes(.3)),
            write_run(folder / 'retina_kd', 'retina_kd', kd_retina, (.1, .31),
                      records=classes(.32))]


def test_each_is_compared_with_its_own_architecture(tmp_path):
    study = read_study(two_architectures(tmp_path))
    rows = rows_of(study)
    assert rows['retina_kd']['gain'].mean == pytest.approx(1)
    assert rows['faster_kd']['gain'].mean == pytest.approx(2)
    assert headline(list(rows.values()))[0] == (
        'retina_kd: 31.0 mAP, +1.0 over the student alone (1 seed).')
    assert study.notes == [] and study.baseline.name == 'retina'
    assert len({(m.colour, m.dash) for m in study.methods}) == 4
    found = per_class_differences(study, StudyPredictions(study, 0, 'cpu')).differences
    assert {m.name: d['cat'][0] for m, d in found.items()} == pytest.approx(
        dict(retina_kd=2, faster_kd=5))


def test_a_class_without_objects_is_named(tmp_path):
    """Its AP is NaN in the log of every run; one that some run has is another matter."""
    record = {'coco/ring_precision': float('nan'), 'coco/star_precision': .2, 'step': 2}
    runs = [write_run(tmp_path / name, name, model, (.1, .2), records=[
        dict(record, **{'coco/moon_precision': moon})])
        for name, model, moon in (('student', STUDENT, float('nan')), ('kd', distilled(), .3))]
    study = read_study(runs)
    found = per_class_differences(study, StudyPredictions(study, 0, 'cpu'))
    assert [list(d) for d in found.differences.values()] == [['star']]
    assert found.notes == ['No image has an object of ring: no AP, and mAP is that of the other '
                           'classes.']


def test_one_without_a_plain_detector_of_its_architecture_has_no_gain(tmp_path):
    faster, faster_kd, _, retina_kd = two_architectures(tmp_path)
    study = read_study([faster, faster_kd, retina_kd])
    assert rows_of(study)['retina_kd']['gain'] is None
    assert rows_of(study)['faster_kd']['gain'].mean == pytest.approx(2)
    assert 'There is no gain for retina_kd: ' in study.notes[0]
    named = read_study([faster, faster_kd, retina_kd], baseline=faster)
    assert rows_of(named)['retina_kd']['gain'].mean == pytest.approx(11) and named.notes == []


def test_of_two_plain_detectors_of_one_architecture_the_first_is_the_baseline(tmp_path):
    study = read_study([write_run(tmp_path / 'a', 'a', STUDENT, (.1, .2), lr=1),
                        write_run(tmp_path / 'b', 'b', STUDENT, (.1, .3), lr=2),
                        write_run(tmp_path / 'kd', 'kd', distilled(), (.1, .25))])
    assert study.baseline.name == 'a' and rows_of(study)['b']['gain'].mean == pytest.approx(10)
    assert 'a and b are plain detectors of the same architecture; a was taken' in study.notes[0]


def test_a_repeated_seed_has_its_own_values_and_a_note(tmp_path):
    study = read_study([
        write_run(tmp_path / 'student', 'student', STUDENT, (.1, .2), records=classes(.2)),
        write_run(tmp_path / 'a' / 'kd', 'kd', distilled(), (.1, .2), records=classes(.1)),
        write_run(tmp_path / 'b' / 'kd', 'kd', distilled(), (.1, .2), records=classes(.5))])
    (method, found), = per_class_differences(
        study, StudyPredictions(study, 0, 'cpu')).differences.items()
    assert found['cat'] == pytest.approx((10, -10, 30))
    assert [run.name for run in method.runs] == ['kd, seed 0 (a/kd)', 'kd, seed 0 (b/kd)']
    assert study.notes == ['The runs a/kd and b/kd of kd have the same seed, 0. They count as '
                           'several, but their difference is not one between seeds.']


def test_methods_of_one_name_have_the_path_from_where_it_parts(tmp_path):
    paths = [write_run(tmp_path / exp / name, 'kd', distilled(tau), seed=seed)
             for exp, tau in (('exp1', 1.0), ('exp2', 2.0))
             for name, seed in (('kd_s0', 0), ('kd_s1', 1))]
    assert {m.name for m in read_study(paths).methods} == {'kd (exp1/kd)', 'kd (exp2/kd)'}
    alone = {m.name for m in read_study(paths[::2]).methods}
    assert alone == {'kd (exp1/kd_s0)', 'kd (exp2/kd_s0)'}


def test_two_methods_cannot_be_called_the_same(tmp_path):
    paths = [write_run(tmp_path / f'kd{tau}', f'kd{tau}', distilled(tau)) for tau in (2, 3)]
    with pytest.raises(ValueError, match='another method is called KD'):
        read_study(paths, names=['kd2=KD', 'kd3=KD'])

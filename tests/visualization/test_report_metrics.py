"""Whatever a validation has logged is shown, under a name that says what it is."""
import math

import pytest

from ctkd_det.visualization.report import write_report
from ctkd_det.visualization.report.evaluation import logged_per_class
from ctkd_det.visualization.report.metrics import Metric, class_names, find_metrics
from ctkd_det.visualization.report.results import headline, results
from ctkd_det.visualization.report.study import read_study
from studies import STUDENT, distilled, write_run


def titles(*runs):
    return [m.title for m in find_metrics(runs)]


def test_coco_has_short_titles_whatever_its_prefix():
    ours = {'mine/bbox_mAP': ([1], [.2]), 'mine/bbox_mAP_50': ([1], [.3]), 'loss': ([1], [1.])}
    theirs = {'coco/bbox_mAP': ([1], [.1]), 'coco/segm_mAP': ([1], [.1]),
              'coco/ring_precision': ([1], [.5])}
    assert titles(ours, theirs) == ['mAP', 'AP50', 'mask mAP']
    first = find_metrics([ours, theirs])[0]
    assert first.key(ours) == 'mine/bbox_mAP' and first.key(theirs) == 'coco/bbox_mAP'


def test_names_of_classes_may_have_slashes(tmp_path):
    logged = {'bus/truck_precision': .25, 'car_precision': .5, 'bbox_mAP': .375}
    for prefix, expected in ((['coco'], {'bus/truck': 25, 'car': 50}),
                             (['city/coco', 'field/coco'], None)):
        record = {f'{p}/{name}': value for p in prefix for name, value in logged.items()}
        found = study(tmp_path / prefix[0], [dict(record, step=2)])
        assert logged_per_class(found.methods[0].runs[0]) == expected
        assert len(found.metrics) == len(prefix) and found.metrics[0].title.endswith('mAP')
    nested = {'coco/bbox_mAP': ([1], [.1]), 'coco/x/bbox_mAP': ([1], [.1]),
              'coco/x/a_precision': ([1], [.1])}
    assert class_names(nested) == {'coco/x/a_precision': ('coco/x', 'a')}


def test_several_validation_sets_keep_their_prefixes():
    both = {f'{name}/coco/bbox_mAP': ([1], [.2]) for name in ('city', 'field')}
    assert titles(both) == ['city/coco: mAP', 'field/coco: mAP']
    assert [m.key(both) for m in find_metrics([both])] == list(both)


def test_others_bear_their_own_names_and_only_shares_are_in_percent():
    voc = {'pascal_voc/AP50': ([1], [.2]), 'pascal_voc/mAP': ([1], [.3]),
           'mine/count': ([1], [37.0]), 'mine/error': ([1], [.25])}
    assert {m.title: m.percent for m in find_metrics([voc])} == {
        'pascal_voc/mAP': True, 'pascal_voc/AP50': True, 'mine/count': False, 'mine/error': False}
    assert titles(voc)[0] == 'pascal_voc/mAP'


@pytest.mark.parametrize('value, percent, shown', [
    (.25, True, 25), (-1., True, None), (math.nan, True, None), (math.inf, False, None),
    (-3., False, -3.)])
def test_what_was_not_measured_is_not_shown(value, percent, shown):
    assert Metric('m', 'm', None, percent).shown(value) == shown


def study(folder, records):
    return read_study([write_run(folder / 'kd', 'kd', distilled(), (), records=records)])


@pytest.mark.parametrize('records, said', [
    ([{'mine/bbox_mAP': .25, 'step': 2}], 'kd: 25.0 mAP.'),
    ([{'pascal_voc/mAP': .25, 'step': 2}], 'kd: 25.0 pascal_voc/mAP.'),
    ([{'mine/count': 37.125, 'step': 2}], 'kd: 37.12 mine/count.'),
    ([{'a/coco/bbox_mAP': .25, 'b/coco/bbox_mAP': .5, 'step': 2}], 'kd: 25.0 a/coco: mAP.')])
def test_the_headline_has_a_value_of_it(tmp_path, records, said):
    assert headline(results(study(tmp_path, records), None))[0] == said


@pytest.mark.parametrize('value, said', [(math.nan, 'mAP is NaN at epoch 2'),
                                         (-1.0, 'mAP is -1 at epoch 2')])
def test_what_the_last_validation_could_not_measure_is_said(tmp_path, value, said):
    records = [{'coco/bbox_mAP': .2, 'step': 1}, {'coco/bbox_mAP': value, 'step': 2}]
    page = write_report([write_run(tmp_path / 'kd', 'kd', distilled(), (), records=records)],
                        tmp_path / 'r.html', val_images=0).read_text()
    assert 'not validated' not in page and 'no validation metric' not in page
    assert f'kd: {said}.' in page
    assert '"y":[20.0,null]' in page.replace(' ', '')  # what was measured before is drawn


def test_differences_have_the_digits_of_their_metric(tmp_path):
    """F1 is logged as a fraction and shown as one."""
    def run(name, model, value):
        return write_run(tmp_path / name, name, model, (), records=[{'my/F1': value, 'step': 2}])

    runs = [run('student', STUDENT, .55), run('kd', distilled(), .584),
            run('late', distilled(2.0), .5521)]
    assert headline(results(read_study(runs), None)) == [
        'kd: 0.584 my/F1, +0.034 over the student alone (1 seed).',
        'Its lead of 0.0319 over late rests on one seed each.']
    page = write_report(runs, tmp_path / 'r.html', val_images=0).read_text()
    assert '+0.0021' in page and 'seed 0: +0.034' in page


def test_a_metric_called_like_a_class_is_one_unless_coco_stands_beside_it():
    own = {'my/mean_precision': ([1], [.5]), 'my/mean_recall': ([1], [.4])}
    assert titles(own) == ['my/mean_precision', 'my/mean_recall']
    both = {**own, 'coco/bbox_mAP': ([1], [.1]), 'coco/ring_precision': ([1], [.5])}
    assert titles(both) == ['mAP', 'my/mean_precision', 'my/mean_recall']

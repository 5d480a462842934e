"""What the benches are made of: configs, methods, tables, temperatures of their own."""
import json
import sys

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from scipy import stats

from helpers import ROOT

BENCHMARKS = ROOT / 'tools' / 'benchmarks'
EVIDENCE = ROOT / 'docs' / 'evidence'
sys.path.insert(0, str(BENCHMARKS))

import noisy_labels  # noqa: E402
import recipe_search  # noqa: E402
import recipe_table  # noqa: E402
from benches import PAIRS, student_config, teacher_config, trunk_config  # noqa: E402
from formulations import LogTemperature, TeacherScaleTemperature  # noqa: E402
from recipes import FEATURES, JOINED, METHODS, additions  # noqa: E402
from temperature_gradient import GRID, student_gradient  # noqa: E402

from ctkd_det.models import KDLoss  # noqa: E402


def test_the_students_gradient_is_that_of_the_loss():
    generator = torch.Generator().manual_seed(0)
    s, t = 3 * torch.randn(2, 40, 9, generator=generator, dtype=torch.float64)
    s.requires_grad_()
    chosen = torch.arange(40) < 30
    norms = student_gradient(dict(student=s, teacher=t), chosen)
    for tau, norm in list(zip(GRID, norms, strict=True))[::8]:
        (gradient, ) = torch.autograd.grad(KDLoss(float(tau))(s, t, torch.zeros(40).long()), s)
        # the loss is a mean over 40 RoIs
        assert norm == pytest.approx(40 * gradient[:30].norm(dim=1).mean().item(), rel=1e-6)


def test_curves_are_means_over_the_same_seeds(tmp_path):
    path = tmp_path / 'results.jsonl'
    path.write_text(''.join(
        json.dumps(dict(method=method, seed=seed, mAP=end, temperatures={},
                        mAP_by_epoch=[[1, end / 2], [2, end]])) + '\n'
        for method, ends in (('student', [0.2, 0.3]), ('ctkd', [0.4, 0.5, 0.9]), ('kd_tau1', [0.9]))
        for seed, end in enumerate(ends)))
    results = recipe_table.read(path)
    assert recipe_table.curve_table(results, 'student') == [
        '| epoch | 1 | 2 |', '| --- | --- | --- |',
        '| ctkd | 22.5 | 45.0 |', '| student | 12.5 | 25.0 |']
    recipe_table.plot_curves(results, 'student', tmp_path / 'curves.png')
    assert (tmp_path / 'curves.png').stat().st_size > 5000


def test_the_benches_are_the_students_on_other_images():
    """What the results of docs/evidence were made with."""
    student, warm = student_config('shapes'), student_config('shapes_b_warm')
    assert [student.max_epochs, student.train_cfg.max_epochs, student.param_scheduler[0].end] == [
        3] * 3 and student.param_scheduler[0].type == 'CosineAnnealingLR'
    assert student.train_dataloader.dataset.data_root == 'data/shapes_bench/'
    assert student.val_evaluator.ann_file == 'data/shapes_bench/val.json'
    assert [s.end for s in warm.param_scheduler] == [200, 8] and warm.train_cfg.val_interval == 2
    for cfg, channels in ((warm, 10), (teacher_config('shapes_b'), 24)):
        model = MODELS.build(cfg.model)
        assert model.backbone.base_channels == channels
        assert model.roi_head.bbox_head.num_classes == 5
        assert cfg.train_dataloader.dataset.metainfo.classes[-1] == 'circle'
    trunk = trunk_config('shapes')
    assert trunk.max_epochs == 12 and [s.type for s in trunk.param_scheduler] == ['LinearLR']
    assert teacher_config('shapes') is None


def test_the_single_stage_bench_has_losses_for_it(tmp_path):
    run = recipe_search.branch('shapes_gfl', 'ctkd+ctkd_ld', 0, tmp_path)
    cfg = Config.fromfile(run.config)
    assert cfg.model.type == 'KnowledgeDistillationDenseDetector'
    assert {name: loss.type for name, loss in cfg.model.distill_losses.items()} == dict(
        loss_ctkd='BinaryKDLoss', loss_ld='LDLoss')
    own, = recipe_search.teacher('shapes_gfl', tmp_path)
    assert cfg.model.teacher_config == str(own.config)
    for model, width in ((cfg.model, 8), (Config.fromfile(own.config).model, 32)):
        assert model.backbone.base_channels == width and model.bbox_head.reg_max == 16
    alone = recipe_search.branch('shapes_gfl', 'student', 0, tmp_path)
    init_default_scope('mmdet')
    student = MODELS.build(Config.fromfile(alone.config).model)
    assert type(student).__name__ == 'GFL' and not hasattr(student, 'roi_head')


def test_wrong_labels():
    """A share of the objects, any other class, the same draws for each share."""
    def labels(share, seed=0):
        data = dict(categories=[dict(id=i) for i in (3, 7, 50, 51)],
                    annotations=[dict(id=i, bbox=[0, 0, 1, 1], category_id=7)
                                 for i in range(10000)])
        flipped = noisy_labels.flip(data, share, seed)
        ids = np.array([annotation.pop('category_id') for annotation in data['annotations']])
        assert flipped == (ids != 7).sum()
        assert data['annotations'][9] == dict(id=9, bbox=[0, 0, 1, 1])
        return ids

    ids = labels(0.2)
    # 2,000 expected, a standard deviation of 40; a third of them each, deviation 26
    assert abs((ids != 7).sum() - 2000) < 160
    assert all(abs((ids == other).sum() - 2000 / 3) < 104 for other in (3, 50, 51))
    assert (labels(0) == 7).all() and (labels(1) != 7).all()
    more = labels(0.4)
    assert (more[ids != 7] == ids[ids != 7]).all()
    assert (labels(0.2, seed=1) != ids).any()


def test_the_table_pairs_seeds(tmp_path):
    student, kd = [0.30, 0.32, 0.31], [0.35, 0.36, 0.37]
    path = tmp_path / 'results.jsonl'
    path.write_text(''.join(
        json.dumps(dict(method=method, seed=seed, mAP=mAP, temperatures={}, minutes=1.0)) + '\n'
        for method, values in (('student', student), ('kd_tau1', [0.9, *kd]))
        for seed, mAP in enumerate(values, start=3 - len(values) + 1)))
    rows = recipe_table.table(recipe_table.read(path), ['student'])
    p = stats.ttest_rel(kd, student).pvalue
    assert f'+5.0 (p {p:.2g})' in rows[2]  # the seed that only one of them has is left out
    assert rows[3].startswith('| student | 3 | 31.0 | 1.00 |')


def test_seeds_needed_are_those_of_the_textbooks():
    # Cohen's d of 0.5, 0.8 and 1 at 5 % and 80 % power, as G*Power gives them for paired tests
    assert [recipe_table.seeds_needed(1 / d, 1.0) for d in (0.5, 0.8, 1.0)] == [34, 15, 10]


def test_the_spread_is_pooled_over_methods():
    runs = dict(student=[0, 0, 0], a=[1, 2, 3], b=[4, 4, 7], once=[9])
    results = {name: {seed: dict(mAP=mAP / 100) for seed, mAP in enumerate(mAPs)}
               for name, mAPs in runs.items()}
    # squares 1 + 0 + 1 and 1 + 1 + 4 about the means, 2 + 2 degrees of freedom
    assert recipe_table.spread(results, 'student') == pytest.approx(np.sqrt(8 / 4))


@pytest.mark.parametrize('bench', sorted(path.stem for path in EVIDENCE.glob('shapes*.jsonl')))
def test_the_page_shows_the_results_as_they_are(bench):
    results = recipe_table.read(EVIDENCE / f'{bench}.jsonl')
    assert results.keys() <= {'student', *METHODS, *JOINED}
    pages = '\n'.join(page.read_text(encoding='utf-8') for page in EVIDENCE.glob('*.md'))
    others = ['ld_tau10'] if bench == 'shapes_gfl' else ['kd_tau1', 'kd_tau4']
    for row in recipe_table.table(results, ['student', *others]):
        assert row in pages


def test_students_that_teach_themselves(tmp_path):
    """Each with the teacher that it is, snapshots in two cycles of the bench's three epochs."""
    for method, teacher in (('ctkd+snapshot', 'snapshot'), ('kd_tau1+frskd', 'refined'),
                            ('ctkd', None)):
        run = recipe_search.branch('shapes_scratch', method, 0, tmp_path)
        cfg = Config.fromfile(run.config)
        assert ('teacher_ckpt' in cfg.model) == (teacher is None)
        assert teacher is None or cfg.model.teacher_config == teacher
        cycles = [hook.cycle for hook in cfg.custom_hooks if hook.type == 'SnapshotHook']
        half = cfg.train_cfg.max_epochs // 2
        assert cycles == ([half] if teacher == 'snapshot' else [])
        assert (cfg.param_scheduler[0].get('periods') == [half, cfg.max_epochs - half]) == bool(
            cycles)


@pytest.mark.parametrize('method', METHODS)
def test_every_method_is_a_shipped_fragment(method):
    added = additions(method, num_classes=8)
    loss, *more = added['distill_losses'].values()
    assert bool(more) == method.startswith(('dtkd', 'frskd', 'sskd', 'ld_vlr'))
    learned = isinstance(loss.get('temperature'), dict) and not more
    hooks = [hook['type'] for hook in added['custom_hooks']]
    assert ('CurriculumHook' in hooks) == learned and 'CheckDataHook' in hooks
    if method.startswith('kd_tau'):
        assert loss['temperature'] == float(method.split('_')[1].removeprefix('tau'))
    assert not learned or loss['temperature'].get('num_classes', 8) == 8


@pytest.mark.parametrize('name', FEATURES)
def test_features_stand_beside_kd_and_ctkd(name):
    """Both losses keep their settings, each hook stands once, theta keeps its multiplier."""
    alone, ctkd = (additions(method, num_classes=8) for method in (name, 'ctkd'))
    joined = additions(f'ctkd+{name}', num_classes=8)
    assert joined['distill_losses'] == {**ctkd['distill_losses'], **alone['distill_losses']}
    assert [hook['type'] for hook in joined['custom_hooks']] == ['CurriculumHook', 'CheckDataHook']
    keys = joined['paramwise_cfg']['custom_keys']
    assert keys.items() >= ctkd['paramwise_cfg']['custom_keys'].items()
    assert ('raw_variances' in keys) == (name == 'vid')
    kd = additions(f'kd_tau1+{name}', num_classes=8)
    assert kd['distill_losses']['loss_kd']['temperature'] == 1.0
    MODELS.build(dict(kd['distill_losses'][f'loss_{name}'], student_channels=8,
                      teacher_channels=16))


def test_a_method_may_change_one_of_its_losses():
    """The paper's values of DTKD: a temperature of 4 in both, weights of 3 and 1."""
    dtkd, kd = additions('dtkd_paper', num_classes=8)['distill_losses'].values()
    assert (dtkd['loss_weight'], kd['loss_weight']) == (3, 1)
    assert dtkd['temperature'] == dict(type='DTKDTemperature', temperature=4, tau_min=0.5)
    assert kd['temperature'] == 4


def test_a_method_may_change_the_curriculum_and_how_theta_is_optimised():
    def change(method):
        added = additions(method, num_classes=8)
        hook, _ = added['custom_hooks']
        return hook, added['paramwise_cfg']['custom_keys']['temperature']
    hook, theta = change('ctkd')
    assert change('ctkd_lambda4') == (dict(hook, lambda_max=4.0), theta)
    assert change('ctkd_end1') == (dict(hook, end=1), theta)
    assert change('ctkd_lr1') == (hook, dict(theta, lr_mult=1.0))
    assert change('ctkd_decay1') == (hook, dict(theta, decay_mult=1.0))
    assert theta == dict(lr_mult=0.05, decay_mult=0.0)


def test_the_logarithm_lies_between_the_bounds():
    temperature = LogTemperature()
    temperature.grl.lambda_ = 1.0
    tau = temperature(torch.zeros(3, 9), torch.zeros(3, 9), torch.zeros(3))
    tau.sum().backward()
    # d tau / d theta = tau log(tau_max / tau_min) / 4 in the middle, reversed
    assert tau.item() == 1.0 and temperature.theta.grad.item() == pytest.approx(-np.log(4) / 4)
    for theta, end in ((-40.0, 0.5), (40.0, 2.0)):
        temperature.theta.data.fill_(theta)
        assert temperature(None, None, None).item() == pytest.approx(end)


def test_the_range_is_in_units_of_the_teachers_logits():
    temperature, labels = TeacherScaleTemperature(momentum=0.25), torch.zeros(2)
    rows = torch.tensor([[-3.0, 3.0], [-5.0, 5.0]])  # deviations 3 and 5, by hand
    assert temperature(rows, rows, labels).item() == pytest.approx(4.0 / 4)
    # then 4 and 8, a quarter of the way
    assert temperature(rows, 2 * rows, labels).item() == pytest.approx(5.0 / 4)
    assert temperature(rows[:0], rows[:0], labels[:0]).item() == pytest.approx(5.0 / 4)
    for theta, share in ((-40.0, 0.125), (40.0, 1.0)):
        temperature.theta.data.fill_(theta)
        assert temperature(rows[:0], rows[:0], labels).item() == pytest.approx(5.0 * share)


@pytest.mark.parametrize('bench', ['deeppcb', 'neu_det', 'coco_real'])
def test_real_benches_build(bench):
    """Both detectors of a pair of real images, and a second one of each from the same settings."""
    student, *teachers = student_config(bench), teacher_config(bench), teacher_config(bench)
    assert teachers[0].model == teachers[1].model
    teacher = teachers[0]
    assert teacher.model.backbone.pop('init_cfg')['type'] == 'Pretrained'
    detectors = [MODELS.build(cfg.model) for cfg in (student, teacher)]
    sizes = [sum(p.numel() for p in detector.parameters()) for detector in detectors]
    # the student of photographs is wider
    assert sizes[1] > (2 if bench == 'coco_real' else 10) * sizes[0]
    for cfg, detector in zip((student, teacher), detectors, strict=True):
        classes = cfg.train_dataloader.dataset.metainfo.classes
        assert detector.roi_head.bbox_head.num_classes == len(classes) == len(PAIRS[bench].classes)
        strides = [stride[0] for stride in detector.rpn_head.prior_generator.strides]
        assert strides == detector.roi_head.bbox_roi_extractor.featmap_strides
        assert cfg.train_dataloader.dataset.data_prefix.img == 'images/'

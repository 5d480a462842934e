"""Work directories as mmengine leaves them, without the training."""
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from mmengine.config import Config

from ctkd_det.visualization.report import predictions
from ctkd_det.visualization.report.detectors import detector_of
from ctkd_det.visualization.report.evaluation import annotations
from ctkd_det.visualization.report.matching import ground_truth
from ctkd_det.visualization.report.runs import read_run

STUDENT = dict(type='FasterRCNN', backbone=dict(type='ResNet', depth=18),
               neck=dict(type='FPN'), roi_head=dict(type='StandardRoIHead'))


def distilled(temperature=1.0, name='loss_kd', **teacher) -> dict:
    """The model of a distilled student."""
    return dict(STUDENT, type='KnowledgeDistillationTwoStageDetector',
                teacher_config=teacher.get('config', 'nowhere/teacher.py'),
                teacher_ckpt=teacher.get('ckpt', 'nowhere/teacher.pth'),
                distill_losses={name: dict(type='KDLoss', temperature=temperature)})


def write_run(work_dir: Path, stem: str, model: dict, maps=(0.1, 0.2), seed=0, max_epochs=2,
              records=(), **config) -> Path:
    """A run that was validated after each epoch with these mAPs (as fractions)."""
    part = work_dir / '20260101_000000'
    (part / 'vis_data').mkdir(parents=True)
    cfg = Config(dict(model=model, train_cfg=dict(type='EpochBasedTrainLoop',
                                                  max_epochs=max_epochs),
                      randomness=dict(seed=seed), work_dir=str(work_dir), **config))
    cfg.dump(work_dir / f'{stem}.py')
    cfg.dump(part / 'vis_data' / 'config.py')
    lines = [dict(lr=.01, loss=2.0 - i / 10, loss_cls=1.0, epoch=1, step=10 * i)
             for i in range(1, 4)]
    lines += [{'coco/bbox_mAP': value, 'coco/bbox_mAP_50': 2 * value, 'coco/bbox_mAP_l': -1.0,
               'step': epoch} for epoch, value in enumerate(maps, 1)]
    (part / 'vis_data' / 'scalars.json').write_text(
        '\n'.join(json.dumps(line) for line in [*lines, *records]) + '\n')
    (part / '20260101_000000.log').write_text(
        'System environment:\n    Python: 3.12.1\n    PyTorch: 2.9.0\n\n'
        'Runtime environment:\n    seed: 77\n')
    return work_dir


def find_all(work_dir):
    """Keep for a run that it finds each object: one that is hardly trained finds none."""
    detector = detector_of(read_run(work_dir))
    found = predictions.predict(detector, 500, 'cpu')
    objects = [ground_truth(annotations(found.ann_file), found, index)
               for index in range(len(found.image_ids))]
    labels = np.concatenate([each.labels for each in objects])
    image = np.repeat(np.arange(len(objects)), [len(each.labels) for each in objects])
    (kept, ) = detector.cache.glob('*.npz')
    predictions._save(replace(
        found, image=image, bboxes=np.concatenate([each.bboxes for each in objects]),
        labels=labels, scores=np.ones(len(labels))), kept)

"""Trains shipped configs for a step, each inherited by package name from a user's own file.

    python inherit_worker.py DATA NAME ...

Runs in a folder outside the checkout with an installed package. DATA is a folder with
``train/``, ``train.json``, whose categories are COCO's, and ``shapes.json``, with its own.
"""
import functools
import sys
import tempfile
from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

import ctkd_det

sys.path.insert(0, str(Path(__file__).parents[1]))

import quick_mmengine  # noqa: E402, F401

STUDENTS = {
    False: ('ctkd_det::students/faster-rcnn_r18_fpn_1x_coco.py',
            'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', 'TwoStage'),
    True: ('ctkd_det::students/retinanet_r18_fpn_1x_coco.py',
           'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py', 'Dense')}
FRAGMENT = """\
_base_ = ['{student}', 'ctkd_det::{name}']
model = dict(
    type='KnowledgeDistillation{kind}Detector', teacher_config='{teacher}',
    teacher_ckpt='{teacher}', distill_losses=_base_.distill_losses)
"""
PARAMWISE = 'optim_wrapper = dict(paramwise_cfg=_base_.temperature_paramwise)\n'


def text_of(name: str) -> str:
    """What the user writes."""
    if '/distill/' not in name:
        return f"_base_ = 'ctkd_det::{name}'\n"
    fragment = get_config(f'ctkd_det::{name}')
    sigmoids = any(getattr(MODELS.get(loss['type']), 'for_sigmoids', False)
                   for loss in fragment.distill_losses.values())
    student, teacher, kind = STUDENTS[sigmoids]
    text = FRAGMENT.format(student=student, teacher=teacher, kind=kind, name=name)
    return text + (PARAMWISE if 'temperature_paramwise' in fragment else '')


@functools.cache
def weights_of(teacher_config: str) -> str:
    """A checkpoint with random weights, because nothing can be downloaded here."""
    read = get_config if '::' in teacher_config else Config.fromfile
    path = Path(tempfile.mkdtemp()) / 'teacher.pth'
    torch.save(MODELS.build(read(teacher_config).model).state_dict(), path)
    return str(path)


def small(cfg: Config, data: str) -> None:
    """One step on two small images."""
    cfg.model.backbone.init_cfg = None
    if 'teacher_ckpt' in cfg.model:
        cfg.model.teacher_ckpt = weights_of(cfg.model.teacher_config)
    loader = cfg.train_dataloader
    loader.update(batch_size=2, num_workers=0, persistent_workers=False)
    loader.dataset.update(data_root=data, ann_file='train.json', data_prefix=dict(img='train/'))
    if 'metainfo' in loader.dataset:  # the embedded example's classes
        loader.dataset.ann_file = 'shapes.json'
    for transform in loader.dataset.pipeline:
        if transform['type'] == 'Resize':
            transform['scale'] = (128, 128)
    cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.test_cfg = cfg.test_dataloader = cfg.test_evaluator = None
    cfg.param_scheduler = None
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', interval=-1, save_last=False)
    cfg.work_dir = tempfile.mkdtemp()


def main(data: str, *names: str) -> None:
    init_default_scope('mmdet')
    print(ctkd_det.__file__)
    for number, name in enumerate(names):
        mine = Path(f'mine_{number}.py')
        mine.write_text(text_of(name), encoding='utf-8')
        cfg = Config.fromfile(mine)
        small(cfg, data)
        cfg.experiment_name = f'mine_{number}'
        runner = Runner.from_cfg(cfg)
        runner.train()
        assert runner.iter == 1, name
        logged = runner.message_hub.log_scalars
        for loss in cfg.model.get('distill_losses', {}):
            assert any(key.endswith(loss) for key in logged), (name, loss, list(logged))
        print('trained', name, flush=True)


if __name__ == '__main__':
    main(*sys.argv[1:])

"""What a student's config needs for another data set: heads, loaders, evaluators."""
import copy
from pathlib import Path
from typing import Any, Optional

import click
from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS
from mmengine.config import Config

from ctkd_det.configs import nested_datasets
from ctkd_det_data import CocoFolder, Split
from .source_code import Name

PALETTE = len(CocoDataset.METAINFO['palette'])


def heads_for(head: dict, old: int, new: int) -> dict:
    """What has to be merged into a head so that it has ``new`` classes.

    That is the ``roi_head`` of a two-stage detector, with all its heads, or
    the ``bbox_head`` of a single-stage detector.
    Heads with another number than ``old``, as HTC's for stuff, keep it.
    mmengine replaces lists as a whole: cascades' heads come back complete.

    Raises:
        click.ClickException: if it weighs its classes one by one.
    """
    if _class_weights(head):
        raise click.ClickException(
            f'the student weighs its {old} classes one by one (class_weight in a loss of its '
            f'head), and the data have {new}: give it a class_weight for these in a config of '
            'yours, with num_classes, or none')
    changes = _changed(head, old, new) or {}
    # a head need not state mmdet's default of 80
    if 'bbox_head' not in head:
        changes['num_classes'] = new
    elif isinstance(head['bbox_head'], dict):
        changes.setdefault('bbox_head', {})['num_classes'] = new
    return changes


def _class_weights(config: Any) -> bool:
    """Whether a loss has a list of class weights."""
    if isinstance(config, dict):
        return any(key == 'class_weight' and isinstance(value, (list, tuple))
                   or _class_weights(value) for key, value in config.items())
    return isinstance(config, (list, tuple)) and any(map(_class_weights, config))


def _changed(config: Any, old: int, new: int) -> Optional[Any]:
    if isinstance(config, dict):
        changes = {key: change for key, value in config.items()
                   if (change := _changed(value, old, new)) is not None}
        if config.get('num_classes') == old:
            changes['num_classes'] = new
        return changes or None
    if isinstance(config, (list, tuple)):
        changes = [_changed(value, old, new) for value in config]
        if any(change is not None for change in changes):
            return [_merged(value, change) for value, change in zip(config, changes, strict=True)]
    return None


def _merged(config: Any, changes: Optional[Any]) -> Any:
    if isinstance(config, dict) and changes:
        return {**copy.deepcopy(dict(config)),
                **{key: _merged(config.get(key), value) for key, value in changes.items()}}
    return copy.deepcopy(config) if changes is None else changes


def data_for(student: Config, data: CocoFolder) -> dict:
    """Loaders and evaluators to merge into the student's config.

    Raises:
        click.ClickException: if the config trains on something else than one
            COCO data set, or needs masks that the data do not have.
    """
    masks = _predicts_masks(student.model)
    if masks and not data.train.has_masks:
        raise click.ClickException(f'the student predicts masks, but not every annotation of '
                                   f'{data.train.ann_file} has one: take a box detector')
    metainfo = dict(classes=data.classes)
    if len(data.classes) > PALETTE or _has_palette(student):
        metainfo['palette'] = 'random'
    # of its own for each, since mmengine takes `_delete_` out of what it has read
    evaluator = dict(_delete_=True, type='CocoMetric', ann_file=str(data.val.ann_file),
                     metric=['bbox', 'segm'] if masks else 'bbox')
    blocks = dict(
        data_root=f'{data.root}/', metainfo=metainfo,
        train_dataloader=dict(dataset=_dataset(student.train_dataloader.dataset, data, data.train)))
    if student.get('val_dataloader'):  # who trains without validating goes on so
        blocks.update(
            val_dataloader=dict(dataset=_dataset(student.val_dataloader.dataset, data, data.val)),
            val_evaluator=evaluator)
    if student.get('val_dataloader') and student.get('test_dataloader'):
        blocks.update(test_dataloader=Name('val_dataloader'), test_evaluator=evaluator)
    return blocks


def _has_palette(student: Config) -> bool:
    """Whether a data set has colours of its own, as many as its classes."""
    return any('palette' in (dataset.get('metainfo') or {}) for part in ('train', 'val')
               for dataset in nested_datasets((student.get(f'{part}_dataloader') or {}).get(
                   'dataset')))


def _predicts_masks(model: dict) -> bool:
    """Whether it is a two-stage detector with a mask head, or its one head has a loss of masks."""
    return (model.get('roi_head', {}).get('mask_head') is not None
            or 'loss_mask' in model.get('bbox_head', {}))


def _dataset(config: dict, data: CocoFolder, split: Split) -> dict:
    if config.get('dataset'):  # RepeatDataset, ClassBalancedDataset ...
        return dict(dataset=_dataset(config['dataset'], data, split))
    other = [what for what, there in (
        ('proposals', config.get('proposal_file')),
        ('maps of segmentation', any(step.get('with_seg') for step in config.get('pipeline') or ()
                                     if hasattr(step, 'get')))) if there]
    if other:
        raise click.ClickException(f'--data: the student also learns from {other[0]}, which the '
                                   'folder does not have: take another student')
    kind = DATASETS.get(config['type'])
    if kind is None or not issubclass(kind, CocoDataset):
        raise click.ClickException(
            f'--data replaces a CocoDataset, but the student trains on {config["type"]}: start '
            'from a config for COCO')
    return dict(
        type='CocoDataset', data_root=Name('data_root'), metainfo=Name('metainfo'),
        ann_file=_relative(split.ann_file, data),
        data_prefix=dict(img=_folder(split, data)),
        # a choice of the images of other data
        **dict(indices=None) if config.get('indices') is not None else {})


def _folder(split: Split, data: CocoFolder) -> str:
    relative = _relative(split.images, data)
    return '' if relative == '.' else f'{relative}/'


def _relative(path: Path, data: CocoFolder) -> str:
    """Relative to the data set's folder, in which a cleaned copy need not lie."""
    return (path.relative_to(data.root) if path.is_relative_to(data.root) else path).as_posix()

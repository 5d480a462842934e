"""Another size of images: the pipelines of the student's config, changed."""
from typing import Any, Dict, Tuple

import click

from ctkd_det.configs import without_scope
from .source_code import Name

RESIZES = ('Resize', 'FixScaleResize', 'RandomChoiceResize', 'RandomResize')
# their sizes follow from the image's in ways that one number does not tell
OTHER_SIZES = ('Mosaic', 'CachedMosaic', 'MixUp', 'CachedMixUp', 'RandomAffine', 'RandomCrop',
               'RandomCenterCropPad', 'MinIoURandomCrop')


def resized(base: Any, scale: Tuple[int, int]) -> Dict[str, Any]:
    """Pipelines whose images fit into ``scale``, which is a width and a height.

    Raises:
        click.ClickException: if a pipeline has no resizing step, or one that
            has sizes of its own.
    """
    loaders = {part: base.get(f'{part}_dataloader') for part in ('train', 'val', 'test')}
    blocks: Dict[str, Any] = {}
    for part, variable in (('train', 'train_pipeline'), ('val', 'test_pipeline')):
        if not loaders[part]:
            continue
        dataset, depth = loaders[part].dataset, 0
        while 'pipeline' not in dataset and 'dataset' in dataset:
            dataset, depth = dataset.dataset, depth + 1
        if 'pipeline' not in dataset:
            raise click.ClickException(f'--img-scale: the student has several {part} data sets: '
                                       'set their sizes in a config of yours')
        steps = [_resize(step, scale, part) for step in dataset.pipeline]
        if not any(step['type'] in RESIZES for step in steps):
            inside = next((step['type'] for step in steps if any(
                f"'{name}'" in repr(step.get('transforms')) for name in RESIZES)), None)
            if inside:
                raise click.ClickException(f"--img-scale: the student's {part} pipeline resizes "
                                           f'inside {inside}: set it in a config of yours')
            raise click.ClickException(
                f"--img-scale: the student's {part} pipeline resizes no images: add "
                "dict(type='Resize', scale=(WIDTH, HEIGHT), keep_ratio=True) to it in a config of "
                'yours, in place of --img-scale')
        blocks[variable] = steps
        override: Dict[str, Any] = dict(pipeline=Name(variable))
        for _ in range(depth):
            override = dict(dataset=override)
        blocks[f'{part}_dataloader'] = dict(dataset=override)
    if 'val_dataloader' in blocks and loaders['test']:
        blocks['test_dataloader'] = dict(blocks['val_dataloader'])
    return blocks


def _resize(step: Any, scale: Tuple[int, int], part: str) -> dict:
    step = without_scope(step, 'mmdet')
    kind = step['type']
    if kind in OTHER_SIZES:
        raise click.ClickException(f"--img-scale: {kind} in the student's {part} pipeline has a "
                                   'size of its own: set both in a config of yours')
    if kind in RESIZES:
        step.pop('scale_factor', None)
        key = 'scales' if kind == 'RandomChoiceResize' else 'scale'
        step[key] = _scaled(step.get(key), scale)
    return step


def _scaled(old: Any, new: Tuple[int, int]) -> Any:
    """One scale becomes the new one; several keep their ratio to the largest."""
    if not isinstance(old, (list, tuple)) or not isinstance(old[0], (list, tuple)):
        return new
    largest = [max(scale[i] for scale in old) for i in range(2)]
    return [tuple(round(size * new[i] / largest[i]) for i, size in enumerate(scale))
            for scale in old]

"""The images with which an exported file is compared and calibrated."""
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Dict, Iterator, Optional, Tuple

import click
import numpy as np
import torch
from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from pycocotools.coco import COCO

from ctkd_det.configs import nested_datasets
from ctkd_det.deploy import DeployedDetector
from ctkd_det.evaluation.silence import silent
from ctkd_det_data import CocoFolder, DataError
from .resizing import pipeline_for


@dataclass(frozen=True)
class Images:
    """Images of a data set, through a config's test pipeline.

    Attributes:
        dataset: mmdet's.
        indices: Those that are used.
        content: What the annotation file says, cleaned; None: as it is.
    """
    dataset: CocoDataset
    indices: Tuple[int, ...]
    content: Optional[dict] = None

    def __iter__(self) -> Iterator[Tuple[np.ndarray, Dict[str, Any]]]:
        """Yield each as (H, W, 3) in RGB, and as ``model.test_step`` takes it.

        uint8, or float32 if the test pipeline says so.
        """
        for index in self.indices:
            data = self.dataset[index]
            image = data['inputs'].permute(1, 2, 0).flip(-1).contiguous().numpy()
            yield image, pseudo_collate([data])

    def __len__(self) -> int:
        return len(self.indices)

    @cached_property
    def annotations(self) -> COCO:
        """COCO: The annotation file; mmdet's data set does not keep it."""
        with silent():
            truth = COCO(None if self.content else self.dataset.ann_file)
            if self.content:
                truth.dataset = self.content
                truth.createIndex()
        truth.dataset.setdefault('info', {})  # pycocotools copies it
        return truth


def as_given(image: np.ndarray, detector: DeployedDetector) -> np.ndarray:
    """An image (H, W, 3) as a batch of one that the file takes.

    Raises:
        click.ClickException: if the file takes uint8, and this would change
            the image.
    """
    if detector.preprocess and image.dtype != np.uint8:
        whole = image.clip(0, 255).astype(np.uint8)
        if (whole != image).any():
            raise click.ClickException(
                'the test pipeline makes images (Normalize, LoadImageFromFile with to_float32) '
                'whose pixels are no whole numbers from 0 to 255, but the file takes uint8: '
                'give --no-preprocess')
        image = whole
    return detector.prepared(torch.from_numpy(image)[None]).numpy()


def images_of(cfg: Config, part: str, data: Optional[CocoFolder], number: int,
              shape: Optional[Tuple[int, int]]) -> Images:
    """Images of the validation or the training set, evenly spread.

    Args:
        cfg (Config): Plain, of the student.
        part (str): 'val' or 'train'.
        data (CocoFolder, optional): A data set instead of the config's. What
            was put right in it is used as it was put right.
        number (int): How many at most.
        shape (tuple, optional): Height and width to fit the images into.
            Defaults to None, what the test pipeline makes of them.

    Raises:
        click.ClickException: if there are none, or they are not in COCO's
            format.
    """
    loaders = [cfg.get(name) for name in (f'{part}_dataloader', 'val_dataloader',
                                          'test_dataloader')]
    found = [nested_datasets(loader['dataset'])[-1] for loader in loaders if loader]
    pipeline = pipeline_for(cfg, shape)
    if data is not None:
        split = data.val if part == 'val' else data.train
        source = dict(type='CocoDataset', ann_file=str(split.ann_file),
                      data_prefix=dict(img=str(split.images)), metainfo=dict(classes=data.classes))
    elif found:
        source = dict(found[0])
    else:
        raise click.ClickException('the config has no data set to compare on: --data FOLDER')
    if not pipeline:
        raise click.ClickException('the config has no test pipeline: give --shape HEIGHT WIDTH')
    source.update(pipeline=pipeline, test_mode=True)
    source.pop('filter_cfg', None)
    return Images(*_built(source, number)) if data is None else _cleaned(data, part, source, number)


def _cleaned(data: CocoFolder, part: str, source: dict, number: int) -> Images:
    """As the folder was read: mmdet loads files alone, so it gets copies for a moment."""
    with tempfile.TemporaryDirectory() as folder:
        copies = data.beside(Path(folder, 'copy.py'))
        copies.save()
        split = copies.val if part == 'val' else copies.train
        dataset, indices = _built(dict(source, ann_file=str(split.ann_file)), number)
    dataset.ann_file = source['ann_file']  # the user's, for what is said of it
    return Images(dataset, indices, split.content)


def _built(source: dict, number: int) -> Tuple[CocoDataset, Tuple[int, ...]]:
    try:
        with silent():
            dataset = DATASETS.build(source)
    except (OSError, DataError) as error:
        raise click.ClickException(f'the images to compare on cannot be read: {error}. Another '
                                   'data set: --data FOLDER') from error
    if not isinstance(dataset, CocoDataset):
        raise click.ClickException(f'the comparison needs a CocoDataset, not '
                                   f'{type(dataset).__name__}: --data FOLDER')
    if not len(dataset):
        raise click.ClickException(f'{source["ann_file"]} has no images to compare on')
    number = min(number, len(dataset))
    return dataset, tuple(i * len(dataset) // number for i in range(number))

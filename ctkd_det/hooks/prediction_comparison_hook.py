"""Shows, while a student learns, what it sees and what its teacher sees."""
from pathlib import Path
from typing import Dict, List, Optional, Sequence

import mmcv
import torch
from mmdet.registry import HOOKS
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import Runner

from ..datasets.folders import folders_of, is_inside
from ..models.detectors.distilled import DistilledDetector
from ..visualization.boxes import Box, detections, draw_boxes, render
from .unwrapped import detector_of


@HOOKS.register_module()
class PredictionComparisonHook(Hook):
    """Draws ground truth, teacher and student on validation images.

    Every ``interval`` epochs the first images of the validation set go, side
    by side, to the runner's visualizer: ``comparison_<image>_<step>.png`` with
    the local backend, an image tag with TensorBoard. A second image of that
    name, in another folder, has its index behind the name. The teacher's
    detections, which its whole network makes, do not change and are made
    once, at the size at which it teaches. A plain detector is shown without a
    teacher.

    An image whose file name leads out of the data folder is not shown.

    The student is drawn with the weights that the optimizer has. With
    ``EMAHook`` these are not the averaged ones, which mmengine puts in only
    while it validates.

    Args:
        interval (int): Epochs, or iterations, between two looks. Defaults to
            1.
        num_images (int): How many images. Defaults to 4.
        score_thr (float): Detections below are not drawn. Defaults to 0.3.
        by_epoch (bool): Whether ``interval`` counts epochs. Defaults to True.

    Raises:
        ValueError: if ``interval`` or ``num_images`` is below 1.
    """
    # after the other hooks' work on the epoch or iteration; mmengine validates later
    priority = 'LOW'

    def __init__(self, interval: int = 1, num_images: int = 4, score_thr: float = 0.3,
                 by_epoch: bool = True) -> None:
        if interval < 1 or num_images < 1:
            raise ValueError(f'need interval >= 1 and num_images >= 1, got interval={interval}, '
                             f'num_images={num_images}')
        self.interval, self.num_images = interval, num_images
        self.score_thr, self.by_epoch = score_thr, by_epoch
        self._teachers: Dict[int, List[Box]] = {}
        self._snapshots: Optional[int] = None

    def before_train(self, runner: Runner) -> None:
        """Say at once if there are no images to show."""
        if runner.val_loop is None:
            runner.logger.warning('PredictionComparisonHook: the config has no validation set, '
                                  'there is nothing to show')

    def after_train_epoch(self, runner: Runner) -> None:
        """Draw after each ``interval``-th epoch."""
        if self.by_epoch and self.every_n_epochs(runner, self.interval):
            self._draw(runner, runner.epoch + 1)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: DATA_BATCH = None,
                         outputs: Optional[dict] = None) -> None:
        """Draw after each ``interval``-th iteration."""
        if not self.by_epoch and self.every_n_train_iters(runner, self.interval):
            self._draw(runner, runner.iter + 1)

    @master_only
    @torch.no_grad()
    def _draw(self, runner: Runner, step: int) -> None:
        if runner.val_loop is None:
            return
        dataset = runner.val_loop.dataloader.dataset
        names = dataset.metainfo['classes']
        model = detector_of(runner.model)
        was_training = model.training
        model.eval()
        folders = list(folders_of(dataset))
        for index in range(min(self.num_images, len(dataset))):
            info = dataset.get_data_info(index)
            if not any(is_inside(info['img_path'], folder) for folder in folders):
                runner.logger.warning(f'{info["img_path"]} is not shown: its file_name leads out '
                                      'of the data folder')
                continue
            columns = {'ground truth': _ground_truth(info, names),
                       **self._predictions(model, dataset, index, names)}
            pixels = mmcv.imread(info['img_path'], channel_order='rgb',
                                 backend_args=getattr(dataset, 'backend_args', None))
            figure = draw_boxes([pixels], {k: [v] for k, v in columns.items()}, names)
            runner.visualizer.add_image(_tag(dataset, index), render(figure), step=step)
        model.train(was_training)

    def _predictions(self, model, dataset, index: int,
                     names: Sequence[str]) -> Dict[str, List[Box]]:
        data = model.data_preprocessor(pseudo_collate([dataset[index]]), False)
        images, samples = data['inputs'], data['data_samples']
        columns = {}
        if isinstance(model, DistilledDetector) and model.teacher.ready:
            if self._snapshots != model.teacher.snapshots:  # it is another teacher now
                self._snapshots, self._teachers = model.teacher.snapshots, {}
            if index not in self._teachers:
                found = model.teacher.predict(images, samples)
                self._teachers[index] = detections(found[0], self.score_thr,
                                                   model.teacher.classes or names)
            columns['teacher'] = self._teachers[index]
        columns['student'] = detections(model.predict(images, samples)[0], self.score_thr, names)
        return columns


def _tag(dataset: BaseDataset, index: int) -> str:
    """The image's name, with its index if an earlier one in another folder has the same."""
    *before, own = (Path(dataset.get_data_info(i)['img_path']).stem for i in range(index + 1))
    return f'comparison_{own}_{index}' if own in before else f'comparison_{own}'


def _ground_truth(info: dict, names: Sequence[str]) -> List[Box]:
    """Of the image as it is on the disk, without crowds and ignored boxes."""
    return [(instance['bbox'], names[instance['bbox_label']], None)
            for instance in info['instances'] if not instance.get('ignore_flag')]

"""A whole detector as one function of images."""
from typing import NamedTuple, Optional, Tuple

import torch
import torch.nn.functional as F
from mmdet.models import DetDataPreprocessor
from mmdet.models.detectors import SingleStageDetector, TwoStageDetector
from torch import Tensor, nn

from .dense import check_dense, detect_dense, most_of
from .errors import NotDeployable, require
from .suppression import size_of
from .two_stage import check_two_stage, detect_two_stage


class InputSize(NamedTuple):
    """Height and width of the images in pixels."""
    height: int
    width: int


class Limits(NamedTuple):
    """Which detections are returned.

    Attributes:
        most: Number of an image.
        score: Lowest score, before it is multiplied with a centerness.
    """
    most: int
    score: float


class DeployedDetector(nn.Module):
    """Images in, detections out, in operations that ONNX has.

    Args:
        model (nn.Module): A detector of mmdet, in evaluation mode.
        preprocess (bool): Whether it takes images as they are read, uint8
            (B, H, W, 3) in RGB; else what mmdet's data preprocessor makes of
            them, float32 (B, 3, H, W). Defaults to True.

    Raises:
        NotDeployable: if a part of the model is none of those that were
            compared with mmdet; the message names it.
    """

    def __init__(self, model: nn.Module, preprocess: bool = True) -> None:
        super().__init__()
        require(model.data_preprocessor, (DetDataPreprocessor, ), 'data_preprocessor')
        if isinstance(model, TwoStageDetector):
            check_two_stage(model)
        elif isinstance(model, SingleStageDetector):
            check_dense(model.bbox_head)
        else:
            raise NotDeployable(f'{type(model).__name__} cannot be exported to ONNX: it is neither '
                                'a two-stage nor a dense detector')
        self.model = model
        self.preprocess = preprocess

    @property
    def limits(self) -> Limits:
        """Limits: Which detections it returns."""
        is_two_stage = isinstance(self.model, TwoStageDetector)
        config = self.model.roi_head.test_cfg if is_two_stage else self.model.bbox_head.test_cfg
        return Limits(most_of(config), config.get('score_thr', 0))

    @property
    def num_classes(self) -> int:
        """int: Number of classes."""
        if not isinstance(self.model, TwoStageDetector):
            return self.model.bbox_head.num_classes
        head = self.model.roi_head.bbox_head
        return (head[-1] if isinstance(head, nn.ModuleList) else head).num_classes

    @property
    def outputs(self) -> Tuple[str, ...]:
        """tuple[str]: Names of what it returns."""
        masks = isinstance(self.model, TwoStageDetector) and self.model.roi_head.with_mask
        return ('boxes', 'scores', 'labels') + ('masks', ) * masks

    @property
    def axes(self) -> Tuple[int, int]:
        """tuple[int, int]: Axes of the images that are their height and width."""
        return (1, 2) if self.preprocess else (2, 3)

    def example(self, size: Optional[InputSize] = None) -> Tensor:
        """Two images of noise as it takes them.

        Args:
            size (InputSize, optional): Defaults to None, 160 by 192.
        """
        height, width = size or (160, 192)
        generator = torch.Generator().manual_seed(0)
        return self.prepared(
            torch.randint(256, (2, height, width, 3), generator=generator, dtype=torch.uint8))

    def prepared(self, images: Tensor) -> Tensor:
        """Images (B, H, W, 3), uint8 in RGB, as the graph takes them."""
        return images if self.preprocess else self._normalised(images)

    def forward(self, images: Tensor) -> Tuple[Tensor, ...]:
        """Detect.

        Args:
            images (Tensor): See ``preprocess``. Images of one batch have one
                size.

        Returns:
            tuple[Tensor]: Boxes (B, D, 4) in pixels of the input, scores
            (B, D), labels (B, D), by falling score; label -1, score 0 where
            an image has fewer than D. With a mask head, probabilities
            (B, D, h, w) on a grid that covers each box.
        """
        rows, columns = self.axes
        size = (size_of(images, rows).float(), size_of(images, columns).float())
        features = self.model.extract_feat(self._padded(
            self._normalised(images) if self.preprocess else images))
        if isinstance(self.model, TwoStageDetector):
            kept, masks = detect_two_stage(self.model, features, size)
        else:
            kept, masks = detect_dense(self.model.bbox_head, features, size), None
        return (*kept, ) if masks is None else (*kept, masks)

    def _normalised(self, images: Tensor) -> Tensor:
        """As the data preprocessor does; it reads BGR, we read RGB."""
        preprocessor = self.model.data_preprocessor
        images = images.permute(0, 3, 1, 2).float()
        if not preprocessor._channel_conversion:
            images = images[:, [2, 1, 0]]
        if preprocessor._enable_normalize:
            images = (images - preprocessor.mean) / preprocessor.std
        return images

    def _padded(self, images: Tensor) -> Tensor:
        divisor = self.model.data_preprocessor.pad_size_divisor
        height, width = images.shape[-2:]
        return F.pad(images, (0, -width % divisor, 0, -height % divisor),
                     value=float(self.model.data_preprocessor.pad_value))

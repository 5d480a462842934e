"""Shows the teacher the student's images as the teacher was trained to see them."""
import math
from typing import List, Sequence, Tuple

import torch
import torch.nn.functional as F
from mmengine.model import ImgDataPreprocessor
from torch import Tensor

from .normalisation import Normalisation


class InputConverter:
    """Converts the student's normalised images to the teacher's normalisation.

    Args:
        student (Normalisation): What the images went through.
        teacher (Normalisation): What they should have gone through.
    """

    def __init__(self, student: Normalisation, teacher: Normalisation) -> None:
        self.student, self.teacher = student, teacher
        self.identical = student.equals(teacher)

    def __call__(self, images: Tensor, batch_data_samples: Sequence) -> Tensor:
        """Convert a batch.

        Args:
            images (Tensor): (B, 3, H, W), normalised and padded for the student.
            batch_data_samples (Sequence[DetDataSample]): Their ``img_shape``
                says where each image ends and its padding begins.

        Returns:
            Tensor: (B, 3, H, W), zero in the padding; ``images`` itself if
            both detectors normalise alike.
        """
        if self.identical:
            return images
        mean, std = (x.to(images.device) for x in (self.student.mean, self.student.std))
        pixels = images.float() * std + mean
        if self.student.reverse != self.teacher.reverse:
            pixels = pixels.flip(1)
        mean, std = (x.to(images.device) for x in (self.teacher.mean, self.teacher.std))
        converted = ((pixels - mean) / std).to(images.dtype)
        out = torch.zeros_like(converted)
        for i, sample in enumerate(batch_data_samples):
            height, width = sample.metainfo['img_shape'][:2]
            out[i, :, :height, :width] = converted[i, :, :height, :width]
        return out


class InputScale:
    """Resizes each image, and the RoIs on it, to the size at which the teacher looks.

    As ``mmdet.Resize`` does it: image by image, bilinear, sizes rounded, the
    boxes scaled by the ratios of the rounded sizes; then padded anew.

    Args:
        factor (float): From the student's size to the teacher's, above 0.
        teacher (ImgDataPreprocessor): Whose ``pad_size_divisor`` applies.

    Raises:
        ValueError: if ``factor`` is not a finite number above 0.
    """

    def __init__(self, factor: float, teacher: ImgDataPreprocessor) -> None:
        if not math.isfinite(factor) or factor <= 0:
            raise ValueError(f'teacher_scale must be a finite number > 0, got {factor}')
        self.factor, self.divisor = factor, getattr(teacher, 'pad_size_divisor', 1)

    def images(self, images: Tensor, batch_data_samples: Sequence) -> Tensor:
        """(B, 3, H, W) at the teacher's size, zero in the padding."""
        if self.factor == 1:
            return images
        sizes = [self._size(sample) for sample in batch_data_samples]
        out = images.new_zeros((*images.shape[:2], *self._padded(sizes)))
        for i, (sample, (h, w)) in enumerate(zip(batch_data_samples, sizes, strict=True)):
            old_h, old_w = sample.metainfo['img_shape'][:2]
            out[i, :, :h, :w] = F.interpolate(
                images[i:i + 1, :, :old_h, :old_w], size=(h, w), mode='bilinear')[0]
        return out

    def size(self, images: Tensor, batch_data_samples: Sequence) -> Tuple[int, ...]:
        """Height and width of the resized batch, with its padding."""
        if self.factor == 1:
            return tuple(images.shape[2:])
        return self._padded([self._size(sample) for sample in batch_data_samples])

    def rois(self, rois: Tensor, batch_data_samples: Sequence) -> Tensor:
        """(N, 5) on the resized images."""
        if self.factor == 1:
            return rois
        ratios = []
        for sample in batch_data_samples:
            (h, w), (old_h, old_w) = self._size(sample), sample.metainfo['img_shape'][:2]
            ratios.append([1, w / old_w, h / old_h, w / old_w, h / old_h])
        return rois * rois.new_tensor(ratios)[rois[:, 0].long()]

    def samples(self, batch_data_samples: Sequence) -> Sequence:
        """Let the samples say what size the resized images have."""
        if self.factor == 1:
            return batch_data_samples
        sizes = [self._size(sample) for sample in batch_data_samples]
        padded = self._padded(sizes)
        for sample, (h, w) in zip(batch_data_samples, sizes, strict=True):
            old_h, old_w = sample.metainfo['img_shape'][:2]
            scale_w, scale_h = sample.metainfo['scale_factor']
            sample.set_metainfo(dict(
                img_shape=(h, w), pad_shape=padded, batch_input_shape=padded,
                scale_factor=(scale_w * w / old_w, scale_h * h / old_h)))
        return batch_data_samples

    def _padded(self, sizes: Sequence[List[int]]) -> Tuple[int, ...]:
        """Height and width of the batch that images of these sizes make."""
        return tuple(-(-max(side) // self.divisor) * self.divisor
                     for side in zip(*sizes, strict=True))

    def _size(self, sample) -> List[int]:
        return [max(1, int(side * self.factor + 0.5)) for side in sample.metainfo['img_shape'][:2]]

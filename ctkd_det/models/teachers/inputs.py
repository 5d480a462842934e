"""Shows the teacher the student's images as the teacher was trained to see them."""
from typing import Sequence

import torch
from mmengine.model import ImgDataPreprocessor
from torch import Tensor


class InputConverter:
    """Converts the student's normalised images to the teacher's normalisation.

    Args:
        student (ImgDataPreprocessor): Whose output the images are.
        teacher (ImgDataPreprocessor): Whose output they should be.
    """

    def __init__(self, student: ImgDataPreprocessor, teacher: ImgDataPreprocessor) -> None:
        self.swap_channels = _channel_order(student) != _channel_order(teacher)
        self.student, self.teacher = _mean_std(student), _mean_std(teacher)
        self.identical = not self.swap_channels and all(
            torch.equal(a, b) for a, b in zip(self.student, self.teacher, strict=True))

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
        mean, std = (x.to(images.device) for x in self.student)
        pixels = images.float() * std + mean
        if self.swap_channels:
            pixels = pixels.flip(1)
        mean, std = (x.to(images.device) for x in self.teacher)
        converted = ((pixels - mean) / std).to(images.dtype)
        out = torch.zeros_like(converted)
        for i, sample in enumerate(batch_data_samples):
            height, width = sample.metainfo['img_shape'][:2]
            out[i, :, :height, :width] = converted[i, :, :height, :width]
        return out


def _channel_order(preprocessor: ImgDataPreprocessor) -> bool:
    """Whether the preprocessor reverses the channels of the loaded (BGR) image."""
    return bool(preprocessor._channel_conversion)


def _mean_std(preprocessor: ImgDataPreprocessor) -> tuple:
    if not preprocessor._enable_normalize:
        return torch.zeros(3, 1, 1), torch.ones(3, 1, 1)
    return preprocessor.mean.detach().cpu(), preprocessor.std.detach().cpu()

"""The teacher of a DETR."""
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

import torch
from torch import Tensor

from ..queries import answer, decoder_asked, last_layer
from .classifying_teacher import ClassifyingTeacher


class QueryTeacher(ClassifyingTeacher):
    """Answers queries, the student's or its own, on its own memory of the image.

    Queries of two decoders do not match: each has learned its own. So both
    decoders answer the same ones, as in "KD-DETR: Knowledge Distillation for
    Detection Transformer with Consistent Distillation Points Sampling" (CVPR
    2024).

    Args and errors are those of :class:`ClassifyingTeacher`.
    """

    @torch.no_grad()
    def look(self, images: Tensor, batch_data_samples: Sequence, queries: Mapping[str, Tensor],
             feats: Optional[Sequence[Tensor]] = None
             ) -> Tuple[Dict[str, Any], Tensor, Tensor]:
        """Encode images and answer queries about them.

        Args:
            images (Tensor): (B, 3, H, W), normalised for the student.
            batch_data_samples (Sequence[DetDataSample]): Of length B.
            queries (dict[str, Tensor]): See :class:`QueryLogits`; empty for
                the teacher's own.
            feats (Sequence[Tensor], optional): What :meth:`features` gave for
                these images. Defaults to None, to be computed.

        Returns:
            tuple: The arguments of its decoder, with its own queries; and its
            answer without a graph, see :meth:`answer`.
        """
        if feats is None:
            feats = self.features(images, batch_data_samples)
        with decoder_asked(self.model, queries) as inputs:
            found = self.model.forward_transformer(feats, self.describe(batch_data_samples))
        references = found['references']
        if 'reference_points' in queries:  # the list begins with its own
            references = [queries['reference_points'].to(feats[0].dtype), *references[1:]]
        return (inputs, *self._classes(*last_layer(
            self.model, found['hidden_states'], references)))

    @torch.no_grad()
    def answer(self, inputs: Mapping[str, Any],
               queries: Mapping[str, Tensor]) -> Tuple[Tensor, Tensor]:
        """Answer other queries about images that were looked at.

        Args:
            inputs (dict): What :meth:`look` gave.
            queries (dict[str, Tensor]): Of any number of queries.

        Returns:
            tuple[Tensor]: (B, Q, C) logits of its last layer in the student's
            order of classes, and boxes, see :func:`ctkd_det.models.queries.answer`.
        """
        return self._classes(*answer(self.model, inputs, queries))

    def _classes(self, scores: Tensor, boxes: Tensor) -> Tuple[Tensor, Tensor]:
        mapped = self.map_classes(scores.flatten(0, 1))
        return mapped.view(*scores.shape[:2], -1), boxes

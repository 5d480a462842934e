"""The teacher of a DETR."""
from typing import Any, Dict, Optional, Sequence, Tuple

import torch
from torch import Tensor, nn

from .teacher import ClassifyingTeacher


class QueryTeacher(ClassifyingTeacher):
    """Answers the student's queries on its own memory of the image.

    Queries of two decoders do not match: each has learned its own. So the
    student's go through the teacher's decoder, too, as in "KD-DETR: Knowledge
    Distillation for Detection Transformer with Consistent Distillation Points
    Sampling" (CVPR 2024).

    Args and errors are those of :class:`ClassifyingTeacher`.
    """

    @torch.no_grad()
    def query_logits(self, images: Tensor, batch_data_samples: Sequence,
                     queries: Dict[str, Tensor],
                     feats: Optional[Sequence[Tensor]] = None) -> Tensor:
        """Classify the student's queries.

        Args:
            images (Tensor): (B, 3, H, W), normalised for the student.
            batch_data_samples (Sequence[DetDataSample]): Of length B.
            queries (dict[str, Tensor]): See :class:`QueryLogits`.
            feats (Sequence[Tensor], optional): What :meth:`features` gave for
                these images. Defaults to None, to be computed.

        Returns:
            Tensor: (B * Q, C) logits of its last layer, without a graph, in
            the student's order of queries and classes.
        """
        if feats is None:
            feats = self.features(images, batch_data_samples)
        queries = {name: x.to(feats[0].dtype) for name, x in queries.items()}

        def ask(module: nn.Module, args: tuple, kwargs: Dict[str, Any]) -> Tuple[tuple, dict]:
            return args, {**kwargs, **queries}

        handle = self.model.decoder.register_forward_pre_hook(ask, with_kwargs=True)
        try:
            answers = self.model.forward_transformer(feats, self.describe(batch_data_samples))
        finally:
            handle.remove()
        references = answers['references']
        if 'reference_points' in queries:  # the list begins with its own
            references = [queries['reference_points'], *references[1:]]
        scores = self.model.bbox_head(answers['hidden_states'], references)[0][-1]
        return self.map_classes(scores.reshape(-1, scores.size(-1)))

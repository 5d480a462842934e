"""Records what a DETR's decoder is asked and answers while its loss is computed."""
from dataclasses import dataclass, field
from typing import Any, Dict, List, Tuple

from torch import Tensor, nn

from .dense import labels_and_weights
from .detr_heads import QUERY_ARGUMENTS, detr_head
from .taps import Logits


@dataclass
class QueryLogits(Logits):
    """Of the last layer of a DETR's decoder; N is B * Q, image by image.

    ``queries`` are those of its :data:`QUERY_ARGUMENTS` that the decoder has,
    (B, Q, D) or, of reference points, (B, Q, 2) or (B, Q, 4), without a graph.
    """
    queries: Dict[str, Tensor] = field(default_factory=dict)


class QueryTap:
    """Context manager that listens to decoder and head of a DETR.

    Args:
        detector (nn.Module): See :func:`detr_head`.

    Example::

        with QueryTap(detector) as (record, ):
            losses = detector.loss(inputs, samples)
        record.queries  # what another decoder of this kind can be asked
    """

    def __init__(self, detector: nn.Module) -> None:
        self.decoder, self.head = detector.decoder, detr_head(detector)

    def __enter__(self) -> List[QueryLogits]:
        self.record, self.scores, self.asked = QueryLogits(), None, {}
        self.calls: List[Tuple[tuple, dict]] = []
        self.handles = [
            self.decoder.register_forward_pre_hook(self._on_queries, with_kwargs=True),
            self.head.register_forward_hook(self._on_answers),
            self.head.loss_cls.register_forward_hook(self._on_loss, with_kwargs=True)]
        return [self.record]

    def __exit__(self, *exc_info) -> None:
        for handle in self.handles:
            handle.remove()
        if exc_info[0] is None and self.scores is not None:
            record, last = self.record, self.scores[-1]
            # one call a layer; then those of the encoder's proposals and of denoising
            args, kwargs = self.calls[len(self.scores) - 1]
            record.labels, record.label_weights = labels_and_weights(args, kwargs)
            record.avg_factor = kwargs['avg_factor']
            # DINO's denoising queries come first: they know the ground truth
            number = len(record.labels) // len(last)
            record.cls_score = last[:, -number:].reshape(-1, last.size(-1))
            record.queries = {name: x[:, -number:].detach() for name, x in self.asked.items()}

    def _on_queries(self, module: nn.Module, args: tuple, kwargs: Dict[str, Any]) -> None:
        self.asked = {name: kwargs[name] for name in QUERY_ARGUMENTS if name in kwargs}

    def _on_answers(self, module: nn.Module, args: tuple, output: tuple) -> None:
        self.scores = output[0]

    def _on_loss(self, module: nn.Module, args: tuple, kwargs: dict, output: Tensor) -> None:
        self.calls.append((args, kwargs))

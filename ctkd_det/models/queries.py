"""Records what a DETR's decoder is asked and answers, and asks it something else."""
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, ContextManager, Dict, Iterator, List, Mapping, Tuple

from mmdet.models.layers import ConditionalDetrTransformerDecoder
from torch import Tensor, nn

from .dense import labels_and_weights
from .detr_heads import QUERY_ARGUMENTS, detr_head
from .taps import Logits

_PLACES = 'places'


@dataclass
class QueryLogits(Logits):
    """Of the last layer of a DETR's decoder; N is B * Q, image by image.

    ``queries`` are those of :func:`queries_in`, without a graph: (B, Q, D) or,
    of reference points and places, (B, Q, 2) or (B, Q, 4); ``decoder_inputs``
    are all arguments of the decoder, among them the image's memory, with a
    graph.
    """
    queries: Dict[str, Tensor] = field(default_factory=dict)
    decoder_inputs: Dict[str, Any] = field(default_factory=dict)


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
        self.record, self.scores = QueryLogits(), None
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
            record.cls_score = rows(last[:, -number:])
            record.queries = {name: x[:, -number:].detach()
                              for name, x in queries_in(
                                  self.decoder, record.decoder_inputs).items()}

    def _on_queries(self, module: nn.Module, args: tuple, kwargs: Dict[str, Any]) -> None:
        self.record.decoder_inputs = kwargs

    def _on_answers(self, module: nn.Module, args: tuple, output: tuple) -> None:
        self.scores = output[0]

    def _on_loss(self, module: nn.Module, args: tuple, kwargs: dict, output: Tensor) -> None:
        self.calls.append((args, kwargs))


def queries_in(decoder: nn.Module, decoder_inputs: Mapping[str, Any]) -> Dict[str, Tensor]:
    """Those of a decoder's arguments that are queries, and where Conditional DETR's look.

    It has learned to read that in its own ``query_pos``. Another decoder would read another
    place there, so it must be told: ``places`` are (B, Q, 2), in front of a sigmoid.
    """
    found = {name: decoder_inputs[name] for name in QUERY_ARGUMENTS if name in decoder_inputs}
    if isinstance(decoder, ConditionalDetrTransformerDecoder):
        found[_PLACES] = decoder.ref_point_head(found['query_pos'])
    return found


def rows(x: Tensor) -> Tensor:
    """(B, Q, C) as (B * Q, C)."""
    return x.reshape(-1, x.size(-1))


@contextmanager
def decoder_asked(detector: nn.Module, queries: Mapping[str, Tensor]) -> Iterator[Dict[str, Any]]:
    """While this lasts, a DETR's decoder gets these queries in place of its own.

    Args:
        detector (nn.Module): Whose ``forward_transformer`` is then called once.
        queries (dict[str, Tensor]): See :class:`QueryLogits`; empty for its own.

    Yields:
        dict: Once the decoder was called, its arguments with its own queries.
    """
    seen: Dict[str, Any] = {}

    def ask(module: nn.Module, args: tuple, kwargs: Dict[str, Any]) -> Tuple[tuple, dict]:
        seen.update(kwargs)
        return args, {**kwargs, **_arguments(queries, kwargs['query'])}

    with detector.decoder.register_forward_pre_hook(ask, with_kwargs=True), _places_told(
            detector.decoder, queries):
        yield seen


def answer(detector: nn.Module, decoder_inputs: Mapping[str, Any],
           queries: Mapping[str, Tensor]) -> Tuple[Tensor, Tensor]:
    """What a DETR's last layer answers to queries about images that it has encoded.

    Args:
        detector (nn.Module): The DETR.
        decoder_inputs (dict): Of its decoder for these images, see :class:`QueryLogits`.
        queries (dict[str, Tensor]): In place of those in ``decoder_inputs``.

    Returns:
        tuple[Tensor]: Logits (B, Q, C), and boxes (B, Q, 4), centre and size in
        shares of the image.
    """
    inputs = {**decoder_inputs, **_arguments(queries, decoder_inputs['query'])}
    if 'self_attn_mask' in inputs:  # it keeps DINO's denoising queries apart, which are left out
        inputs['self_attn_mask'] = None
    with _places_told(detector.decoder, queries):
        states, references = detector.decoder(**inputs)
    if 'reference_points' in inputs and len(references) == len(states):
        references = [inputs['reference_points'], *references]
    return last_layer(detector, states, references)


def last_layer(detector: nn.Module, states: Any, references: Any) -> Tuple[Tensor, Tensor]:
    """What the head makes of the decoder's states, see :func:`answer`."""
    scores, boxes = detector.bbox_head(states, references)[:2]
    return scores[-1], boxes[-1]


def _places_told(decoder: nn.Module, queries: Mapping[str, Tensor]) -> ContextManager:
    """While this lasts, a decoder does not read by itself where these queries look."""
    if _PLACES not in queries:
        return nullcontext()
    return decoder.ref_point_head.register_forward_hook(
        lambda module, args, output: queries[_PLACES].to(output.dtype))


def _arguments(queries: Mapping[str, Tensor], like: Tensor) -> Dict[str, Tensor]:
    return {name: x.to(like.dtype) for name, x in queries.items() if name != _PLACES}

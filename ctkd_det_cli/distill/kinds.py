"""Two-stage and single-stage detectors: which one a config is, told without its weights."""
import copy
from dataclasses import dataclass
from types import SimpleNamespace

import click
from mmdet.models.detectors import SingleStageDetector, TwoStageDetector
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from torch import nn

from ctkd_det.models import (
    KnowledgeDistillationDenseDetector,
    KnowledgeDistillationTwoStageDetector,
)
from ctkd_det.models.heads import dense_head, different_priors, has_sigmoids
from .zoo import Source


@dataclass(frozen=True)
class Kind:
    """A kind of detectors.

    Attributes:
        name: As people say it.
        plain: mmdet's class.
        distilled: Ours, which extends it.
        head: Where the model's config has what depends on the classes.
    """
    name: str
    plain: type
    distilled: type
    head: str


TWO_STAGE = Kind(
    'two-stage', TwoStageDetector, KnowledgeDistillationTwoStageDetector, 'roi_head')
SINGLE_STAGE = Kind(
    'single-stage', SingleStageDetector, KnowledgeDistillationDenseDetector, 'bbox_head')


def kind_of(source: Source) -> Kind:
    """The kind of a detector.

    Raises:
        click.ClickException: if it is of neither.
    """
    name = source.config.get('model', {}).get('type')
    detector = MODELS.get(name) if name else None
    for kind in (TWO_STAGE, SINGLE_STAGE):
        if detector is not None and issubclass(detector, kind.plain):
            return kind
    raise click.ClickException(
        f'{source.path} is {f"a {name}" if name else "no model"}: only two-stage and single-stage '
        'detectors can be distilled')


def ends_in_sigmoids(source: Source) -> bool:
    """Whether the detector's classifier does, so that it has no logit for the background.

    Raises:
        click.ClickException: if it is a single-stage detector whose head
            cannot be distilled.
    """
    if kind_of(source) is SINGLE_STAGE:
        return has_sigmoids(_dense(source))
    loss = source.classifier.get('loss_cls')
    return loss is not None and has_sigmoids(SimpleNamespace(loss_cls=MODELS.build(loss)))


def other_locations(a: Source, b: Source) -> str:
    """How anchors or points of two single-stage detectors differ; '' if they do not."""
    return different_priors(_dense(a), _dense(b))


def _dense(source: Source) -> nn.Module:
    """The head, with random weights."""
    init_default_scope('mmdet')
    try:
        return dense_head(SimpleNamespace(
            bbox_head=MODELS.build(copy.deepcopy(source.classifier))))
    except TypeError as error:
        raise click.ClickException(f'{source.path}: {error}') from error

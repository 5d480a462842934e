"""Chooses the distilled detector that trains a plain one as it is."""
from typing import List, Type

from ..distilled_config import plain_parent
from .distilled import DistilledDetector
from .kd_dense import KnowledgeDistillationDenseDetector
from .kd_detr import (
    KnowledgeDistillationConditionalDETR,
    KnowledgeDistillationDABDETR,
    KnowledgeDistillationDeformableDETR,
    KnowledgeDistillationDINO,
)
from .kd_two_stage import KnowledgeDistillationTwoStageDetector

# of two that fit, the one whose plain detector derives from the other's stands first
DISTILLED = (KnowledgeDistillationTwoStageDetector, KnowledgeDistillationDenseDetector,
             KnowledgeDistillationDINO, KnowledgeDistillationDABDETR,
             KnowledgeDistillationConditionalDETR, KnowledgeDistillationDeformableDETR)


def distilled_class(plain: type) -> Type[DistilledDetector]:
    """The class that replaces ``plain`` in a student's config.

    Raises:
        TypeError: if there is none. ``plain`` is then neither a two-stage nor
            a single-stage detector nor one of those DETRs, or it changes how
            they work, and its changes would be lost.
    """
    for distilled in DISTILLED:
        base = plain_parent(distilled)
        if issubclass(plain, base):
            own = _overridden(plain, base)
            if own:
                raise TypeError(f'a {plain.__name__} cannot be distilled: it has its own '
                                f'{", ".join(own)}, which {distilled.__name__} would not use')
            return distilled
    raise TypeError(f'a {plain.__name__} cannot be distilled: only two-stage and single-stage '
                    'detectors, Deformable DETR, DAB-DETR, Conditional DETR and DINO can')


def _overridden(plain: type, base: type) -> List[str]:
    """Names of the public methods of ``base`` that ``plain`` replaces, constructors aside."""
    return [name for name in dir(base) if not name.startswith('_')
            and getattr(plain, name, None) is not getattr(base, name) and callable(
                getattr(base, name))]

"""Which plain detector a distilled one is."""
import inspect
from typing import List, Optional

from mmdet.registry import MODELS

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def learns_from_teacher(cls: Optional[type]) -> bool:
    """Whether a detector, or one that it derives from, takes a ``teacher_config``.

    Ours do, those that users derive from them, and mmdet's
    ``KnowledgeDistillationSingleStageDetector``. None is no detector.
    """
    return cls is not None and any('teacher_config' in _arguments(c) for c in cls.__mro__)


def plain_parent(cls: type) -> type:
    """The nearest ancestor that has no teacher and can be built by name.

    A detector without a teacher is its own.

    Raises:
        TypeError: if it has none.
    """
    for ancestor in cls.__mro__:
        if not learns_from_teacher(ancestor) and MODELS.get(ancestor.__name__) is ancestor:
            return ancestor
    raise TypeError(f'{cls.__name__} extends no detector that can be built without a teacher')


def distillation_arguments(cls: type) -> List[str]:
    """Arguments of a distilled detector that the plain one does not take."""
    plain = _arguments(plain_parent(cls))
    return list(dict.fromkeys(name for c in cls.__mro__ if learns_from_teacher(c)
                              for name in _arguments(c) if name not in plain))


def _arguments(cls: type) -> List[str]:
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    return [p.name for p in parameters if p.kind not in _VARIADIC]

"""Tells the config of a distilled detector from a plain one, and makes it plain."""
import inspect
from typing import List, Optional

from mmdet.registry import MODELS

from ..configs import known_class, registered_class

# the teacher_config of a student that learns from its own snapshots, or refined maps
SNAPSHOT, REFINED = 'snapshot', 'refined'
SELF_TAUGHT = {SNAPSHOT: 'its own snapshots', REFINED: 'its own refined maps'}
# what the names of weights contain that are no student's
_BESIDE = ('distill_losses.', 'self_teacher.', 'query_draws.')
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def is_beside_student(weight: str) -> bool:
    """Whether a weight of this name belongs to the losses or a self-teacher."""
    return any(part in weight for part in _BESIDE)


def is_distilled(model: dict) -> bool:
    """Whether the config of a detector (``config['model']``) names a teacher.

    The detector itself need not be registered: a dumped config is recognised
    where the user's modules cannot be imported.
    """
    return 'teacher_config' in model or learns_from_teacher(
        known_class(MODELS, model.get('type')))


def plain_model(model: dict, plain_type: Optional[str] = None) -> dict:
    """The config of the detector without what only its distillation needs.

    Args:
        model (dict): A detector's config, which is not changed.
        plain_type (str, optional): What the plain detector is called.
            Defaults to None, the class of mmdet that the distilled one extends.

    Returns:
        dict: A shallow copy; as it is, if it is plain already.

    Raises:
        TypeError: if the distilled detector is not registered, or extends
            none that can be built without a teacher.
    """
    if not is_distilled(model):
        return dict(model)
    cls = registered_class(MODELS, model['type'])
    if cls is None:
        raise TypeError(f'no detector is registered as {model["type"]}')
    plain_type = plain_type or plain_parent(cls).__name__
    plain = registered_class(MODELS, plain_type)
    # a plain RTMDet takes what the dense detector takes on its behalf
    ours = set(distillation_arguments(cls)).difference(own_arguments(plain) if plain else ())
    return dict({key: value for key, value in model.items() if key not in ours}, type=plain_type)


def learns_from_teacher(cls: Optional[type]) -> bool:
    """Whether a detector, or one that it derives from, takes a ``teacher_config``.

    Ours do, those that users derive from them, and mmdet's
    ``KnowledgeDistillationSingleStageDetector``. None is no detector.
    """
    return cls is not None and any('teacher_config' in own_arguments(c) for c in cls.__mro__)


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
    plain = own_arguments(plain_parent(cls))
    return list(dict.fromkeys(name for c in cls.__mro__ if learns_from_teacher(c)
                              for name in own_arguments(c) if name not in plain))


def own_arguments(cls: type) -> List[str]:
    """What a class's constructor takes by name, beside ``*args`` and ``**kwargs``."""
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    return [p.name for p in parameters if p.kind not in _VARIADIC]

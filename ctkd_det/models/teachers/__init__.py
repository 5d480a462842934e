from .checkpoint import TeacherError
from .dense import DenseTeacher
from .inherit import inherit_weights, inheritable_weights
from .roi import RoITeacher
from .teacher import FrozenTeacher

__all__ = [
    'DenseTeacher', 'FrozenTeacher', 'RoITeacher', 'TeacherError', 'inherit_weights',
    'inheritable_weights'
]

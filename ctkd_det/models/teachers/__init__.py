from .checkpoint import TeacherError
from .inherit import inherit_weights, inheritable_weights
from .roi import RoITeacher
from .teacher import FrozenTeacher

__all__ = ['FrozenTeacher', 'RoITeacher', 'TeacherError', 'inherit_weights', 'inheritable_weights']

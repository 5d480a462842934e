from .checkpoint import TeacherError
from .teacher import FrozenTeacher

__all__ = ['FrozenTeacher', 'TeacherError']

from .checkpoint import TeacherError
from .classifying_teacher import ClassifyingTeacher
from .dense import DenseTeacher
from .inherit import inherit_weights
from .pair import check_pair
from .queries import QueryTeacher
from .refinement import RefiningTeacher
from .roi import RoITeacher
from .teacher import FrozenTeacher

__all__ = [
    'ClassifyingTeacher', 'DenseTeacher', 'FrozenTeacher', 'QueryTeacher', 'RefiningTeacher',
    'RoITeacher', 'TeacherError', 'check_pair', 'inherit_weights'
]

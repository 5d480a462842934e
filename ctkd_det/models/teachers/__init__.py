from .checkpoint import TeacherError
from .dense import DenseTeacher
from .inherit import inherit_weights
from .pair import check_pair
from .queries import QueryTeacher
from .refinement import RefiningTeacher
from .roi import RoITeacher
from .teacher import ClassifyingTeacher, FrozenTeacher

__all__ = [
    'ClassifyingTeacher', 'DenseTeacher', 'FrozenTeacher', 'QueryTeacher', 'RefiningTeacher',
    'RoITeacher', 'TeacherError', 'check_pair', 'inherit_weights'
]

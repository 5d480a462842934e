"""The plain detector behind a distilled one, whoever has written it."""
import pytest
from mmdet.models.detectors import RetinaNet, TwoStageDetector
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope

from ctkd_det.models import (
    KnowledgeDistillationDenseDetector,
    KnowledgeDistillationTwoStageDetector,
)
from ctkd_det.models.detectors.distilled import DistilledDetector
from ctkd_det.models.distilled_config import (
    distillation_arguments,
    is_distilled,
    learns_from_teacher,
    plain_model,
    plain_parent,
)


class OwnStudent(KnowledgeDistillationTwoStageDetector):
    """A user's, with an argument of its own and the parent's behind ``**kwargs``."""

    def __init__(self, *args, own=1, **kwargs):
        super().__init__(*args, **kwargs)


class OwnRetinaNet(KnowledgeDistillationDenseDetector, RetinaNet):
    pass


COMMON = {'teacher_config', 'teacher_ckpt', 'distill_losses', 'class_mapping', 'inherit',
          'eval_teacher', 'teacher_compile', 'teacher_fold', 'teacher_dtype',
          'teacher_loss_weight', 'teacher_options'}
DENSE = COMMON | {'cross_head', 'use_syncbn'}
ROI = COMMON | {'teacher_stage', 'teacher_scale'}


@pytest.mark.parametrize('cls, parent, arguments', [
    (KnowledgeDistillationTwoStageDetector, 'TwoStageDetector', ROI),
    (KnowledgeDistillationDenseDetector, 'SingleStageDetector', DENSE),
    (OwnStudent, 'TwoStageDetector', ROI | {'own'}),
    (OwnRetinaNet, 'RetinaNet', DENSE),
    ('KnowledgeDistillationSingleStageDetector', 'SingleStageDetector',
     {'teacher_config', 'teacher_ckpt', 'eval_teacher'}),  # mmdet's own
    (RetinaNet, 'RetinaNet', set())])
def test_parent_and_arguments(cls, parent, arguments):
    init_default_scope('mmdet')
    cls = MODELS.get(cls) if isinstance(cls, str) else cls
    for name in (OwnStudent.__name__, OwnRetinaNet.__name__):
        assert MODELS.get(name) is None
    assert plain_parent(cls) is MODELS.get(parent)
    assert set(distillation_arguments(cls)) == arguments
    assert learns_from_teacher(cls) == bool(arguments)


def test_no_parent():
    class Unregistered(TwoStageDetector):
        def __init__(self, teacher_config):
            pass

    assert plain_parent(Unregistered) is TwoStageDetector
    assert not learns_from_teacher(None) and learns_from_teacher(DistilledDetector)
    with pytest.raises(TypeError, match='Lonely extends no detector'):
        plain_parent(type('Lonely', (), {}))


DISTILLED = dict(type='KnowledgeDistillationDenseDetector', backbone=1, teacher_config='t.py',
                 teacher_ckpt='t.pth', distill_losses={}, inherit=['neck'])


def test_the_plain_config_of_a_model():
    plain = plain_model(DISTILLED)
    assert plain == dict(type='SingleStageDetector', backbone=1) and 'inherit' in DISTILLED
    assert plain_model(DISTILLED, 'RetinaNet') == dict(type='RetinaNet', backbone=1)
    assert plain_model(plain) == plain and plain_model(plain) is not plain
    # what plain RTMDet takes as well stays its own
    synced = dict(DISTILLED, use_syncbn=False)
    assert plain_model(synced, 'RTMDet') == dict(type='RTMDet', backbone=1, use_syncbn=False)
    assert plain_model(synced) == plain
    by_class = dict(DISTILLED, type=KnowledgeDistillationDenseDetector)  # MMEngine's pure Python
    assert plain_model(by_class) == plain
    assert is_distilled(DISTILLED) and not is_distilled(plain) and not is_distilled({})
    assert is_distilled(dict(type='NotImported', teacher_config='t.py'))
    with pytest.raises(TypeError, match='no detector is registered as NotImported'):
        plain_model(dict(type='NotImported', teacher_config='t.py'))

"""What ``ctkd-det test`` looks at before it evaluates."""
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from mmdet.models import DetTTAModel
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope

from ctkd_det.compat.reading import CheckpointError
from ctkd_det.hooks import CheckWeightsHook
from helpers import distill, student_config


@pytest.fixture(scope='module')
def model():
    init_default_scope('mmdet')
    return MODELS.build(student_config().model)


def look(model, weights, trained=None, tested=('a', 'b', 'c')):
    """What it warns of."""
    runner = SimpleNamespace(model=model, logger=Mock(), test_dataloader=SimpleNamespace(
        dataset=SimpleNamespace(metainfo=dict(classes=tested))))
    meta = dict(dataset_meta=dict(classes=trained)) if trained else {}
    CheckWeightsHook().after_load_checkpoint(runner, dict(state_dict=weights, meta=meta))
    return ' '.join(call.args[0] for call in runner.logger.warning.call_args_list)


def test_weights_that_are_all_there(model):
    weights = model.state_dict()
    assert look(model, weights) == ''
    # what a distilled student has beside its own, and what a wrapper puts before the names
    assert look(model, dict(weights, theta=weights['rpn_head.rpn_cls.bias'])) == ''
    assert look(model, {f'module.{name}': value for name, value in weights.items()}) == ''
    distilled = MODELS.build(distill(student_config(), dict(teacher_config='snapshot')).model)
    assert look(distilled, weights) == ''
    wrapped = DetTTAModel(module=student_config().model)
    assert look(wrapped, weights) == ''


def test_missing_weights(model):
    weights = model.state_dict()
    name = next(name for name in weights if name.startswith('roi_head'))
    del weights[name]
    with pytest.raises(CheckpointError, match=rf'1 of the \d+ weights .* missing, {name} among'):
        look(model, weights)


def test_weights_of_another_detector(model):
    weights = model.state_dict()
    weights['rpn_head.rpn_cls.bias'] = weights['rpn_head.rpn_cls.bias'].repeat(2)
    with pytest.raises(CheckpointError, match='(?s)not of this config .FasterRCNN.*size mismatch'):
        look(model, weights)


@pytest.mark.parametrize('trained, said', [
    (('a', 'b', 'c'), ''), (['a', 'b', 'c'], ''), (None, ''),
    (('a', 'c', 'b'), "label 1 is 'c' and 'b'"), (('a', 'b'), '2 and 3')])
def test_classes(model, trained, said):
    found = look(model, model.state_dict(), trained)
    assert said in found and bool(found) == bool(said)

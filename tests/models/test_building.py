"""Misspelt types, arguments, temperatures and losses name what is meant."""
import pytest

from ctkd_det.models import KDLoss
from ctkd_det.models.building import arguments_of, build_part, check_arguments
from ctkd_det.models.detectors.loss_configs import build_losses
from helpers import GLOBAL, build, distill, student_config


@pytest.mark.parametrize('config, error, message', [
    (dict(type='KDLos', temperature=1.0), ValueError,
     "loss_kd: there is no type 'KDLos'; did you mean KDLoss.*custom_imports"),
    (dict(type='KDLoss', temperature=1.0, foreground_wieght=0.5), TypeError,
     "loss_kd: KDLoss does not take 'foreground_wieght'; did you mean foreground_weight"),
    (dict(type='KDLoss', temperature=dict(type='GlobalTemprature')), ValueError,
     "temperature: there is no type 'GlobalTemprature'; did you mean GlobalTemperature"),
    (dict(type='KDLoss', temperature=dict(type='GlobalTemperature', tau_mn=1)), TypeError,
     "temperature: GlobalTemperature does not take 'tau_mn'; did you mean tau_min"),
    (dict(type='KDLoss', temperature=1.0, window=dict(begn=1)), TypeError, "Window.*'begn'"),
    (dict(type='CWDLoss', student_channels=[8], teacher_channels=[8], level=[0]), TypeError,
     "loss_kd: CWDLoss does not take 'level'; did you mean levels"),
    (dict(type='CWDLoss', student_channels=[8], teacher_channels=[8], temperature=1.0), TypeError,
     'CWDLoss has no temperature'),  # its own words, which say more
    (dict(temperature=1.0), ValueError, 'loss_kd has no type'),
    (dict(type='KDLoss'), TypeError, 'loss_kd: KDLoss needs temperature$'),
    (dict(type='KDLoss', temperature=dict(type='GroupTemperature', by='class')), TypeError,
     'loss_kd: temperature: GroupTemperature needs num_classes'),
    (dict(type='KDLoss', temperature=None), ValueError, 'loss_kd: a temperature .* got None'),
    (dict(type='KDLoss', temperature=[1, None]), ValueError, 'loss_kd: a temperature .* got None'),
    (dict(type='KDLoss', temperature=1.0, foreground_weight=2), ValueError,
     'loss_kd: foreground_weight must be'),
    (dict(type='BoxKDLoss', mode='iou', temperature=1.0), TypeError,
     "loss_kd: BoxKDLoss does not take 'temperature'$"),
    (dict(type='CWDLoss', levels=1), ValueError, 'loss_kd: CWDLoss: levels must be .* got 1')])
def test_losses(config, error, message):
    with pytest.raises(error, match=message):
        build_part(config, 'loss_kd')


def test_a_shared_temperature():
    with pytest.raises(ValueError, match="'loss_ctdk' must name a loss.*did you mean loss_ctkd"):
        build_losses(dict(loss_ctkd=GLOBAL, loss_kd=dict(type='KDLoss', temperature='loss_ctdk')),
                     dict(loss_ctkd='logits', loss_kd='logits'), lambda *args: {})


@pytest.mark.parametrize('loss, message', [
    (None, r'loss_kd=None is no loss, .*: loss_kd=dict\(loss_weight=0\)'),
    (2.0, 'loss_kd=2.0 is no loss'), (dict(temperature=1.0), 'loss_kd has no type'),
    (dict(source='roi', temperature=1.0), 'loss_kd has no type'),
    (dict(type='PKDLoss', levels=1), 'loss_kd: levels must be a list of different indices')],
    ids=['none', 'number', 'no_type', 'source', 'levels'])
def test_slips_in_a_detector_name_the_loss(loss, message, teacher):
    with pytest.raises(ValueError, match=message):
        build(distill(student_config(), teacher, dict(loss_ctkd=GLOBAL, loss_kd=loss)))


def test_a_detector(teacher):
    cfg = distill(student_config(), teacher)
    cfg.model.inherits = ['neck']
    with pytest.raises(TypeError, match="Detector does not take 'inherits'; did you mean inherit"):
        build(cfg)


def test_arguments_through_the_bases():
    assert {'temperature', 'foreground_weight', 'loss_weight', 'window'} <= set(
        arguments_of(KDLoss))
    check_arguments(KDLoss, dict(type='KDLoss', _scope_='mmdet', loss_weight=1), 'x')
    with pytest.raises(TypeError, match="x: KDLoss does not take 'zzzz'$"):
        check_arguments(KDLoss, ['zzzz'], 'x')
    check_arguments(KDLoss, ['zzzz'], 'x', only_near=True)


def test_a_loss_without_a_temperature_shares_none():
    with pytest.raises(TypeError, match="loss_box: BoxKDLoss does not take 'temperature'"):
        build_losses(dict(loss_ctkd=GLOBAL, loss_box=dict(
            type='BoxKDLoss', mode='iou', temperature='loss_ctkd')),
            dict(loss_ctkd='logits', loss_box='boxes'), lambda *args: {})

"""Checkpoints whose weights lie under other names, or are there twice."""
import logging

import pytest
import torch
from mmengine.logging import MMLogger

from ctkd_det.models.teachers import TeacherError
from ctkd_det.models.teachers.weights import find_weights, weights_of
from helpers import build, distill, student_config

OWN = {'backbone.bn.weight': 1.0, 'backbone.bn.running_mean': 2.0,
       'backbone.bn.num_batches_tracked': 7, 'roi_head.fc.bias': 4.0}


def tensors(values):
    return {key: torch.tensor(value) for key, value in values.items()}


def found(state_dict):
    weights, notes = find_weights(tensors(state_dict), OWN.keys())
    return {key: value.item() for key, value in weights.items()}, notes


@pytest.mark.parametrize('prefix', ['', 'module.', 'student.', 'architecture.', '_orig_mod.',
                                    'module.student.', 'module._orig_mod.', 'any.thing.'])
def test_prefixes(prefix):
    weights, notes = found({prefix + key: value for key, value in OWN.items()})
    assert weights == OWN
    said = ' '.join(notes)
    assert all(part in said for part in (prefix.replace('_orig_mod.', ''),
                                         '_orig_mod.' if '_orig_mod.' in prefix else ''))
    assert bool(notes) == bool(prefix)


def test_a_compiled_part():
    assert found({key.replace('backbone.', 'backbone._orig_mod.'): value
                  for key, value in OWN.items()})[0] == OWN


def test_what_lies_beside_the_weights_is_left_out():
    """mmrazor's student under architecture., with its teacher and a connector."""
    extra = {'teacher.backbone.bn.weight': 9.0, 'connector.weight': 9.0}
    weights, (note, ) = found({**{f'architecture.{k}': v for k, v in OWN.items()}, **extra})
    assert weights == OWN and 'architecture.' in note and '2 others are left out' in note
    # but under the names themselves nothing is: loading says what is too much
    assert found({**OWN, **extra}) == ({**OWN, **extra}, [])


def test_two_sets_are_refused():
    both = {f'{who}.{key}': value for who in ('student', 'teacher') for key, value in OWN.items()}
    with pytest.raises(ValueError, match=r'holds 2 sets .* under student\. and teacher\.'):
        found(both)


def test_incomplete_weights_lose_their_prefix_all_the_same():
    """So the error names what is missing, not every weight."""
    incomplete = {f'module.student.{key}': value for key, value in OWN.items() if 'fc' not in key}
    assert found(incomplete)[0] == {key: value for key, value in OWN.items() if 'fc' not in key}


def ema(values):
    return {f'ema_{key.replace(".", "_")}': value for key, value in values.items()}


def test_averages_saved_before_the_hook_has_swapped_them():
    averages = {key: value * 10 for key, value in OWN.items() if 'num' not in key}
    counted = dict(averages, **{'backbone.bn.num_batches_tracked': 0})
    weights, (note, ) = found({**OWN, **ema(counted)})
    assert weights == counted and 'those under ema_' in note
    # mmcv's hook averages parameters only
    parameters = {key: value for key, value in averages.items() if 'running' not in key}
    assert found({**OWN, **ema(parameters)})[0] == {**OWN, **parameters}


def test_averages_saved_after_the_swap():
    """mmdet's hooks, of a higher priority than saving: the counters tell."""
    averages = dict(OWN, **{'backbone.bn.num_batches_tracked': 0})
    last = {key: value * 10 for key, value in OWN.items()}
    weights, (note, ) = found({**averages, **ema(last)})
    assert weights == averages and 'swapped before they were saved' in note


def test_a_part_that_is_called_like_an_average_stays():
    own = {**OWN, 'ema_gate.weight': 5.0}
    averages = {key: value * 10 for key, value in OWN.items()}
    weights, _ = find_weights(tensors({**own, **ema(averages)}), own.keys())
    assert weights.keys() == own.keys() and weights['ema_gate.weight'] == 5


def test_averages_that_no_counter_tells():
    """With frozen batch norms none counts; mmdet's own configs have swapped before they save."""
    last = {key: value if 'num' in key else value * 10 for key, value in OWN.items()}
    weights, (note, ) = found({**OWN, **ema(last)})
    assert weights == OWN and 'nothing tells which are the averages' in note


@pytest.mark.parametrize('name', ['model', 'model_state_dict', 'net', 'params', 'ema_state_dict',
                                  'weights'])
@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_an_entry_that_holds_the_weights(name, prefix):
    values = tensors({prefix + key: value for key, value in OWN.items()})
    weights, notes = weights_of({'epoch': 3, name: values, 'optimizer': dict(state={0: 1}),
                                 'args': dict(lr=0.1), 'buffers': {}}, OWN.keys())
    assert {key: value.item() for key, value in weights.items()} == OWN
    assert notes[0] == f'weights in its entry {name!r}' and len(notes) == 1 + bool(prefix)


def test_entries_among_which_nobody_can_choose():
    with pytest.raises(ValueError, match='holds 2 sets .* entries model and model_ema: save'):
        weights_of(dict(model=tensors(OWN), model_ema=tensors(OWN), epoch=3), OWN.keys())


@pytest.mark.parametrize('checkpoint', [
    dict(state_dict=tensors(OWN), model=tensors({key: 9 for key in OWN})),
    dict(tensors(OWN), model=tensors({key: 9 for key in OWN}))])
def test_the_usual_places_come_first(checkpoint):
    weights, _ = weights_of(checkpoint, OWN.keys())
    assert {key: weights[key].item() for key in OWN} == OWN


def test_an_entry_with_other_names_than_of_weights_is_left_alone():
    """Names are printed; those within entries were not looked at before."""
    for name in ('\x1b[2J', 3):
        checkpoint = dict(model={**tensors(OWN), name: torch.zeros(1)})
        assert weights_of(checkpoint, OWN.keys()) == (checkpoint, [])


def test_losses_of_a_distilled_student_are_left_out():
    assert found({**OWN, 'distill_losses.loss_ctkd.temperature.theta': 1.0}) == (OWN, [])


@pytest.fixture
def saved(teacher, tmp_path):
    checkpoint = torch.load(teacher['teacher_ckpt'])

    def save(change):
        torch.save(dict(checkpoint, state_dict=change(checkpoint['state_dict'])),
                   tmp_path / 'changed.pth')
        return build(distill(student_config(), dict(
            teacher, teacher_ckpt=str(tmp_path / 'changed.pth')))).teacher_model.state_dict()

    return checkpoint['state_dict'], save


@pytest.mark.parametrize('change', [
    lambda w: {f'architecture.{k}': v for k, v in w.items()},
    lambda w: {**{k: v * 0 + ('num_batches' in k) for k, v in w.items()}, **ema(w)}])
def test_a_teacher_gets_them_and_the_log_says_so(change, saved, caplog):
    logger = MMLogger.get_instance('weights')
    logger.addHandler(caplog.handler)
    own, save = saved
    with caplog.at_level(logging.INFO):
        loaded = save(change)
    assert all(torch.equal(own[key], loaded[key]) for key in own)
    assert any('changed.pth holds weights' in r.getMessage() for r in caplog.records)


def test_several_sets_name_the_file(saved):
    with pytest.raises(TeacherError, match='changed.pth holds 2 sets'):
        saved[1](lambda w: {f'{who}.{k}': v for who in ('a', 'b') for k, v in w.items()})

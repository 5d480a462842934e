"""Names of logged temperatures, and that they are written in one module alone."""
import ast

import pytest

from ctkd_det.log_names import (
    LoggedTau,
    log_name,
    parse_level,
    parse_tau,
    parse_taus,
    short_name,
    telling_taus,
)
from helpers import ROOT

NAMES = ['loss', 'lr', 'loss_kd', 'kd.tau_mean', 'kd.tau_min', 'kd.lambda', 'kd.theta_grad',
         'group.tau_mean', 'group.tau_foreground', 'group.tau_class_3', 's0.loss_kd', 'acc.level_3']


@pytest.mark.parametrize('name, expected', [
    ('ctkd.tau_mean', LoggedTau('ctkd', 'mean')),
    ('ctkd.tau_class_3', LoggedTau('ctkd', 'class_3')),
    ('ctkd.lambda', None), ('tau_mean', None), ('loss', None), ('s0.loss_kd', None)])
def test_a_name_is_taken_apart_and_put_together_again(name, expected):
    tau = parse_tau(name)
    assert tau == expected
    assert tau is None or tau.name == name


def test_a_loss_and_its_short_name_log_under_the_same_name():
    assert log_name('loss_ctkd', 'lambda') == log_name('ctkd', 'lambda') == 'ctkd.lambda'
    assert short_name('loss_ctkd') == 'ctkd'


def test_groups_tell_more_than_their_mean():
    assert list(parse_taus(NAMES)) == ['kd.tau_mean', 'kd.tau_min', 'group.tau_mean',
                                       'group.tau_foreground', 'group.tau_class_3']
    assert list(telling_taus(NAMES)) == ['kd.tau_mean', 'group.tau_foreground', 'group.tau_class_3']
    assert not LoggedTau('kd', 'max').is_group and LoggedTau('kd', 'background').is_group


def test_levels():
    assert parse_level('pkd.level0') == ('pkd', 'level0')
    assert parse_level('level0') is parse_level('pkd.levels') is parse_level('pkd.tau_mean') is None


def strings(tree):
    """Every string of a module, parts of f-strings too, but no docstring."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docs = {id(node.body[0].value) for node in ast.walk(tree)
            if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)}
    return [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)
            and isinstance(node.value, str) and id(node) not in docs]


def test_nothing_else_writes_these_names():
    files = [f for folder in ('ctkd_det', 'ctkd_det_cli', 'tools')
             for f in (ROOT / folder).rglob('*.py') if f.name != 'log_names.py']
    wrong = [(str(f.relative_to(ROOT)), text) for f in files
             for text in strings(ast.parse(f.read_text(encoding='utf-8'))) if '.tau_' in text]
    assert len(files) > 50 and wrong == []

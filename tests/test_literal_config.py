"""A dumped config is read as data: the same as mmengine's, and never executed."""
import ast
import math

import pytest
from mmengine.config import Config

from ctkd_det.literal_config import is_dump, parse_literals, read_literal_config
from helpers import CONFIGS


@pytest.mark.parametrize('name', ['shapes/ctkd.py', 'students/faster-rcnn_r18_fpn_1x_coco.py'])
def test_a_dumped_config_is_what_mmengine_reads(tmp_path, name):
    Config.fromfile(CONFIGS / name).dump(tmp_path / 'config.py')
    ours = read_literal_config(tmp_path / 'config.py')
    assert ours.to_dict() == Config.fromfile(tmp_path / 'config.py').to_dict()
    assert isinstance(ours.model, dict) and ours.model.type


def test_a_dump_that_was_edited_is_none(tmp_path):
    file = tmp_path / 'config.py'
    Config(dict(model=dict(type='A', b=[1, 2]), a=1)).dump(file)
    text = file.read_text()
    for added, expected in (('', True), ('\n\n', True), ('# mine\n', False), ('z = 2\n', True),
                            ("_base_ = 'x.py'\n", False), ('import os\n', False)):
        file.write_text(f'{text}\n{added}')
        assert is_dump(file) == expected, added
    file.write_text(text.replace('=', ' = '))  # as another version of yapf may write it
    assert is_dump(file) and not is_dump(tmp_path / 'none.py')


def test_values_that_are_no_python_names(tmp_path):
    values = {'a-b': {'0.conv': [1, (2.5, -3), {'x': None}]}, 'text': 'it\'s "so"\n', 'n': -1}
    Config(dict(model=values, low=-1e-3, one=(1, ))).dump(tmp_path / 'config.py')
    assert read_literal_config(tmp_path / 'config.py').to_dict() == dict(
        model=values, low=-1e-3, one=(1, ))
    floats = parse_literals('a = inf\nb = dict(c=[-inf, nan])')
    assert floats['a'] == math.inf and floats['b']['c'][0] == -math.inf
    assert math.isnan(floats['b']['c'][1])


@pytest.mark.parametrize('value', [
    range(3), range(5, -1, -2), set(), {1, 2}, frozenset(), frozenset([1]), slice(1, 2),
    slice(None), 1 + 2j, -1 - 2j, 2j, {'a': (frozenset('b'), [range(2)])}], ids=str)
def test_other_values_that_mmengine_dumps(value, tmp_path):
    file = tmp_path / 'config.py'
    Config(dict(a=value, b=dict(c=[value]))).dump(file)
    found = read_literal_config(file).to_dict()
    assert found == dict(a=value, b=dict(c=[value])) and type(found['a']) is type(value)
    assert is_dump(file)


def test_what_is_nested_too_deeply_is_no_dump(tmp_path, monkeypatch):
    """150 brackets are read, but yapf, which these tests go without, cannot format them."""
    def formatted(config):
        raise SyntaxError('Failed to format the config file')
    monkeypatch.setattr(Config, 'pretty_text', property(formatted))
    file = tmp_path / 'config.py'
    file.write_text('a = ' + '[' * 150 + '1' + ']' * 150)
    assert not is_dump(file)


def test_other_expressions_may_stay_texts():
    text = "a = deque([1, 2])\nb = dict(c=[Color.RED, 3], d={'e': range(2)})"
    assert parse_literals(text, other=ast.unparse) == dict(
        a='deque([1, 2])', b=dict(c=['Color.RED', 3], d=dict(e=range(2))))


@pytest.mark.parametrize('text, said', [
    ('import os\n', 'line 1 is no assignment'),
    ('a = 1\nb = open("{mark}", "w")\n', 'line 2 holds "open('),
    ('a = dict(b=[__import__("pathlib").Path("{mark}").touch()])', 'no plain value'),
    ('a = [x for x in (1, 2)]', 'no plain value'),
    ('a = dict(**{{}})', 'which is no plain value'),
    ('a.b = 1', 'line 1 is no assignment'),
    ('class A:\n    open("{mark}", "w")\n', 'line 1 is no assignment'),
    ('a = ', 'invalid syntax'),
    # plain values, until mmengine replaces what is in braces
    ("a = 1\nb = '{{{{$N:x}}}}'", "line 2 holds '{{'"),
    ('a = ' + '[' * 5000, ''),
    ('a = {{ []: 1}}', 'unhashable'), ('a = {{1, []}}', 'unhashable'),
    ('a = frozenset([1])', 'no plain value'), ('a = set(range(9))', 'no plain value'),
    ('a = range(10 ** 9)', 'no plain value'), ('a = range(1000000000)', 'no plain value'),
    ('a = range(0, 1, 0)', 'must not be zero'), ('a = slice(open("{mark}", "w"))', 'no plain'),
    ('a = range("{mark}")', 'no plain value'), ('a = 1 + 1', 'no plain value'),
    ('a = 1j * 3', 'no plain value'), ('a = 1' + '0' * 400 + ' + 1j', 'too large'),
])
def test_code_is_refused_and_not_executed(tmp_path, text, said):
    file, mark = tmp_path / 'config.py', tmp_path / 'executed'
    file.write_text(text.format(mark=mark))
    with pytest.raises(ValueError, match='no config as mmengine dumps it') as raised:
        read_literal_config(file)
    assert said in str(raised.value) and str(file) in str(raised.value)
    assert not mark.exists()

"""Text is read and written as UTF-8, whatever the system's locale is."""
import ast

import pytest

from helpers import ROOT

SOURCES = sorted(path for folder in ('ctkd_det', 'ctkd_det_cli', 'tools')
                 for path in (ROOT / folder).rglob('*.py'))


def without_encoding(tree: ast.AST) -> list:
    """Lines of calls that leave the encoding of text to the locale."""
    lines = []
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        named = {keyword.arg for keyword in call.keywords}
        method = call.func.attr if isinstance(call.func, ast.Attribute) else None
        mode = call.args[1].value if len(call.args) > 1 and isinstance(
            call.args[1], ast.Constant) else ''
        opens = isinstance(call.func, ast.Name) and call.func.id == 'open' and 'b' not in str(mode)
        if (method in ('read_text', 'write_text') or opens) and 'encoding' not in named:
            lines.append(call.lineno)
    return lines


@pytest.mark.parametrize('source, lines', [
    ("p.read_text()\nq.read_text('x', encoding='utf-8')", [1]), ("open('f', 'rb')\nopen('f')", [2]),
    ("q.read_text(errors='replace')\n\np.write_text(x)\nImage.open(x)", [1, 3])])
def test_the_search_finds_them(source, lines):
    assert without_encoding(ast.parse(source)) == lines


def test_every_file_names_its_encoding():
    found = {str(path.relative_to(ROOT)): lines for path in SOURCES
             if (lines := without_encoding(ast.parse(path.read_text(encoding='utf-8'))))}
    assert found == {}

"""griffe: our docstrings' Sphinx roles and formulas, as Markdown."""
import re
import textwrap

import griffe

MATH_BLOCK = re.compile(r'^( *)\.\. math::\n\n?((?:\1 +\S.*\n?|\n)+)', re.M)


class RstRoles(griffe.Extension):
    """Rewrites each docstring before it is parsed."""

    def on_instance(self, *, obj, **kwargs):
        """Rewrite the docstring of an object."""
        if not obj.is_alias and obj.docstring:
            obj.docstring.value = to_markdown(obj.docstring.value)


def to_markdown(text):
    text = MATH_BLOCK.sub(
        lambda m: f'$$\n{textwrap.dedent(m.group(2)).strip()}\n$$\n\n', text)
    text = re.sub(r':math:`([^`]+)`', r'$\1$', text)
    text = re.sub(r':(?:class|meth|func|mod|data|attr):`~?(?:[\w.]*\.)?(\w+)`', r'`\1`', text)
    return text.replace('``', '`')

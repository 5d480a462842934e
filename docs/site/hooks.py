"""mkdocs: formulas become MathML, and files outside ``docs/`` are part of the site."""
import re
from html import unescape
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
# what pages may link to outside docs/
OUTSIDE = ('configs/*/*.md', 'configs/**/*.py', 'demo/*.ipynb', 'tools/**/*.py')
FORMULA = re.compile(r'<(span|div) class="arithmatex">(?:\\\((.*?)\\\)|\\\[(.*?)\\\])</\1>', re.S)


def on_files(files, config):
    """Recipes, tools and the notebook, at the paths they have in the repository."""
    for pattern in OUTSIDE:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown, page, config, files):
    """docs/ is the root of the site: what is beside it in the repository is below it there."""
    if page.file.src_uri.startswith('configs/'):
        return markdown
    up = '../' * page.file.src_uri.count('/')  # to the root of the site
    return markdown.replace(f']({up}../', f']({up}')


def on_page_content(html, page, config, files):
    """Formulas as MathML, which browsers show without a script or a font from elsewhere."""
    return FORMULA.sub(_to_mathml, html)


def _to_mathml(match):
    inline, block = match.group(2), match.group(3)
    return convert(unescape(inline or block).strip(), display='block' if block else 'inline')

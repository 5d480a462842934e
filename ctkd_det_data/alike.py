"""Names that look alike and are not the same: other letter case, spaces, spelling of accents."""
import unicodedata
from typing import Dict, Iterable, List, Sequence

ALIKE, SPELL = 'are classes of their own', 'spell them alike if they are not meant to be'


def _look(name: object) -> str:
    """What is seen of a name: without zero-width characters, and with single spaces."""
    plain = unicodedata.normalize('NFKC', str(name))
    return ' '.join(''.join(c for c in plain if unicodedata.category(c) != 'Cf').split())


def pairs(names: Iterable[str]) -> str:
    """The names that differ in letter case or in what cannot be seen, as 'A and B; ...', or ''."""
    groups: Dict[str, List[str]] = {}
    for name in sorted(set(names)):
        groups.setdefault(_look(name.casefold()), []).append(name)
    return '; '.join(' and '.join(written(group)) for group in groups.values() if len(group) > 1)


def written(names: Sequence[str], beside: Iterable[str] = ()) -> List[str]:
    """Each name in quotes, with escapes if another of the names, or one ``beside``, looks alike."""
    names, spelt = list(names), {}
    for name in (*names, *beside):
        spelt.setdefault(_look(name), set()).add(name)
    return [(ascii if len(spelt[_look(name)]) > 1 else repr)(name) for name in names]


def some(names: Sequence[str], beside: Iterable[str] = (), most: int = 4) -> str:
    """The first names, as :func:`written` has them."""
    return ', '.join(written(names, beside)[:most]) + (' ...' if len(names) > most else '')

"""Findings about a data set, and errors."""
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

OK, WARN, FAIL = 'ok', 'warn', 'fail'


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a file.

    Attributes:
        level: The consequence for a config that reads the file as it is. 'warn':
            the training works, but loses objects or reports a wrong number.
            'fail': the training stops, learns nothing or learns something
            wrong.
        file: The annotation file.
        what: How many entries are concerned and which is the first.
        mend: What the user can do.
        read_as: How ``--data`` corrects it; empty if it cannot.
    """
    level: str
    file: Path
    what: str
    mend: str = ''
    read_as: str = ''

    @property
    def level_when_cleaned(self) -> str:
        """str: The level for a config that reads the cleaned copy."""
        return WARN if self.read_as and self.level == FAIL else self.level

    def __str__(self) -> str:
        return f'{self.file}: {self.what}' + (f'. To mend it: {self.mend}' if self.mend else '')


class DataError(ValueError):
    """A file or folder is no data set that can be used.

    Attributes:
        message: What is wrong, with the file's name.
        mend: What the user can do.
    """

    def __init__(self, message: str, mend: str = '') -> None:
        super().__init__(message + (f'. To mend it: {mend}' if mend else ''))
        self.message, self.mend = message, mend


class Tally:
    """Counts entries and remembers the first.

    Args:
        file (Path): The annotation file.
        total (int): The number of all entries.
        noun (str): The plural noun for the entries.
    """

    def __init__(self, file: Path, total: int, noun: str = 'boxes') -> None:
        self.file, self.total, self.noun = file, total, noun
        self.number, self.first = 0, ''

    def __bool__(self) -> bool:
        return self.number > 0

    def add(self, first: str) -> None:
        """Count an entry; ``first`` describes it."""
        if not self.number:
            self.first = first
        self.number += 1

    @property
    def share(self) -> float:
        """float: The share of the total, 0 to 1."""
        return self.number / max(self.total, 1)

    def finding(self, level: str, predicate: str, mend: str = '', read_as: str = '') -> Finding:
        """Make the finding '2 of 5 boxes <predicate>; the first: ...'."""
        first = f'; the first: {self.first}' if self.first else ''
        return Finding(level, self.file,
                       f'{self.number} of {self.total} {self.noun} {predicate}{first}', mend,
                       read_as)


def row(key: str, index: int, entry: Optional[dict] = None) -> str:
    """The place of an entry in the file, as 'annotations[3] (id 7)'."""
    known = isinstance(entry, dict) and 'id' in entry
    return f'{key}[{index}]' + (f' (id {entry["id"]!r})' if known else '')

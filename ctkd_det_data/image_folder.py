"""Finds image files below a folder by the names that annotation tools give them."""
import os
import unicodedata
from contextlib import suppress
from pathlib import Path
from typing import Dict, Iterator, Optional, Set
from urllib.parse import parse_qs, unquote, urlsplit


class ImageFolder:
    """The files below a folder; each directory is listed once.

    Attributes:
        no_images: Files that are known to be no images.
    """

    def __init__(self, root: Path) -> None:
        self.root, self._start = root, str(root)
        self._listed: Dict[str, Dict[str, int]] = {}
        self._lower: Dict[str, Dict[str, str]] = {}
        self.no_images: Set[str] = set()

    def bytes_of(self, name: str) -> Optional[int]:
        """Size of a file in bytes; None if there is none."""
        # the same as with pathlib, but several times faster
        folder, base = os.path.split(os.path.join(self._start, name))
        return self._list(folder).get(base)

    def find(self, name: str) -> Optional[str]:
        """Find the file that ``name`` probably means, relative to the folder.

        Annotation tools write paths of other machines, backslashes of
        Windows, URLs, and names in another case.
        """
        if self.bytes_of(name) is not None:
            return name
        for candidate in _readings(name):
            if self.bytes_of(candidate) is not None:
                return candidate
            parent = os.path.split(os.path.join(self._start, candidate))[0]
            files = self._list(parent)
            if parent not in self._lower:
                self._lower[parent] = {file.lower(): file for file in files}
            other = self._lower[parent].get(Path(candidate).name.lower())
            if other:
                return (Path(candidate).parent / other).as_posix()
        return None

    def _list(self, folder: str) -> Dict[str, int]:
        if folder not in self._listed:
            found: Dict[str, int] = {}
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        with suppress(OSError):  # a link in a circle is no file
                            if entry.is_file():
                                found[entry.name] = entry.stat().st_size
            except (OSError, ValueError):  # no such folder: it has no files
                pass
            self._listed[folder] = found
        return self._listed[folder]


def _readings(name: str) -> Iterator[str]:
    """The paths that a name may mean: whole, then without its first folders, longest first.

    Each is spelt in both ways, as macOS writes an accent as a letter of its own.
    """
    plain = unquote(name).replace('\\', '/')
    try:
        address = urlsplit(plain)
        parts = (address.path, parse_qs(address.query).get('d', [''])[0])
    except ValueError:  # brackets that are no address of a machine
        parts = ()
    texts = list(dict.fromkeys((name, name.replace('\\', '/'), plain, *parts)))
    pieces = [[folder for folder in text.split('/') if folder not in ('', '.')] for text in texts]
    ends = ('/'.join(folders[-length:]) for length in range(max(map(len, pieces)), 0, -1)
            for folders in pieces if len(folders) >= length and '..' not in folders[-length:])
    for text in (*texts, *ends):
        if text:
            yield from (unicodedata.normalize(form, text) for form in ('NFC', 'NFD'))

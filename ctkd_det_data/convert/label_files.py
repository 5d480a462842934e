"""Finds the text file of labels that belongs to each image of a YOLO set."""
import unicodedata
from pathlib import Path
from typing import Dict, List, Sequence, Set

from ..findings import DataError
from ..numbers import as_number
from ..reading import read_text


def label_files(root: Path, files: Sequence[Path], images: Sequence[Path]) -> Dict[Path, Path]:
    """The text file of each image that has one: of its own name, else of one that is spelt so.

    macOS spells accents apart, and tools for Windows mix upper and lower case.

    Raises:
        DataError: if an image has two texts that differ, or a text two images.
    """
    texts = [file for file in files if file.suffix.lower() == '.txt']
    exact, found, owner = set(texts), {}, {}
    for image in images:
        _give(image, [file for file in _places(root, image) if file in exact], found, owner)
    spelt: Dict[str, List[Path]] = {}
    for file in texts:
        if file not in owner:
            spelt.setdefault(_spelling(file), []).append(file)
    for image in images:
        if image not in found:
            _give(image, [file for place in _places(root, image)
                          for file in spelt.get(_spelling(place), [])], found, owner)
    return found


def _places(root: Path, image: Path) -> List[Path]:
    parts = list(image.relative_to(root).with_suffix('.txt').parts)
    return [image.with_suffix('.txt'), *(root.joinpath(*parts[:i], 'labels', *parts[i + 1:])
                                         for i, word in enumerate(parts)
                                         if word.casefold() == 'images')]


def _spelling(file: Path) -> str:
    return unicodedata.normalize('NFC', file.as_posix()).casefold()


def _give(image: Path, texts: Sequence[Path], found: Dict[Path, Path], owner: Dict[Path, Path]
          ) -> None:
    for text in texts[1:]:
        if text.read_bytes() != texts[0].read_bytes():
            raise DataError(f'{texts[0]} and {text} both belong to the image {image}, and '
                            'differ', 'delete one of them')
    for text in texts:
        if owner.setdefault(text, image) != image:
            raise DataError(f'{text} belongs to two images, {owner[text]} and {image}',
                            'give each image its own name')
    if texts:
        found[image] = texts[0]


def alone(root: Path, files: Sequence[Path], used: Set[Path]) -> List[str]:
    """A note on files of labels whose image is not there, or none."""
    left = [file for file in files if file.suffix.lower() == '.txt' and file not in used
            and _has_labels(file)]
    return [f'{len(left)} text files have labels, but no image (the first: '
            f'{left[0].relative_to(root)})'] if left else []


def _has_labels(file: Path) -> bool:
    try:
        first = read_text(file).split('\n', 1)[0].split()
    except DataError:  # nobody needs this file
        return False
    return len(first) >= 5 and all(as_number(word) is not None for word in first)

"""Finds the image that an annotation file belongs to."""
import os
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence

from ..findings import DataError
from .files import bare, by_name
from .parts import folder_of_part

_FOLDERS = ('images', 'jpegimages', 'imgs', 'img')
# masks that have the names of the images
_MASKS = ('segmentationclass', 'segmentationobject')


class Images:
    """The images below a folder, and which annotation file each one has.

    Args:
        root (Path): The folder.
        files (Sequence[Path]): The files below it.
    """

    def __init__(self, root: Path, files: Sequence[Path]) -> None:
        self.root = root
        self.named = by_name(
            file for file in files if not any(
                folder.lower().startswith(_MASKS) for folder in file.relative_to(root).parts[:-1]))
        self._owner: Dict[Path, Path] = {}

    def of(self, file: Path, stated: str) -> Optional[Path]:
        """The image of an annotation file, by the name that it states or by its own name.

        Raises:
            DataError: if both names have an image, and not the same; if
                several images have the name and none is closer; if the image
                has another annotation file, or is of another part.
        """
        stated = stated.strip().replace('\\', '/')
        own = file.stem
        image = self._closest(file, bare(stated), stated)
        other = self._closest(file, own, own) if bare(stated) != own else None
        if image and other:
            raise DataError(f'{file} names the image {image}, but has the name of {other}',
                            'correct the name in the file, or move the image away that is not its')
        image = image or other
        if image is None:
            return None
        if image in self._owner:
            raise DataError(f'{self._owner[image]} and {file} both belong to the image {image}',
                            'delete one of them')
        parts = [folder_of_part(path, self.root)[0] for path in (file, image)]
        if None not in parts and parts[0] != parts[1]:
            raise DataError(f'{file}: the only image of that name is {image}, of another part',
                            'put its image beside it')
        self._owner[image] = file
        return image

    def without(self, kind: str) -> List[str]:
        """A note on images that no annotation file belongs to, or none."""
        images = [image for group in self.named.values() for image in group]
        alone = [image for image in images if image not in self._owner]
        return [f'{len(alone)} of {len(images)} images have no {kind} file and were left out (the '
                f'first: {min(alone).relative_to(self.root)})'] if alone else []

    def _closest(self, file: Path, name: str, stated: str) -> Optional[Path]:
        found = self.named.get(name, [])
        if len(found) > 1:
            exact = Path(os.path.normpath(file.parent / stated))
            for rule in (lambda image: image == exact and '/' in stated,
                         lambda image: image.parent == file.parent,
                         lambda image: self._mirrors(file.parent, image.parent),
                         lambda image: image.name == Path(stated).name):
                found = _only(found, rule)
        if len(found) > 1:
            raise DataError(f'{file}: its image may be {found[0]} or {found[1]}',
                            'give each image its own name, or put each annotation beside its image')
        return found[0] if found else None

    def _mirrors(self, ours: Path, theirs: Path) -> bool:
        """Whether the paths differ in one folder, which is called ``images`` or ``JPEGImages``."""
        a, b = ours.relative_to(self.root).parts, theirs.relative_to(self.root).parts
        differ = [y for x, y in zip(a, b, strict=False) if x != y]
        return len(a) == len(b) and len(differ) == 1 and differ[0].lower() in _FOLDERS


def _only(images: List[Path], rule: Callable[[Path], bool]) -> List[Path]:
    return [image for image in images if rule(image)] or images

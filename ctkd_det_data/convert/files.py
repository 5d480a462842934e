"""The files below a folder, and images by their names."""
import os
from pathlib import Path, PurePosixPath
from typing import Dict, Iterable, List

from ..findings import DataError

# of systems, not of users: the root of a disk has them
_SYSTEM = ('__MACOSX', 'lost+found', '$RECYCLE.BIN', 'System Volume Information', '@eaDir')
# formats of phones, which no OpenCV reads
HEICS = ('.heic', '.heif')
# OpenCV 5 reads the others, all but GIF and AVIF since 4; who looks into a file says what is wrong
IMAGES = ('.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.apng', '.bmp', '.tif', '.tiff', '.webp',
          '.ppm', '.pgm', '.pbm', '.pnm', '.jp2', '.gif', '.avif', *HEICS)


def walk(root: Path) -> List[Path]:
    """All files below a folder, sorted; hidden ones (of editors, git, macOS) are not data.

    Links to folders are followed, because data often lie on another disk. A
    link to a folder that holds it is passed over.

    Raises:
        DataError: if a folder is reached in two ways: it is not clear which
            of its names is meant, and each image would be there twice; if a
            link leads nowhere, or a folder cannot be read.
    """
    def stop(error: OSError) -> None:
        raise DataError(f'{error.filename} cannot be read: {error.strerror}') from error

    found: List[Path] = []
    seen: Dict[str, Path] = {}
    for name, folders, files in os.walk(root, followlinks=True, onerror=stop):
        folder, real = Path(name), os.path.realpath(name)
        if real in seen:
            folders.clear()
            if not folder.is_relative_to(seen[real]):
                raise DataError(f'{seen[real]} and {folder} are one folder, by a link',
                                'remove the link, or move the folder out of the data set')
            continue
        seen[real] = folder
        folders[:] = sorted(f for f in folders if not f.startswith('.') and f not in _SYSTEM)
        found += [folder / file for file in files if not file.startswith('.')]
    for file in found:
        if file.is_symlink() and not file.exists():
            raise DataError(f'{file} is a link to {os.readlink(file)}, which is not there',
                            'mount that disk, or delete the link')
    return sorted(file for file in found if file.is_file())


def bare(name: str) -> str:
    """The name of an image without its folder and its suffix; ``photo.1`` has no suffix."""
    path = PurePosixPath(name.strip().replace('\\', '/'))
    return path.stem if path.suffix.lower() in IMAGES else path.name


def by_name(files: Iterable[Path]) -> Dict[str, List[Path]]:
    """The images among files, by their names without suffix; two folders may have one name."""
    found: Dict[str, List[Path]] = {}
    for file in files:
        if file.suffix.lower() in IMAGES:
            found.setdefault(file.stem, []).append(file)
    return found

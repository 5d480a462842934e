"""Files that are written whole, or not at all."""
import contextlib
import errno
import os
from pathlib import Path
from typing import Any, Callable, Iterator


def write_whole(file: Path, write: Callable[[Path], Any]) -> None:
    """Write beside the file, then rename: what was there before stays until the end.

    Args:
        file (Path): Its folder is made if need be.
        write (Callable): Writes to the path that it is given, with the same suffix.

    Raises:
        OSError: if it cannot be written; the message names it, and why.
    """
    if is_device(file):
        write(file)
        return
    file = file.resolve()  # a link stays one
    with _beside(file) as partial:
        write(partial)
        partial.replace(file)


def check_writable(file: Path) -> None:
    """See whether a file can be written, without a trace of it.

    Raises:
        OSError: as :func:`write_whole`, also if nothing fits on the disk.
    """
    if not is_device(file):
        with _beside(file.resolve()) as partial:
            partial.write_bytes(b' ' * 4096)


def is_device(file: Path) -> bool:
    """Whether it takes what is written at once, as /dev/stdout: nothing can be renamed to it."""
    # unlike a Path, these take a name that is too long for one that is not there
    return os.path.exists(file) and not (os.path.isfile(file) or os.path.isdir(file))


@contextlib.contextmanager
def _beside(file: Path) -> Iterator[Path]:
    partial = file.with_name(f'{file.stem}.partial{file.suffix}')
    try:
        if os.path.isdir(file):
            raise IsADirectoryError(errno.EISDIR, 'it is a folder')
        file.parent.mkdir(parents=True, exist_ok=True)
        yield partial
    except OSError as error:
        raise OSError(f'{file} cannot be written ({error.strerror or error})') from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()

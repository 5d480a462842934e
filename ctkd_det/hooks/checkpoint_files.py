"""Checkpoint files that are whole or not there, and which of them to resume from."""
import hashlib
import os
import re
import shutil
from pathlib import Path
from typing import List, NamedTuple, Optional, Pattern, Tuple

from ..compat.reading import find_fault

PARTIAL, CHECKSUM, POINTER = '.partial', '.sha256', 'last_checkpoint'
# of a training that SIGTERM ended within an epoch: completed epochs, and all iterations
INTERRUPTED = 'interrupted_epoch_{}_iter_{}.pth'


class SavingError(RuntimeError):
    """A checkpoint cannot be written, there is none to go on from, or one is in the way."""


def commit(partial: Path, path: Path) -> None:
    """Give a written file its name, so that a crash at any moment leaves a whole one.

    The file is on the disk before it gets the name. Its checksum is written
    beside it, in the format of ``sha256sum``: first, where the name is free,
    so that no crash leaves the file without it. Where the name changes hands,
    the old checksum is gone before and the new one comes after, so none ever
    belongs to another file.
    """
    if partial.is_dir():  # of deepspeed
        shutil.rmtree(path, ignore_errors=True)
        os.replace(partial, path)
        return
    _sync(partial)
    checksum, is_free = f'{sha256(partial)}  {path.name}\n', not path.exists()
    if is_free:
        write_text(_beside(path), checksum)
    else:
        _beside(path).unlink(missing_ok=True)
    os.replace(partial, path)
    _sync(path.parent)
    if not is_free:
        write_text(_beside(path), checksum)


def write_text(path: Path, text: str) -> None:
    """Write a small file so that it holds the old text or the new one, never half of it."""
    partial = path.with_name(path.name + PARTIAL)
    partial.write_text(text, encoding='utf-8')
    _sync(partial)
    os.replace(partial, path)
    _sync(path.parent)


def remove(path: Path) -> None:
    """Remove a checkpoint and its checksum, where they are there."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    _beside(path).unlink(missing_ok=True)


def fault(path: Path) -> Optional[str]:
    """Why a file is no whole checkpoint, as the end of a sentence; None if it is whole.

    What tells is the checksum beside it or, without one, those that torch's
    archive holds of its parts.
    """
    if not path.exists():
        return 'does not exist'
    if path.is_dir():  # of deepspeed, which has no checksum
        return None
    try:
        words = _beside(path).read_text(encoding='utf-8').split() if _beside(path).is_file() else []
        if words and len(words[0]) == 64 and words[0] != sha256(path):
            return find_fault(path) or f'is not the file that {_beside(path).name} is of'
        return find_fault(path)
    except OSError as error:
        return f'cannot be read ({error.strerror})'


class Choice(NamedTuple):
    """Which checkpoint to resume from.

    Attributes:
        path: The newest whole one; None if there is none.
        skipped: Those that were preferred to it, each with its fault.
        newer: Those that are newer, but not what ``last_checkpoint`` names.
    """
    path: Optional[Path]
    skipped: List[Tuple[Path, str]]
    newer: List[Path]


class CheckpointFolder:
    """The checkpoints of a training.

    Args:
        folder (Path): Where they lie.
        work_dir (Path): Where ``last_checkpoint``, which names the last, lies.
        filename_tmpl (str): Their names, with ``{}`` for the number.
    """

    def __init__(self, folder: Path, work_dir: Path, filename_tmpl: str) -> None:
        self.folder, self.pointer = folder, work_dir / POINTER
        self.patterns = [_pattern(filename_tmpl), _pattern(INTERRUPTED)]

    def files(self) -> List[Path]:
        """Checkpoints to resume from, the most advanced first."""
        found = [path for path in self.folder.glob('*') if self.progress(path)]
        return sorted(found, key=self.progress, reverse=True)

    def progress(self, path: Path) -> Tuple[int, ...]:
        """What the name says of how far the training was; () if it is no such name."""
        for pattern in self.patterns:
            match = pattern.fullmatch(path.name)
            if match:
                return tuple(map(int, match.groups()))
        return ()

    def choose(self) -> Choice:
        """The newest whole one, or the one that ``last_checkpoint`` was made to name.

        A pointer that is older than a more advanced file is one that a crash
        kept from being written, and is not followed.
        """
        files, named = self.files(), self._named()
        newer = []
        if named is not None:
            written = self.pointer.stat().st_mtime
            newer = [path for path in files if path != named and path.stat().st_mtime <= written
                     and self.progress(path) > self.progress(named) != ()]
            files = [path for path in files if path not in newer]
            if named not in files:
                files.insert(0, named)
        skipped = []
        for path in [*files, *newer]:
            reason = fault(path)
            if reason is None:
                return Choice(path, skipped, [p for p in newer if path == named])
            skipped.append((path, reason))
        return Choice(None, skipped, [])

    def remove_leftovers(self) -> None:
        """Remove what a crash left half written."""
        for path in [*self.folder.glob(f'*{PARTIAL}'), *self.pointer.parent.glob(f'*{PARTIAL}')]:
            remove(path)
            whole = path.with_name(path.name.removesuffix(PARTIAL))
            if not whole.exists():  # a checksum that waits for it
                _beside(whole).unlink(missing_ok=True)

    def remove_interrupted(self, before: int) -> None:
        """Remove checkpoints within epochs that are complete now."""
        for path in self.folder.glob(INTERRUPTED.format('*', '*')):
            progress = self.progress(path)
            if progress and progress < (before, 0):
                remove(path)

    def _named(self) -> Optional[Path]:
        """What ``last_checkpoint`` names, also after the folder has moved; None if nothing."""
        if not self.pointer.is_file():
            return None
        text = self.pointer.read_text(encoding='utf-8', errors='replace').strip()
        here = self.folder / Path(text).name
        # what a crash has left of the pointer may be anything
        if '\0' in text or len(here.name) > 200 or here.suffix != '.pth':
            return None
        return here if here.exists() or not Path(text).exists() else Path(text)


def _pattern(template: str) -> Pattern:
    return re.compile(re.escape(template).replace(r'\{\}', r'(\d+)'))


def _beside(path: Path) -> Path:
    return path.with_name(path.name + CHECKSUM)


def sha256(path: Path) -> str:
    """The checksum of a file, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    if path.is_dir() and os.name == 'nt':  # which cannot open folders
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Writes checkpoint files so that each is complete, and chooses the one to resume from."""
import os
import re
import shutil
from pathlib import Path
from typing import Any, List, NamedTuple, Optional, Pattern, Tuple

from ..checksums import sha256
from ..compat.reading import find_fault

PARTIAL, CHECKSUM, POINTER, PROBE = '.partial', '.sha256', 'last_checkpoint', '.probe'
# the name if SIGTERM ends a training within an epoch: completed epochs, and all iterations
INTERRUPTED = 'interrupted_epoch_{}_iter_{}.pth'


class SavingError(RuntimeError):
    """A checkpoint cannot be written, is missing for a resume, or would be replaced."""


def commit(partial: Path, path: Path) -> None:
    """Rename a written file, so that a crash at any moment leaves a complete one.

    The file is on the disk before it is renamed. Its checksum is written
    beside it, in the format of ``sha256sum``. If no file has the name yet, the
    checksum comes first, so that no crash leaves the file without it. If the
    name belongs to an older file, that file's checksum is removed before the
    renaming and the new one is written after it. So no checksum ever stands
    beside another file.
    """
    if partial.is_dir():  # of deepspeed
        shutil.rmtree(path, ignore_errors=True)
        os.replace(partial, path)
        return
    _sync(partial)
    checksum, is_free = _checksum(partial, path.name), not path.exists()
    if is_free:
        write_text(_beside(path), checksum)
    else:
        _beside(path).unlink(missing_ok=True)
    os.replace(partial, path)
    _sync(path.parent)
    if not is_free:
        write_text(_beside(path), checksum)


def write_text(path: Path, text: str) -> None:
    """Write a small file; a crash leaves the old text or the new one, never a part."""
    partial = path.with_name(path.name + PARTIAL)
    partial.write_text(text, encoding='utf-8')
    _sync(partial)
    os.replace(partial, path)
    _sync(path.parent)


def remove(path: Path) -> None:
    """Remove a checkpoint and its checksum, if they exist."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    _beside(path).unlink(missing_ok=True)


def fault(path: Path) -> Optional[str]:
    """Why a file is no complete checkpoint, as the end of a sentence; None if it is complete.

    The checksum beside it decides or, if there is none, the checksums in
    torch's archive.
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
        path: The newest complete one; None if there is none.
        skipped: Damaged ones that would have been taken first, with their faults.
        newer: Newer ones, if ``last_checkpoint`` names ``path``.
    """
    path: Optional[Path]
    skipped: List[Tuple[Path, str]]
    newer: List[Path]


class CheckpointFolder:
    """The checkpoints of a training.

    Args:
        folder (Path): The folder of the checkpoints.
        work_dir (Path): The folder of ``last_checkpoint``, which names the last one.
        filename_tmpl (str): Their names, with ``{}`` for the number.
    """

    def __init__(self, folder: Path, work_dir: Path, filename_tmpl: str) -> None:
        self.folder, self.pointer = folder, work_dir / POINTER
        self.patterns = [_pattern(filename_tmpl), _pattern(INTERRUPTED)]
        # mmengine's names of the best checkpoints
        self.best_names = re.compile('best_.+_' + self.patterns[0].pattern)

    def files(self) -> List[Path]:
        """List the checkpoints to resume from, the most advanced one first."""
        found = [path for path in self.folder.glob('*') if self.progress(path)]
        return sorted(found, key=self.progress, reverse=True)

    def progress(self, path: Path) -> Tuple[int, ...]:
        """The progress of the training by a file's name; () for any other name."""
        for pattern in self.patterns:
            match = pattern.fullmatch(path.name)
            if match:
                return tuple(map(int, match.groups()))
        return ()

    def choose(self) -> Choice:
        """Choose the newest complete one, or the one that a user wrote into ``last_checkpoint``.

        If a more advanced file is newer than ``last_checkpoint``, a crash came
        before ``last_checkpoint`` was written; then it is not followed.
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
        """Remove files that a crash has left incomplete, and none of other programs."""
        for path in [*self.folder.glob(f'*{PARTIAL}'), *self.pointer.parent.glob(f'*{PARTIAL}')]:
            whole = path.with_name(path.name.removesuffix(PARTIAL))
            if not self._is_ours(whole):
                continue
            remove(path)
            if not whole.exists():  # the checksum is written before the file
                _beside(whole).unlink(missing_ok=True)

    def add_checksum(self, path: Path) -> None:
        """Write the checksum of a complete checkpoint of this folder, if a crash came before it."""
        if path.parent == self.folder and path.is_file() and not _beside(path).exists():
            write_text(_beside(path), _checksum(path, path.name))

    def remove_named(self, names: Any) -> None:
        """Remove checkpoints of this folder by their names, and nothing else.

        The names are from a checkpoint, which may be a stranger's: they may be
        paths of anything.
        """
        for name in names if isinstance(names, (list, tuple)) else ():
            path = self.folder / str(name)
            if path.parent == self.folder and (
                    self.progress(path) or self.best_names.fullmatch(path.name)):
                remove(path)

    def best(self) -> List[Path]:
        """The checkpoints of best validations."""
        return [path for path in self.folder.glob('*') if self.best_names.fullmatch(path.name)]

    def number(self, best: Path) -> int:
        """The number in the name of the checkpoint of a best validation."""
        return int(self.best_names.fullmatch(best.name)[1])

    def remove_interrupted(self, before: int) -> None:
        """Remove checkpoints from within epochs that are complete now."""
        for path in self.folder.glob(INTERRUPTED.format('*', '*')):
            progress = self.progress(path)
            if progress and progress < (before, 0):
                remove(path)

    def _is_ours(self, path: Path) -> bool:
        """Whether this is the name of a checkpoint, or of what is written beside it."""
        name = path.with_name(path.name.removesuffix(CHECKSUM))
        return path.name in (POINTER, PROBE) or bool(
            self.progress(name) or self.best_names.fullmatch(name.name))

    def _named(self) -> Optional[Path]:
        """The file that ``last_checkpoint`` names, also after the folder has moved; else None."""
        if not self.pointer.is_file():
            return None
        text = self.pointer.read_text(encoding='utf-8', errors='replace').strip()
        here = self.folder / Path(text).name
        # after a crash the pointer may contain anything
        if '\0' in text or len(here.name) > 200 or here.suffix != '.pth':
            return None
        return here if here.exists() or not Path(text).exists() else Path(text)


def _pattern(template: str) -> Pattern:
    return re.compile(re.escape(template).replace(r'\{\}', r'(\d+)'))


def _checksum(path: Path, name: str) -> str:
    """The line that ``sha256sum`` writes of a file, under the name that it will have."""
    return f'{sha256(path)}  {name}\n'


def _beside(path: Path) -> Path:
    return path.with_name(path.name + CHECKSUM)


def _sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    if path.is_dir() and os.name == 'nt':  # which cannot open folders
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

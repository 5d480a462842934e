"""Keeps a second training out of a folder in which one is running."""
import os
import socket
from pathlib import Path
from typing import IO, Optional

from .checkpoint_files import SavingError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK = '.training.lock'


def lock(folder: Path) -> Optional[IO[str]]:
    """Lock a folder for this process, until the file is closed or the process ends.

    The lock is the system's, so none is left by a process that was killed.
    It is of this process alone: its workers do not hold it when they outlive
    it, and a second training in the same process gets it.

    Returns:
        The open file; None where nothing can be locked: on Windows, on a file
        system without locks, or in a folder that cannot be written to, which
        is an error of its own.

    Raises:
        SavingError: if another process holds it.
    """
    if fcntl is None:
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open('a+', encoding='utf-8', errors='replace')
    except OSError:
        return None
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        file.seek(0)
        holder = file.read().strip() or 'another process'
        file.close()
        raise SavingError(
            f'a training is running in {folder} ({holder}), and two would mix their checkpoints. '
            'Wait until it has ended, or give another --work-dir') from None
    except OSError:
        file.close()
        return None
    file.seek(0)
    file.truncate()
    file.write(f'process {os.getpid()} on {socket.gethostname()}\n')
    file.flush()
    return file

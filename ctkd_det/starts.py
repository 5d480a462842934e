"""The starts of a training: each has a folder in the work directory, and they have an order.

mmengine names the folder after the local time. That is not the order after the
time zone has changed or the clock was set back, and the times of the files are
those of the copy after ``cp -r``. So each start counts itself.
"""
from pathlib import Path
from typing import List, Tuple

NUMBER = 'start_number'


def starts(work_dir: Path) -> List[Path]:
    """The folders of the starts, the latest one last.

    Those without a number, of mmengine alone, come before the others, by name.
    """
    return sorted((folder for folder in work_dir.glob('*') if folder.is_dir()), key=_order)


def number_start(work_dir: Path, folder: Path) -> None:
    """Let a start be the latest one, unless it has its number already.

    Raises:
        OSError: if its folder cannot be written.
    """
    if not _number(folder):
        folder.mkdir(parents=True, exist_ok=True)
        last = max(map(_number, starts(work_dir)), default=0)
        (folder / NUMBER).write_text(f'{last + 1}\n', encoding='utf-8')


def _order(folder: Path) -> Tuple[int, str]:
    return _number(folder), folder.name


def _number(folder: Path) -> int:
    """The number of a start; 0 if it has none."""
    try:
        text = (folder / NUMBER).read_text(encoding='utf-8', errors='replace').strip()
    except OSError:  # it has none, or is a folder of someone else, as lost+found
        return 0
    return int(text) if text.isdecimal() and len(text) < 10 else 0

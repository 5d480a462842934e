"""What detectors have answered is kept in the work directory, for the next report."""
import hashlib
import json
from pathlib import Path
from typing import Any, Callable

from ...whole_file import write_whole


def digest(*content: Any) -> str:
    """Changes with whatever an answer depends on."""
    return hashlib.sha1(repr(content).encode()).hexdigest()[:12]


def file_state(path: Path) -> tuple:
    """Size and time of a file; empty if it is absent."""
    return (path.stat().st_size, path.stat().st_mtime_ns) if path.exists() else ()


def kept_json(file: Path, make: Callable[[], Any]) -> Any:
    """What the file holds; if it is absent, what ``make`` returns, which is then kept."""
    if file.exists():
        return json.loads(file.read_text(encoding='utf-8'))
    value = make()
    keep(file, lambda partial: partial.write_text(json.dumps(value), encoding='utf-8'))
    return value


def keep(file: Path, write: Callable[[Path], Any]) -> None:
    """Write a file whole or not at all; a read-only directory costs time, not the report."""
    try:
        write_whole(file, write)
    except OSError as error:
        print(f'{file.name} is not kept for the next report: {error}')

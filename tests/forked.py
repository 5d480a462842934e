"""Programs in forks of this process, in which everything is imported already.

That saves the seconds in which an interpreter starts and imports torch and
mmdet. Tests of what is imported, and when, start an interpreter instead.
"""
import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any, Callable, List, Optional, Union

from mmdet.visualization import DetLocalVisualizer
from mmengine.logging import MessageHub, MMLogger

Program = Union[str, Path, Callable]
_CONTEXT = multiprocessing.get_context('fork')


def start(program: Program, *arguments: Any, stdout: IO, stderr: IO,
          cwd: Optional[Path] = None, **env: str) -> multiprocessing.Process:
    """Start a Python file, or call a function, in a child; ``env`` is added to the environment."""

    def run() -> None:
        for number, file in ((1, stdout), (2, stderr)):
            os.dup2(file.fileno(), number)
        sys.stdout, sys.stderr = (os.fdopen(number, 'w', buffering=1, closefd=False)
                                  for number in (1, 2))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for manager in (MessageHub, DetLocalVisualizer, MMLogger):
            manager._instance_dict.clear()
        os.environ.update(env)
        if cwd is not None:
            os.chdir(cwd)
        if callable(program):
            program(*arguments)
        else:
            sys.argv = [str(program), *map(str, arguments)]
            sys.path.insert(0, str(Path(program).parent))
            runpy.run_path(str(program), run_name='__main__')

    process = _CONTEXT.Process(target=run)
    process.start()
    return process


def run(program: Program, *arguments: Any, **options: Any) -> subprocess.CompletedProcess:
    """What :func:`start` starts, run to its end."""
    return _finish(lambda **files: [start(program, *arguments, **files, **options)])[0]


def ranks(program: Program, *arguments: Any, **options: Any) -> List[subprocess.CompletedProcess]:
    """Two processes of one distributed job on this machine, as ``torchrun`` starts them."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    job = dict(WORLD_SIZE='2', MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    return _finish(lambda **files: [
        start(program, *arguments, **files, **options, **job, RANK=str(rank), LOCAL_RANK=str(rank))
        for rank in range(2)])


def _finish(begin: Callable) -> List[subprocess.CompletedProcess]:
    """Wait for the processes; what they print is together."""
    with tempfile.TemporaryFile('w+') as stdout, tempfile.TemporaryFile('w+') as stderr:
        processes = begin(stdout=stdout, stderr=stderr)
        for process in processes:
            process.join()
        for file in (stdout, stderr):
            file.seek(0)
        printed = stdout.read(), stderr.read()
    return [subprocess.CompletedProcess(process.name, process.exitcode, *printed)
            for process in processes]

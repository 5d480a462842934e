"""Trainings in processes of their own, which can be killed as any process can."""
import atexit
import contextlib
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, Callable, Optional

import toy
from mmengine.logging import MessageHub

# Seconds after which something hangs, however busy the machine is. gloo's own limit is 1800.
HANGS = 600.0
# everything is imported already; a child starts at once
_CONTEXT = multiprocessing.get_context('fork')
_KEPT: list = []


def start(function: Callable, *args: Any, **kwargs: Any) -> multiprocessing.Process:
    """Run a function in a child, silently; its exit status is 1 after an exception."""

    def run() -> None:
        with open(os.devnull, 'w') as nowhere, contextlib.redirect_stdout(nowhere), \
                contextlib.redirect_stderr(nowhere):
            MessageHub._instance_dict.clear()
            function(*args, **kwargs)

    process = _CONTEXT.Process(target=run)
    process.start()
    return process


def train(work_dir: Path, **options: Any) -> None:
    toy.runner(work_dir, **options).train()


def fail_while_workers_live(work_dir: Path, exit_functions: bool, **options: Any) -> None:
    """Raise an error after the training of a runner that something still refers to.

    With ``exit_functions``, run what an interpreter runs at its end, and raise
    the error only if the workers have ended by themselves.
    """
    atexit._clear()  # of the parent
    _KEPT.append(toy.runner(work_dir, **options))
    _KEPT[0].train()
    workers = multiprocessing.active_children()
    if exit_functions:
        atexit._run_exitfuncs()
        workers = [worker for worker in workers if worker.exitcode == 0]
    if len(workers) == 1:
        raise KeyError


def train_in_own_group(work_dir: Path, **options: Any) -> None:
    """With its workers in a process group, of which its process id is the name."""
    os.setpgrp()
    train(work_dir, **options)


def train_and_die(work_dir: Path, number: int, **options: Any) -> None:
    """SIGKILL before the ``number``-th time that it opens, renames or removes a checkpoint.

    Also the files beside them: partial ones, checksums, ``last_checkpoint``.
    """
    left = number

    def watch(event: str, args: tuple) -> None:
        nonlocal left
        if event not in ('open', 'os.rename', 'os.remove') or not isinstance(args[0], str):
            return
        path = Path(args[0])
        if path.parent == work_dir and ('.pth' in path.name or 'last_checkpoint' in path.name):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    train(work_dir, **options)


def train_and_die_before_the_checksum(work_dir: Path, name: str, **options: Any) -> None:
    """SIGKILL once a checkpoint has been replaced, before the new one's checksum is written."""
    renamed = 0

    def watch(event: str, args: tuple) -> None:
        nonlocal renamed
        if event == 'os.rename' and Path(args[1]) == work_dir / name:
            renamed += 1
        elif renamed == 2 and event == 'open' and str(args[0]).startswith(
                str(work_dir / f'{name}.sha256')):
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    train(work_dir, **options)


def finish(process: multiprocessing.Process) -> Optional[int]:
    """Its exit status, negative after a signal; None if it hangs."""
    process.join(HANGS)
    status = process.exitcode
    if status is None:
        process.kill()
        process.join()
    return status


def kill_after(process: multiprocessing.Process, seconds: float) -> Optional[int]:
    """Kill it unless it has ended by then."""
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
    process.join()
    return process.exitcode


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until it is so."""
    end = time.monotonic() + HANGS
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.01)

"""Time and memory of functions that take turns, so that a busy machine slows all of them alike."""
import ctypes
import gc
import statistics
import time
from pathlib import Path
from typing import Callable, Dict, List, Mapping, Optional

import torch

_STATUS = Path('/proc/self/status')
Kinds = Mapping[str, Callable[[], None]]


class Clock:
    """Measures on one device.

    Args:
        device (torch.device): Where the functions work.
        processor (bool): Whether to take the processor's time, of all threads,
            instead of the time that passes: other programs count less. Defaults to False.
    """

    def __init__(self, device: torch.device, processor: bool = False) -> None:
        self.device = device
        self.now = time.process_time if processor else time.perf_counter

    def seconds(self, function: Callable[[], None]) -> float:
        """Of one call."""
        self._wait()
        start = self.now()
        function()
        self._wait()
        return self.now() - start

    def turns(self, kinds: Kinds, rounds: Optional[int], budget: float) -> Dict[str, List[float]]:
        """Seconds of each function in each round; another one is the first in each.

        Args:
            kinds (dict[str, callable]): Warmed up already.
            rounds (int, optional): How many; None for as many as fit into the
                budget, at least three.
            budget (float): In seconds.
        """
        times: Dict[str, List[float]] = {name: [] for name in kinds}
        names, end, done = list(kinds), time.perf_counter() + budget, 0
        while done < rounds if rounds else done < 3 or time.perf_counter() < end:
            for i in range(len(names)):
                name = names[(i + done) % len(names)]
                times[name].append(self.seconds(kinds[name]))
            done += 1
        return times

    def memory(self, function: Callable[[], None]) -> Optional[float]:
        """MiB that a call takes at its peak beyond what is held before it; None if not known."""
        gc.collect()
        if self.device.type == 'cuda':
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            self.seconds(function)
            return (torch.cuda.max_memory_allocated() - before) / 2 ** 20
        try:
            ctypes.CDLL('libc.so.6').malloc_trim(0)  # gives back what is free
            Path('/proc/self/clear_refs').write_text('5', encoding='utf-8')  # the peak begins anew
            before = _resident('VmRSS')
            function()
            return _resident('VmHWM') - before
        except OSError:  # no Linux
            function()
            return None

    def _wait(self) -> None:
        if self.device.type == 'cuda':
            torch.cuda.synchronize()


def medians(times: Dict[str, List[float]]) -> Dict[str, float]:
    return {name: statistics.median(values) for name, values in times.items()}


def _resident(name: str) -> float:
    lines = _STATUS.read_text(encoding='utf-8').splitlines()
    line = next(line for line in lines if line.startswith(name))
    return int(line.split()[1]) / 1024

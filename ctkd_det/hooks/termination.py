"""Notes SIGTERM, which clusters send before they kill a job, so that training can end by itself."""
import signal
import threading
from typing import Any, NoReturn

import torch.distributed
from mmengine.dist import all_reduce, get_world_size

# a shell reports this status for a process that SIGTERM has ended
_EXIT_STATUS = 128 + 15
# ranks get the signal at different moments; to ask all of them in each iteration would cost time
_INTERVAL_OF_RANKS = 10


class Termination:
    """Whether this process, or another rank's, has got SIGTERM.

    The first signal is only noted. A second one has its usual effect.
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: Any = None
        self._watching = False

    def watch(self) -> None:
        """Begin to note the signal; only the main thread of a process can."""
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._note)
            self._watching = True

    def stop_watching(self) -> None:
        """Let the signal do again what it did before."""
        if self._watching:
            signal.signal(signal.SIGTERM, self._before or signal.SIG_DFL)
            self._watching = False

    def agreed(self, iteration: int) -> bool:
        """Whether any rank wants to end; all must ask in the same iterations."""
        if get_world_size() == 1:
            return self.requested
        if iteration % _INTERVAL_OF_RANKS:
            return False
        wish = torch.tensor(float(self.requested))
        all_reduce(wish, 'max')
        return bool(wish.item())

    def _note(self, number: int, frame: Any) -> None:
        self.requested = True
        self.stop_watching()


def end_process() -> NoReturn:
    """End this process as the signal would have done; all ranks must come here."""
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
    raise SystemExit(_EXIT_STATUS)

"""Output that may lose its reader, as of ``| head -1``, which ends no work."""
import io
import os
from typing import Any, Optional, TextIO


class Lasting:
    """A text file that turns silent when it cannot be written any more.

    Args:
        file (TextIO, optional): Usually ``sys.stdout``, which is None if the
            process was started without one.
    """

    def __init__(self, file: Optional[TextIO]) -> None:
        self.file = file or io.StringIO()

    def write(self, text: str) -> int:
        """Write it, or nothing."""
        try:
            return self.file.write(text)
        except OSError:
            self._silence()
            return len(text)

    def flush(self) -> None:
        """Flush what was written, or nothing."""
        try:
            self.file.flush()
        except OSError:
            self._silence()

    def _silence(self) -> None:
        """Send all that follows nowhere, also what waits for the interpreter's last flush."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.file.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

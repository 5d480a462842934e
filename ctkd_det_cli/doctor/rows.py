"""A row of the doctor's table."""
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: What was looked at.
        state: OK, WARN (it works, with limits) or FAIL, of ``ctkd_det_data``.
        found: What was found.
        mend: The command, or the action, that mends it.
    """
    what: str
    state: str
    found: str
    mend: str = ''


def first_line(error: BaseException) -> str:
    """An error in one line."""
    return f'{type(error).__name__}: {str(error).strip()}'.splitlines()[0]

"""A row of the doctor's table."""
from dataclasses import dataclass

OK, WARN, FAIL = 'ok', 'warn', 'fail'


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: What was looked at.
        state: 'ok', 'warn' (it works, with limits) or 'fail'.
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

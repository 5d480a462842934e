"""An error of somebody else's code, in one line."""


def first_line(error: BaseException) -> str:
    """Kind and first line of an error, for a sentence; of a long line 200 characters."""
    lines = str(error).strip().splitlines()
    return f'{type(error).__name__}: {lines[0][:200]}' if lines else type(error).__name__

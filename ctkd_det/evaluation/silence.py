"""Keeps pycocotools quiet."""
import contextlib
import io


def silent() -> contextlib.AbstractContextManager:
    """Without pycocotools' reports of its progress."""
    return contextlib.redirect_stdout(io.StringIO())

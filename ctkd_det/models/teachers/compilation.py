"""``torch.compile`` for the teacher, with an error that says what to do."""
from typing import Any, Callable

import torch
from torch._dynamo.exc import TorchDynamoException

from ...first_line import first_line
from .checkpoint import TeacherError


def compiled(function: Callable, options: dict) -> Callable:
    """``torch.compile(function, **options)``; it compiles in its first call.

    Raises:
        TeacherError: in a call, if this machine cannot compile it.
    """
    fast = torch.compile(function, **options)

    def call(*args: Any) -> Any:
        try:
            return fast(*args)
        except TorchDynamoException as error:
            cause = getattr(error, 'inner_exception', error)
            raise TeacherError(
                f'teacher_compile: torch.compile fails here ({first_line(cause)}). '
                'Its default backend needs a C++ compiler on the CPU and Triton on a GPU. Install '
                'what is missing, or set teacher_compile=False') from error

    return call

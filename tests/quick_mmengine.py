"""Spares tests what MMEngine does again and again for every config; import it before reading one.

Programs that tests start as processes of their own do all of it, as a user's do.
"""
import ast
import functools

import mmengine.config.config
import mmengine.config.utils
import mmengine.utils.package_utils

# Each ``mmdet::`` in a config costs MMEngine 0.1 s: it asks whether the package is installed, and
# reads a hundred metafiles. Neither changes while tests run.
mmengine.config.utils.load = functools.cache(mmengine.config.utils.load)
mmengine.config.config.is_installed = mmengine.utils.package_utils.is_installed = functools.cache(
    mmengine.utils.package_utils.is_installed)


def _leave_as_it_is(code: str, **_) -> tuple:
    """Take the place of yapf, which lays out the config of a run five times, in 0.3 s each."""
    ast.parse(code)  # yapf raises SyntaxError, too
    return code, True


mmengine.config.config.FormatCode = _leave_as_it_is

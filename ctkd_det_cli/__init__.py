"""The ``ctkd-det`` command.

A package of its own, beside ``ctkd_det``, because importing that one imports
torch and mmdet: help and shell completion should not wait for them, and
``ctkd-det doctor`` has to run where they cannot be imported.
"""

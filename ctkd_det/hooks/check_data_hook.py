"""Checks the data sets before the first step."""
from typing import List, Optional

from mmdet.registry import HOOKS
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook

from ctkd_det_data import DataError
from ..datasets.configured import check_data


@HOOKS.register_module()
class CheckDataHook(Hook):
    """Stops a training whose data would teach nothing, or something wrong.

    It checks the annotation files and images of the config's training and
    validation sets, as ``ctkd-det doctor --data`` does: ids, categories,
    class names, boxes, sizes, files. A certain mistake is an error. A doubtful
    entry, which loses objects or distorts a metric, is a warning in the log.
    Before a test, the hook checks the test set and only warns.

    Of several such hooks in a run, the one that was registered last looks:
    one of ``custom_hooks`` replaces the default one of our students' configs.

    ``ctkd-det train`` makes the same check before the data sets are built.
    A hook comes later: if an annotation has no ``area``, for example,
    MMDetection has stopped by then.

    Args:
        strict (bool): Whether a certain mistake stops the training. If
            False, it is a warning, too. Defaults to True.
    """
    # before other hooks prepare anything
    priority = 'VERY_HIGH'

    def __init__(self, strict: bool = True) -> None:
        self.strict = strict

    def before_train(self, runner) -> None:
        """Check the training and the validation set.

        Raises:
            DataError: on every rank, if there is a certain mistake and
                ``strict`` is True.
        """
        self._look(runner, ('train', 'val'), self.strict)

    def before_test(self, runner) -> None:
        """Check the test set, and warn."""
        self._look(runner, ('test', ), strict=False)

    def _look(self, runner, parts: tuple, strict: bool) -> None:
        if [hook for hook in runner.hooks if isinstance(hook, CheckDataHook)][-1] is not self:
            return
        message: List[Optional[tuple]] = [None]
        if is_main_process():
            try:
                for finding in check_data(runner.cfg, parts, strict):
                    runner.logger.warning(str(finding))
            except DataError as error:
                message = [(error.message, error.mend)]
        broadcast_object_list(message)
        if message[0] and strict:
            raise DataError(*message[0])
        if message[0]:
            runner.logger.warning(str(DataError(*message[0])))

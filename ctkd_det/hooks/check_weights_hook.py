"""Looks at what a test evaluates: all weights of the detector, and the same classes."""
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel
from mmengine.runner import Runner

from ..compat.reading import CheckpointError
from ..models.distilled_config import is_beside_student
from ..models.misfits import misfits
from ..models.teachers.checkpoint import classes_of_checkpoint
from ..models.teachers.classes import class_difference
from .unwrapped import detector_of


@HOOKS.register_module()
class CheckWeightsHook(Hook):
    """Ends a test whose checkpoint does not hold all weights of the detector.

    MMEngine logs their names and evaluates the rest with random weights. Other classes, or the
    same in another order, are a warning: labels are positions in the list of the data.

    ``ctkd-det test`` adds it to every config.
    """

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """See that each weight of the detector is in the checkpoint, which may hold others, too.

        Raises:
            CheckpointError: if weights are missing or of other shapes.
        """
        weights = {name.removeprefix('module.'): value
                   for name, value in checkpoint.get('state_dict', checkpoint).items()}
        model = detector_of(runner.model)
        if isinstance(model, BaseTTAModel):
            model = model.module
        kind = type(model).__name__
        try:
            absent = model.load_state_dict(weights, strict=False).missing_keys
        except RuntimeError as error:
            raise CheckpointError(
                f'the checkpoint is not of this config ({kind}):\n{misfits(error)}') from None
        # what a distilled student has for its losses is not evaluated
        missing = [name for name in absent if not is_beside_student(name)]
        if missing:
            raise CheckpointError(
                f'the checkpoint is not of this config: {len(missing)} of the '
                f'{len(model.state_dict())} weights of the {kind} are missing, {missing[0]} among '
                'them. They would be evaluated at random')
        tested = getattr(runner.test_dataloader.dataset, 'metainfo', {}).get('classes')
        try:
            difference = class_difference(classes_of_checkpoint(checkpoint), tested)
        except ValueError as error:
            runner.logger.warning(f'The checkpoint {error}; they are not compared with those of '
                                  'the test data')
            return
        if difference:
            runner.logger.warning('The checkpoint was trained on other classes than those of the '
                                  f'test data, or in another order: {difference}')

"""The detectors behind the runs, as plain mmdet ones that can look at images."""
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import List, Optional

import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset
from mmengine.registry import init_default_scope
from mmengine.runner import CheckpointLoader
from torch import nn

from ...compat.reading import CheckpointError
from ...configs import imported_modules, read_config
from ...models.distilled_config import plain_model
from ...models.teachers.checkpoint import classes_of_checkpoint
from .runs import Missing, TrainedRun, first_line
from .study import Study


@dataclass
class Detector:
    """A trained detector and the images to show it.

    Attributes:
        name: What it is called in the report.
        model: The config of the plain detector, without its teacher.
        checkpoint: Its weights.
        loader: The config of the validation data.
        cache: Folder in which its predictions are kept.
        imports: Modules that its parts are registered by.
        source: A teacher's whole config, which may name its classes; None for
            a student, whose classes are those of its data.
    """
    name: str
    model: dict
    checkpoint: Path
    loader: dict
    cache: Path
    imports: List[str]
    source: Optional[dict] = None

    def build(self, device: str) -> nn.Module:
        """Build it and load every weight; its ``dataset_meta`` is the checkpoint's.

        Raises:
            Missing: if that fails.
        """
        try:
            for module in self.imports:
                import_module(module)
            init_default_scope('mmdet')
            model = MODELS.build(ConfigDict(plain_model(self.model), init_cfg=None))
            checkpoint = CheckpointLoader.load_checkpoint(str(self.checkpoint), map_location='cpu')
            keys = model.load_state_dict(checkpoint.get('state_dict', checkpoint), strict=False)
            if keys.missing_keys:
                raise RuntimeError(f'{len(keys.missing_keys)} weights are missing, '
                                   f'{keys.missing_keys[0]} among them')
            model.dataset_meta = dict(classes=classes_of_checkpoint(checkpoint))
        except CheckpointError as error:
            raise Missing(f'{self.name} is left out: {error}.') from error
        except Exception as error:  # a user's model may fail in any way there is
            raise Missing(f'{self.name} could not be built from {self.checkpoint} '
                          f'({first_line(error)}).') from error
        return model.to(device).eval()

    def dataset(self, indices=None) -> BaseDataset:
        """The validation set, or only the images at ``indices`` (int: the first ones).

        Raises:
            Missing: if it cannot be read.
        """
        try:
            init_default_scope('mmdet')
            chosen = {} if indices is None else dict(indices=indices)
            return DATASETS.build(ConfigDict(self.loader['dataset'], **chosen))
        except Exception as error:
            raise Missing(f'The validation data of {self.name} could not be read '
                          f'({first_line(error)}).') from error


def detector_of(run: TrainedRun) -> Detector:
    """The detector of a run.

    Raises:
        Missing: if the run has no checkpoint or no validation data.
    """
    if run.last_checkpoint is None:
        raise Missing(f'{run.name} has no checkpoint in {run.work_dir}.')
    return Detector(run.name, run.config.model.to_dict(), run.last_checkpoint,
                    _loader(run.config, run), run.work_dir / 'report', imported_modules(run.config))


def teacher_detector(study: Study) -> Detector:
    """The teacher, looking at the students' validation data.

    Raises:
        Missing: if no run names one, or its config or checkpoint is absent.
    """
    learner = next((m.runs[0] for m in study.distilled), None)
    if study.teacher and not learner:
        return detector_of(study.teacher.runs[0])
    if learner is None:
        raise Missing('No run given has a teacher.')
    if study.teacher:
        own = detector_of(study.teacher.runs[0])
        own.loader = _loader(learner.config, learner)
        own.source = study.teacher.runs[0].config.to_dict()
        return own
    checkpoint = Path(study.teacher_checkpoint or learner.config.model.teacher_ckpt)
    if not checkpoint.exists():
        raise Missing(f"The teacher's checkpoint {checkpoint} is not here; --teacher says where "
                      'it is.')
    try:
        config = read_config(learner.config.model.teacher_config)
    except Exception as error:
        raise Missing(f"The teacher's config could not be read ({first_line(error)}).") from error
    return Detector('teacher', dict(config['model']), checkpoint,
                    _loader(learner.config, learner), learner.work_dir / 'report',
                    imported_modules(learner.config), config)


def _loader(config: Config, run: TrainedRun) -> dict:
    if not config.get('val_dataloader'):
        raise Missing(f'The config of {run.name} has no val_dataloader.')
    return config.val_dataloader.to_dict()


def default_device() -> str:
    """A GPU if there is one."""
    return 'cuda' if torch.cuda.is_available() else 'cpu'

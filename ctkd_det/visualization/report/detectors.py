"""The detectors behind the runs, as plain mmdet ones that can look at images."""
import copy
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
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
from ...configs import detector_config, imported_modules, nested_datasets, read_config
from ...evaluation.silence import silent
from ...first_line import first_line
from ...literal_config import read_literal_config
from ...models.distilled_config import plain_model
from ...models.teachers.checkpoint import TeacherError, classes_of_checkpoint
from ...models.teachers.normalisation import (
    preprocessor_for_plain_images,
    without_normalisation,
)
from .runs import Missing, TrainedRun
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

    @property
    def absent(self) -> List[str]:
        """list[str]: Those of the modules that are not found from here."""
        return [name for name in self.imports if find_spec(name.partition('.')[0]) is None]

    def plain_model(self) -> dict:
        """The config of the detector as it looks at images: no teacher, no initial weights.

        Raises:
            Missing: if its parts are not registered.
        """
        try:
            for module in self.imports:
                # of a loss of one's own: the plain detector does without it
                if module not in self.absent:
                    _import(module, self.cache.parent)
            init_default_scope('mmdet')
            # a copy: DETRs write into what they are built from, and refuse to read it again
            return dict(copy.deepcopy(plain_model(self.model)), init_cfg=None)
        except Exception as error:  # a user's module may fail in any way there is
            raise Missing(f'The config of {self.name} could not be made plain '
                          f'({first_line(error)}).') from error

    def architecture(self) -> nn.Module:
        """Build it, in evaluation mode and without its weights.

        Raises:
            Missing: if that fails.
        """
        model = self.plain_model()
        try:
            return MODELS.build(ConfigDict(model)).eval()
        except Exception as error:  # a user's model may fail in any way there is
            absent = f'; not found: {", ".join(self.absent)}' if self.absent else ''
            raise Missing(f'{self.name} could not be built from its config '
                          f'({first_line(error)}{absent}).') from error

    def build(self, device: str) -> nn.Module:
        """Build it and load every weight; its ``dataset_meta`` is the checkpoint's.

        Raises:
            Missing: if that fails.
        """
        model = self.architecture()
        try:
            checkpoint = CheckpointLoader.load_checkpoint(str(self.checkpoint), map_location='cpu',
                                                          logger='silent')
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
            with silent():
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
    return Detector(run.name, detector_config(run.config.to_dict()), run.last_checkpoint,
                    _loader(run.config, run), run.work_dir / 'report', imported_modules(run.config))


def teacher_detector(study: Study) -> Detector:
    """The teacher, looking at the students' validation data.

    Raises:
        Missing: if no run names one, or its config or checkpoint is absent.
    """
    if not study.teachers:
        raise Missing('The teacher is the student itself.' if study.distilled else
                      'No run given has a teacher.')
    if study.teacher and not study.distilled:
        return detector_of(study.teacher.runs[0])
    learner = (study.learner or study.distilled[0]).runs[0]
    if study.teacher:
        own = detector_of(study.teacher.runs[0])
        own.source = study.teacher.runs[0].config.to_dict()
        return _looking_at_data_of(learner, own)
    checkpoint = Path(study.teachers[0])
    if not checkpoint.exists():
        raise Missing(f"The teacher's checkpoint {checkpoint} is not here; --teacher says where "
                      'it is.')
    config = _teacher_config(learner)
    return _looking_at_data_of(learner, Detector(
        'teacher', detector_config(config), checkpoint, {}, learner.work_dir / 'report',
        imported_modules(learner.config), config))


def _looking_at_data_of(learner: TrainedRun, teacher: Detector) -> Detector:
    """The learner's images, normalised as the teacher was trained to see them.

    Raises:
        Missing: if its config does not say how in a way that can be read.
    """
    teacher.loader = _loader(learner.config, learner)
    for dataset in nested_datasets(teacher.loader.get('dataset')):
        if dataset.get('pipeline'):
            dataset['pipeline'] = without_normalisation(dataset['pipeline'])
    try:
        preprocessor = preprocessor_for_plain_images(teacher.source, teacher.name)
    except TeacherError as error:
        raise Missing(f'{teacher.name} is left out: {error}.') from error
    if preprocessor:
        teacher.model['data_preprocessor'] = preprocessor
    return teacher


def _teacher_config(learner: TrainedRun) -> dict:
    """The config that a run names for its teacher.

    A work directory may be somebody else's: a config that lies in it is read
    as data, and never executed.

    Raises:
        Missing: if it cannot be read.
    """
    named = learner.config.model.teacher_config
    try:
        if isinstance(named, dict) or '::' in str(named):
            return read_config(named)
        inside = Path(named).resolve().is_relative_to(learner.work_dir.resolve())
        return read_literal_config(named) if inside else read_config(named)
    except Exception as error:  # a config is code, which fails as it likes
        raise Missing(f"The teacher's config could not be read ({first_line(error)}).") from error


def _import(module: str, work_dir: Path) -> None:
    """Import what a config names, unless it lies in the work directory, as a stranger's might."""
    top, *rest = module.split('.')
    spec = find_spec(top)
    folders = (spec.submodule_search_locations if spec else None) or [Path(top).parent]
    if any(Path(folder, *rest).resolve().is_relative_to(work_dir.resolve()) for folder in folders):
        raise ImportError(f'{module} lies in the work directory {work_dir}, from which nothing is '
                          'executed')
    import_module(module)


def _loader(config: Config, run: TrainedRun) -> dict:
    if not config.get('val_dataloader'):
        raise Missing(f'The config of {run.name} has no val_dataloader.')
    return config.val_dataloader.to_dict()


def usable_device(device: Optional[str] = None) -> str:
    """The device, or without one a GPU if there is one, else the CPU.

    Raises:
        ValueError: if torch does not know it, or it is not here.
    """
    device = device or ('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # a torch without CUDA asserts it
        raise ValueError(f'--device {device} cannot be used ({first_line(error)})') from error
    return device

"""Begins the training of a written config as far as it goes without data, before it is written."""
import logging
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Mapping, Sequence

import click
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

from ctkd_det.configs import detector_config, nested_datasets
from ctkd_det.datasets.configured import class_names
from ctkd_det.hooks.checkpoint_files import SavingError
from ctkd_det.hooks.starting_point import refuse_to_replace
from ctkd_det.models.detectors.start_checks import check_data
from ctkd_det.models.distilled_config import SNAPSHOT, is_distilled
from ..guards import checkpoint_hook, safe_checkpoints
from ..mistakes import sentence
from ..options import merge
from ..training import Training
from ..training.run import work_dir_of
from .pair import as_options
from .source_code import placed

# what the model says of another teacher than the student itself
_OF_A_TEACHER = ('teacher_ckpt', 'class_mapping', 'inherit', 'teacher_stage')


def rehearse(trainings: Sequence[Training], texts: Mapping[Path, str], dry_run: bool,
             own_data: bool) -> None:
    """Check what would end one of these trainings before or in its first step.

    Args:
        trainings (Sequence[Training]): The last one is the distillation; before
            it, its baseline.
        texts (Mapping[Path, str]): What their configs, and the files beside
            them, will say.
        dry_run (bool): Whether none of them follows. Then their work
            directories do not matter, and weights of a teacher that are no
            file of this machine are not fetched.
        own_data (bool): See :func:`as_options`.

    Raises:
        click.ClickException: if something would.
    """
    cfg = _read(trainings[-1].config, texts)
    merge(cfg, trainings[-1].cfg_options)
    for training in () if dry_run else trainings:
        _check_work_dir(training, cfg)
    if is_distilled(cfg.model):
        _build(cfg, download=not dry_run, own_data=own_data)


def _check_work_dir(training: Training, cfg: Config) -> None:
    """See that no checkpoints of another training are there; a resumed one may have its own."""
    folder = safe_checkpoints(cfg, work_dir_of(training, cfg))
    if folder and not (training.resume or cfg.get('resume')):
        try:
            refuse_to_replace(folder, bool(checkpoint_hook(cfg).get('overwrite')))
        except SavingError as error:
            raise click.ClickException(str(error)) from error


def _build(cfg: Config, download: bool, own_data: bool) -> None:
    """Build the distilled detector, and check what its first step would check.

    Without its teacher's weights the losses are checked with the student as its own teacher.
    """
    model = detector_config(cfg)
    if '://' in (model.get('teacher_ckpt') or '') and not download:
        model.update(teacher_config=SNAPSHOT)
        for name in _OF_A_TEACHER:
            model.pop(name, None)
    try:
        with _unheard():
            init_default_scope('mmdet')
            student = MODELS.build(model)
            data = nested_datasets(cfg.train_dataloader.dataset)[-1]
            check_data(student, class_names(data), cfg)
    except Exception as error:  # a user's model may fail in any way there is
        said = str(error) if isinstance(error, ValueError) else sentence(error)
        raise click.ClickException(as_options(said, own_data)) from error


def _read(out: Path, texts: Mapping[Path, str]) -> Config:
    """The config as it will be read where it will lie."""
    with tempfile.TemporaryDirectory() as folder:
        for path, text in texts.items():
            Path(folder, path.name).write_text(placed(text, path.parent), encoding='utf-8')
        return Config.fromfile(Path(folder, out.name))


@contextmanager
def _unheard() -> Iterator[None]:
    """What is no error is logged by the training itself."""
    before = logging.root.manager.disable
    try:
        _disable(logging.WARNING)
        yield
    finally:
        _disable(before)


def _disable(level: int) -> None:
    logging.disable(level)
    for logger in MMLogger._instance_dict.values():  # which logging does not know, so they keep
        logger._cache.clear()  # what they were allowed to say

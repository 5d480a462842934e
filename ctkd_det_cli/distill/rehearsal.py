"""Begins the training of a written config as far as it goes without data, before it is written."""
import logging
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Mapping, Sequence

import click
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from ctkd_det.configs import detector_config, nested_datasets
from ctkd_det.datasets.configured import class_names
from ctkd_det.models.detectors.training_progress import check_data
from ctkd_det.models.distilled_config import SNAPSHOT, is_distilled
from ..mistakes import sentence
from ..options import merge
from .pair import as_options
from .source_code import placed

# what the model says of another teacher than the student itself
_OF_A_TEACHER = ('teacher_ckpt', 'class_mapping', 'inherit', 'teacher_stage')


def rehearse(out: Path, texts: Mapping[Path, str], cfg_options: Sequence[str],
             download: bool) -> None:
    """Build the distilled detector of a config, and check what its first step would check.

    Args:
        out (Path): Where the config will lie.
        texts (Mapping[Path, str]): What it and the files beside it will say.
        cfg_options (Sequence[str]): The overrides of its training.
        download (bool): Whether to fetch a teacher's weights that are no file
            of this machine. If not, the losses are checked with the student
            as its own teacher.

    Raises:
        click.ClickException: if the training would not come to its first step.
    """
    cfg = _read(out, texts)
    merge(cfg, cfg_options)
    if not is_distilled(cfg.model):
        return
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
        raise click.ClickException(as_options(said)) from error


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
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)

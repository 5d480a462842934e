"""One page that shows a study: results, curves, images, settings."""
from pathlib import Path
from typing import Optional, Sequence, Union

try:
    import jinja2  # noqa: F401
    import plotly  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(f"the report needs {error.name}, which is not installed: "
                              "pip install 'ctkd_det[report]'", name=error.name) from error

from ...whole_file import check_writable, write_whole
from .contents import Options, collect
from .detectors import usable_device
from .page import render
from .study import read_study

__all__ = ['write_report']

PathLike = Union[str, Path]


def write_report(work_dirs: Sequence[PathLike],
                 out: PathLike,
                 baseline: Optional[PathLike] = None,
                 teacher: Optional[PathLike] = None,
                 images: int = 8,
                 val_images: int = 500,
                 score_thr: float = 0.3,
                 device: Optional[str] = None,
                 title: str = 'Distillation report',
                 names: Sequence[str] = ()) -> Path:
    """Write an interactive report on one run or many, as one HTML file.

    The file holds everything it shows and opens without a network. Runs whose
    configs differ in nothing but the seed are seeds of one method. Pieces for
    which a checkpoint or data are absent are left out, and the page says why.

    Args:
        work_dirs (Sequence[str | Path]): Work directories of the runs, or
            folders of these.
        out (str | Path): The page; its folder is made if need be.
        baseline (str | Path, optional): Work directory of the student alone,
            or a folder of its seeds'. Defaults to None: the plain detector
            with the distilled students' architecture.
        teacher (str | Path, optional): The teacher's work directory, a folder
            of its seeds', or its checkpoint. Defaults to None: what the
            distilled runs' configs name.
        images (int): Images in the gallery. Defaults to 8.
        val_images (int): Validation images that each detector is shown, at
            most; what it finds is kept in its work directory. 0 runs no
            detector. Defaults to 500.
        score_thr (float): Less confident detections are not in the gallery.
            Defaults to 0.3.
        device (str, optional): Where detectors run. Defaults to None: a GPU
            if there is one.
        title (str): Of the page.
        names (Sequence[str]): ``WORK_DIR=NAME``, to call a method otherwise
            than its config file.

    Returns:
        Path: The page.

    Raises:
        FileNotFoundError: if a path does not exist, or none holds a run.
        ValueError: if the device cannot be used, baseline and teacher are the
            same, the folder of one holds several methods, or one of ``names``
            fits no method, or names it like another.
        OSError: if the page cannot be written; it is tried before any
            detector runs.
    """
    device = usable_device(device)
    study = read_study(work_dirs, baseline, teacher, names)
    out = Path(out)
    check_writable(out)  # detectors may run for hours: fail before them, not after
    options = Options(images, val_images, score_thr, device)
    page = render(collect(study, options), title)
    write_whole(out, lambda partial: partial.write_text(page, encoding='utf-8'))
    return out

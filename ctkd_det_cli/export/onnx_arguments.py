"""The options of ``--format onnx``, and what they need to be installed."""
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Callable, Dict, Optional, Tuple

import click

from ctkd_det_data import CocoFolder
from ..distill.data import find_data, say_what_is_read_right

EXTRA = "pip install 'ctkd_det[deploy]'  (or: pip install onnx onnxruntime)"
# as ctkd_det.deploy.OPSETS, which needs torch to be imported
OPSETS = (16, 20)


@dataclass(frozen=True)
class OnnxOptions:
    """How a file is written.

    Attributes:
        shape: Height and width of the images; None for any.
        opset: Version of ONNX's operators.
        preprocess: Whether mean, standard deviation and order of the colours
            are in the file.
        data: A data set to compare on, instead of the config's, cleaned.
        images: Number of images to compare on, and to calibrate with.
        int8: Whether to quantise.
        max_drop: The largest loss of mAP, in points, by quantisation.
    """
    shape: Optional[Tuple[int, int]] = None
    opset: int = 17
    preprocess: bool = True
    data: Optional[CocoFolder] = None
    images: int = 100
    int8: bool = False
    max_drop: Optional[float] = None


_OPTIONS = (
    click.option('--data', type=click.Path(path_type=Path),
                 help="onnx: folder of a data set to compare on  [default: the config's]"),
    click.option('--images', type=click.IntRange(min=1), default=OnnxOptions.images,
                 show_default=True, help='onnx: number of images to compare on'),
    click.option('--opset', type=click.IntRange(*OPSETS), default=OnnxOptions.opset,
                 show_default=True, help="onnx: version of ONNX's operators"),
    click.option('--preprocess/--no-preprocess', default=True,
                 help='onnx: images as uint8 in RGB, or normalised outside  [default: uint8]'),
    click.option('--int8', is_flag=True,
                 help='onnx: a quantised file as well, calibrated on training images'),
    click.option('--max-drop', type=click.FloatRange(min=0), metavar='POINTS',
                 help='onnx: write no int8 file that loses more mAP'))


def onnx_options(command: Callable) -> Callable:
    """Add the options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def check_onnx_options(format_: str, shape: Optional[Tuple[int, int]],
                       values: Dict[str, Any]) -> Optional[OnnxOptions]:
    """The options if an ONNX file is wanted, else None.

    Raises:
        click.UsageError: if one is given that has no effect.
        click.ClickException: if the packages are not installed, with the
            command that installs them, or the data set cannot be read right.
    """
    options = OnnxOptions(shape=shape, **values)
    if format_ != 'onnx':
        if options != OnnxOptions(shape=shape):
            raise click.UsageError('--data, --images, --opset, --no-preprocess, --int8 and '
                                   '--max-drop need --format onnx')
        return None
    if options.max_drop is not None and not options.int8:
        raise click.UsageError('--max-drop needs --int8')
    missing = [name for name in ('onnx', 'onnxruntime') if find_spec(name) is None]
    if missing:
        raise click.ClickException(f'--format onnx needs {" and ".join(missing)}: {EXTRA}')
    data = find_data(values['data'])
    for split in (data.train, data.val) if data else ():  # of which no copy is made that says it
        say_what_is_read_right(data, split.ann_file)
    return replace(options, data=data)

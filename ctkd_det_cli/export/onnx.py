"""``ctkd-det export --format onnx``: writes the file if it detects what mmdet detects."""
import json
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

import click

from ..mistakes import sentence
from ..options import writing
from .onnx_arguments import OnnxOptions


def is_plain(cfg: Any) -> bool:
    """Whether a config distils nothing."""
    from ctkd_det.models.distilled_config import is_distilled
    return not is_distilled(cfg.get('model') or {})


def plain_checkpoint(checkpoint: Path, ema: Optional[bool] = None) -> dict:
    """The checkpoint that :func:`write_onnx` takes: weights, and ``meta`` if it is known.

    Args:
        checkpoint (Path): Of a plain detector's training, or an exported student.
        ema (bool, optional): See :func:`choose_weights`.

    Raises:
        click.ClickException: if the checkpoint is refused.
    """
    from .weights import choose_weights, read_source
    source = read_source(checkpoint)
    return dict(state_dict=choose_weights(source, ema)[0], meta=source.get('meta'))


def write_onnx(cfg: Any, checkpoint: dict, out: Path, options: OnnxOptions) -> None:
    """Write a plain detector as ONNX if it detects what mmdet detects.

    Args:
        cfg (Config): Plain, of the student.
        checkpoint (dict): Its own, see :func:`plain_checkpoint`.
        out (Path): The file to write; beside it ``_int8.onnx`` if wanted.
        options (OnnxOptions): How.

    Raises:
        click.ClickException: if the detector cannot be exported, or the file
            does not detect the same, loses too much by quantisation, or cannot
            be written.
    """
    from ctkd_det.whole_file import check_writable
    from .onnx_data import images_of
    from .proof import agreement, run_onnx, run_pytorch
    model, detector = _build(cfg, checkpoint, options)
    images = images_of(cfg, 'val', options.data, options.images, options.shape)
    _check_classes(detector.num_classes, images, checkpoint.get('meta') or {})
    content = _graph(detector, options, _metadata(cfg, checkpoint, images, options))
    with writing(out, '--out'):
        check_writable(out)  # before the minutes that the proof takes
    runs = {'PyTorch': run_pytorch(model, images, detector.limits.most),
            'ONNX Runtime': run_onnx(_session(content), detector, images)}
    sizes = {'PyTorch': _megabytes(model), 'ONNX Runtime': len(content) / 1e6}
    agreed, written = agreement(*runs.values(), detector.limits), []
    problem = _disagreement(agreed, *runs.values())
    if problem is None:
        written.append(_written(out, content))
    if problem is None and options.int8:
        content = _quantised(cfg, content, detector, options)
        runs['int8'] = run_onnx(_session(content), detector, images)
        sizes['int8'] = len(content) / 1e6
        problem = _too_much(runs, options.max_drop)
        if problem is None:
            written.append(_written(out.with_name(f'{out.stem}_int8.onnx'), content))
    _show(runs, sizes, agreed, len(images))
    for file in written:
        click.echo(str(file))
    if problem:
        raise click.ClickException(problem)


def _build(cfg: Any, checkpoint: dict, options: OnnxOptions) -> Tuple[Any, Any]:
    """The detector as mmdet runs it, and as it is deployed."""
    from ctkd_det.deploy import DeployedDetector, NotDeployable
    from .weights import build_plain, load_strictly
    model = build_plain(cfg)
    load_strictly(model, checkpoint['state_dict'])
    try:
        return model, DeployedDetector(model, options.preprocess)
    except NotDeployable as error:
        raise click.ClickException(str(error)) from error


def _graph(detector: Any, options: OnnxOptions, metadata: Dict[str, str]) -> bytes:
    """The content of the file."""
    from ctkd_det.deploy import InputSize, to_onnx
    size = InputSize(*options.shape) if options.shape else None
    try:
        return to_onnx(detector, size, options.opset, metadata)
    except RuntimeError as error:  # a backbone or neck with an operator that ONNX has not
        raise click.ClickException('torch cannot write this detector as ONNX: '
                                   f'{sentence(error)}') from error


def _session(content: bytes) -> Any:
    import onnxruntime
    return onnxruntime.InferenceSession(content, providers=['CPUExecutionProvider'])


def _written(file: Path, content: bytes) -> Path:
    """The file, in place of an older one only when it is whole."""
    from ctkd_det.whole_file import write_whole
    with writing(file, '--out'):
        write_whole(file, lambda partial: partial.write_bytes(content))
    return file


def _quantised(cfg: Any, content: bytes, detector: Any, options: OnnxOptions) -> bytes:
    """The content of a file of 8 bits, calibrated on training images."""
    from .int8 import quantised
    from .onnx_data import images_of
    calibration = images_of(cfg, 'train', options.data, options.images, options.shape)
    return quantised(content, calibration, detector)


def _check_classes(number: int, images: Any, meta: dict) -> None:
    """See that the images are annotated with what the detector has learnt.

    Raises:
        click.ClickException: if not; mAP and the names in the file would be wrong.
    """
    from ctkd_det.models.teachers.checkpoint import classes_of_checkpoint
    from ctkd_det.models.teachers.classes import class_difference
    names, file = list(images.dataset.metainfo['classes']), images.dataset.ann_file
    if len(names) != number:
        raise click.ClickException(f'the detector has {number} classes, {file} {len(names)}: '
                                   'compare on the data that it was trained for, --data FOLDER')
    try:
        difference = class_difference(classes_of_checkpoint(dict(meta=meta)), names)
    except ValueError as error:
        raise click.ClickException(f'the checkpoint {error}') from error
    if difference:
        raise click.ClickException(
            f'the checkpoint and {file} have other classes, or in another order: {difference}. '
            'Compare on the data that it was trained for, --data FOLDER')


def _metadata(cfg: Any, checkpoint: dict, images: Any, options: OnnxOptions) -> Dict[str, str]:
    """Texts only; nothing of it comes to be a path or code."""
    from ctkd_det.version import __version__
    from .resizing import described
    meta = checkpoint.get('meta') or {}
    ours = meta.get('ctkd_det') if isinstance(meta.get('ctkd_det'), dict) else {}
    method = ours.get('method') if isinstance(ours.get('method'), dict) else {}
    classes = list(images.dataset.metainfo['classes'])
    resize = described(cfg, options.shape)
    if resize is None:
        click.echo('Warning: the test pipeline does more to images than the metadata can say, so '
                   "their 'resize' is null: whoever uses the file has to do the same. With --shape "
                   'HEIGHT WIDTH the metadata say it', err=True)
    return dict(
        classes=json.dumps(classes, ensure_ascii=False),
        method=json.dumps({str(name): str(kind) for name, kind in method.items()}),
        dataset=Path(images.dataset.ann_file).name, detector=str(cfg.model['type']),
        preprocessing='inside' if options.preprocess else 'outside',
        resize=json.dumps(resize), ctkd_det=__version__)


def _megabytes(model: Any) -> float:
    """Size of parameters and buffers."""
    return sum(t.numel() * t.element_size() for t in model.state_dict().values()) / 1e6


def _disagreement(agreed: Any, theirs: Any, ours: Any) -> Optional[str]:
    """What is wrong with a file in one sentence; None if it detects the same."""
    from .proof import MASK, PIXELS, POINTS, SCORE
    if not agreed.detections:
        return ('nothing is detected on any image, so the file cannot be compared with mmdet; is '
                'the checkpoint trained, and --data what it was trained for?')
    if not agreed.holds:
        return (f'the ONNX file does not detect what mmdet detects, and is not written: '
                f'{agreed.unmatched} of {agreed.detections} detections have no partner of the same '
                f'label within {PIXELS} pixels and a score of {SCORE}, and masks differ by '
                f'{agreed.mask:.1%} (at most {MASK:.0%})')
    for kind, points in theirs.mean_ap.items():
        if abs(points - ours.mean_ap[kind]) > POINTS:
            return (f'the ONNX file has a {kind} mAP of {ours.mean_ap[kind]:.2f}, mmdet of '
                    f'{points:.2f}: it is not written')
    return None


def _too_much(runs: Dict[str, Any], max_drop: Optional[float]) -> Optional[str]:
    for kind, points in runs['ONNX Runtime'].mean_ap.items():
        drop = points - runs['int8'].mean_ap[kind]
        if max_drop is not None and drop > max_drop:
            return (f'int8 loses {drop:.2f} points of {kind} mAP, more than --max-drop {max_drop}: '
                    'its file is not written')
    return None


def _show(runs: Dict[str, Any], sizes: Dict[str, float], agreed: Any, images: int) -> None:
    from rich.console import Console
    from rich.table import Table
    kinds = list(runs['PyTorch'].mean_ap)
    table = Table('', 'MB', 'ms an image', *(f'{kind} mAP' for kind in kinds),
                  title=f'{images} images, this CPU')
    for name, run in runs.items():
        table.add_row(name, f'{sizes[name]:.2f}', f'{1000 * run.seconds:.1f}',
                      *(f'{run.mean_ap[kind]:.2f}' for kind in kinds))
    Console().print(table)
    masks = f', {agreed.mask:.2%} of a mask' if 'segm' in kinds else ''
    click.echo(f'ONNX Runtime against mmdet: {agreed.detections} detections, {agreed.unmatched} '
               f'without a partner; at most {agreed.pixels:.1g} pixels, a score of '
               f'{agreed.score:.1g}{masks} apart')

"""Writes the plain student: a checkpoint and its config."""
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Optional, Sequence, Tuple

import click
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from ctkd_det.literal_config import is_dump
from ctkd_det.models.distilled_config import is_distilled
from ctkd_det.operations import flops, resize_shape
from ctkd_det.version import __version__
from ctkd_det.whole_file import write_whole
from ..mistakes import sentence
from ..options import writing
from ..reading import read_config
from .plain_config import plain_config
from .weights import (
    build_plain,
    choose_weights,
    last_temperatures,
    load_student,
    read_source,
)


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        config: The plain config.
        checkpoint: The student's weights.
        facts: What there is to say about it, by title.
    """
    config: Path
    checkpoint: Path
    facts: Dict[str, str]


def export_student(config: Path, checkpoint: Path, out: Path, ema: Optional[bool] = None,
                   shape: Optional[Tuple[int, int]] = None,
                   name: Optional[str] = None) -> Exported:
    """Write a student that needs nothing of this package.

    Args:
        config (Path): The distillation config.
        checkpoint (Path): Of its training.
        out (Path): Folder to write ``<name>.py`` and ``.pth`` to.
        ema (bool, optional): See :func:`choose_weights`.
        shape (tuple, optional): Height and width to count operations at;
            None for that of the test pipeline.
        name (str, optional): Of the files. Defaults to None, the config's.

    Raises:
        click.ClickException: if the checkpoint is refused or not of this
            config, or a file would be written over one of those that were read
            or over somebody's own config, or ``out`` cannot be written.
    """
    name = name or config.stem
    files = out / f'{name}.py', out / f'{name}.pth'
    if {f.resolve() for f in files} & {config.resolve(), checkpoint.resolve()}:
        raise click.ClickException(f'--out {out} would replace what it is made from')
    if files[0].exists() and not is_dump(files[0]):
        raise click.ClickException(f'--out {out}: {files[0]} is there already, and was not '
                                   'written by an export. Take another folder')
    trained = read_config(config)
    if not is_distilled(trained.get('model') or {}):
        raise click.ClickException(f'{config} distils nothing: its checkpoints are already those '
                                   'of plain MMDetection')
    init_default_scope('mmdet')
    source = read_source(checkpoint)
    weights, averaged = choose_weights(source, ema)
    plain = plain_config(config)
    model = build_plain(plain)
    left_out = load_student(model, weights)
    facts = _facts(plain, model, shape, left_out, averaged)
    content = io.BytesIO()  # torch has an error of its own for a full disk
    torch.save(dict(state_dict={key: value.clone() for key, value in model.state_dict().items()},
                    meta=_meta(trained, plain, source, averaged)), content)
    with writing(out, '--out'):  # the large one first, so that most often both are new or old
        write_whole(files[1], lambda partial: partial.write_bytes(content.getbuffer()))
        write_whole(files[0], plain.dump)
    before, after = (file.stat().st_size / 1e6 for file in (checkpoint, files[1]))
    facts['file'] = f'{before:.2f} MB before, {after:.2f} MB after'
    return Exported(*files, facts)


def _meta(distilled: Config, plain: Config, source: dict, averaged: bool) -> dict:
    """Plain containers only, which torch loads without executing anything."""
    meta = source.get('meta', {})
    losses = distilled.model.get('distill_losses', {})
    ours = dict(version=__version__, method={name: loss['type'] for name, loss in losses.items()},
                temperatures=last_temperatures(source), ema=averaged)
    kept = {key: meta[key] for key in ('dataset_meta', 'epoch', 'iter') if key in meta}
    # mmdet's DetInferencer takes the config from here
    return dict(kept, cfg=plain.pretty_text, ctkd_det=ours)


def _facts(plain: Config, model: nn.Module, shape: Optional[Tuple[int, int]],
           left_out: Sequence[str], averaged: bool) -> Dict[str, str]:
    return {
        'detector': plain.model.type,
        'weights': 'averaged (EMA)' if averaged else 'as trained',
        'left out': ', '.join(sorted({'.'.join(key.split('.')[:2]) for key in left_out})) or 'none',
        'parameters': f'{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M',
        'operations': _operations(model, shape or resize_shape(plain))}


def _operations(model: nn.Module, shape: Optional[Tuple[int, int]]) -> str:
    """For the table only: a student that cannot be counted is exported all the same."""
    if not shape:
        return 'not counted: the images have no one size, give --shape'
    try:
        return f'{flops(model, shape) / 1e9:.3g} G multiply-adds at {shape[0]} x {shape[1]}'
    except Exception as error:  # it may not be countable in any way there is: Fast R-CNN lacks
        # its proposals, and mmcv-lite some operator
        return f'not counted: {sentence(error).splitlines()[0]}'

"""The methods: the fragments of ``configs/_base_/distill``, one or several."""
import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List

import click
from mmengine.config import Config

from ..places import shipped

SHORT = dict(ctkd='ctkd_global', kd='kd_fixed')


@dataclass
class Method:
    """What distilling by a method adds to a config."""
    losses: Dict[str, dict] = field(default_factory=dict)
    hooks: List[dict] = field(default_factory=list)
    custom_keys: Dict[str, dict] = field(default_factory=dict)


def fragments() -> Dict[str, Path]:
    """Name of each method and its file."""
    folder = shipped('ctkd_det', 'configs') / '_base_' / 'distill'
    files = {path.stem: path for path in sorted(folder.glob('*.py'))}
    return {**{short: files[name] for short, name in SHORT.items()}, **files}


def read_method(name: str, num_classes: int) -> Method:
    """Read a method, or several joined with ``+``.

    Args:
        name (str): As in 'ctkd' or 'ctkd+dkd'.
        num_classes (int): Number of the student's classes.

    Raises:
        click.ClickException: if a name is unknown.
    """
    files, method = fragments(), Method()
    for part in name.split('+'):
        if part not in files:
            close = difflib.get_close_matches(part, files) or files
            raise click.ClickException(f'unknown method {part!r}; perhaps {", ".join(close)}. '
                                       f'All: {", ".join(files)}')
        fragment = Config.fromfile(files[part]).to_dict()
        for key, loss in fragment['distill_losses'].items():
            # two methods may call their loss loss_ctkd
            key = f'loss_{files[part].stem}' if key in method.losses else key
            method.losses[key] = _with_classes(loss, num_classes)
        method.hooks += [h for h in fragment.get('custom_hooks', []) if h not in method.hooks]
        method.custom_keys.update(fragment.get('temperature_paramwise', {}).get('custom_keys', {}))
    return method


def _with_classes(config: Any, num_classes: int) -> Any:
    """The config with its every ``num_classes`` set."""
    if not isinstance(config, dict):
        return config
    return {key: num_classes if key == 'num_classes' else _with_classes(value, num_classes)
            for key, value in config.items()}

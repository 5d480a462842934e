"""The hooks that guard a training: in place of MMEngine's, never of a user's own."""
from typing import TYPE_CHECKING, Dict, Optional

import click

from .mistakes import sentence
from .places import shipped

if TYPE_CHECKING:
    from ctkd_det.hooks.checkpoint_files import CheckpointFolder


def checkpoint_hook(config: dict) -> Optional[dict]:
    """A config's own, with MMEngine's type if it states none; None if it has none."""
    default = dict(type='CheckpointHook')
    own = (config.get('default_hooks') or {}).get('checkpoint', default)
    return None if own is None else {**default, **own}


def saves_safely(hook: dict) -> bool:
    """Whether a hook, by its config, is a ``SafeCheckpointHook``, or one that extends it."""
    from mmdet.registry import HOOKS

    from ctkd_det.configs import registered_class
    from ctkd_det.hooks import SafeCheckpointHook
    kind = registered_class(HOOKS, hook['type'])
    return kind is not None and issubclass(kind, SafeCheckpointHook)


def safe_checkpoints(config: dict, work_dir: str) -> Optional['CheckpointFolder']:
    """The folder of a training's checkpoints, if its hook is a ``SafeCheckpointHook``.

    Raises:
        click.ClickException: if the hook cannot be built.
    """
    from mmdet.registry import HOOKS
    from mmengine.registry import init_default_scope
    own = checkpoint_hook(config)
    if own is None or not saves_safely(own):
        return None
    try:
        init_default_scope('mmdet')
        return HOOKS.build(own).folder_in(work_dir)
    except Exception as error:  # a user's own may fail in any way there is
        raise click.ClickException(f'default_hooks.checkpoint: {sentence(error)}') from error


def safe_hooks(config: dict) -> Dict[str, dict]:
    """Default hooks that guard the training of a config, but none in place of a user's own."""
    from mmengine.config import Config

    from ctkd_det.configs import type_name
    hooks = Config.fromfile(shipped('ctkd_det', 'configs') / '_base_' / 'safe_hooks.py').safe_hooks
    own = checkpoint_hook(config)
    if own is None or type_name(own) != 'CheckpointHook':
        del hooks['checkpoint']
    return hooks.to_dict()


def guard(config: dict) -> None:
    """Let a config that does not say otherwise save safely, and end when its loss is not finite.

    Its data are looked at before (``look_at_data``).
    """
    own = dict(config.get('default_hooks') or {})
    hooks = safe_hooks(config)
    if 'checkpoint' in hooks:
        own['checkpoint'] = dict(own.get('checkpoint', {}), **hooks['checkpoint'])
    own.setdefault('finite', hooks['finite'])
    config['default_hooks'] = own

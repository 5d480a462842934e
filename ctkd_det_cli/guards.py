"""The hooks that guard a training: in place of MMEngine's, never of a user's own."""
from typing import Dict, Optional

from .places import shipped


def checkpoint_hook(config: dict) -> Optional[dict]:
    """A config's own, with MMEngine's type if it states none; None if it has none."""
    default = dict(type='CheckpointHook')
    own = (config.get('default_hooks') or {}).get('checkpoint', default)
    return None if own is None else {**default, **own}


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

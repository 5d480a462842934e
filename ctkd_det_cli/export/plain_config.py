"""Turns a distillation config into the plain one that it extends."""
import ast
import re
from pathlib import Path
from typing import Any, Iterator, List, Optional, Set

import mmengine
from mmdet import registry
from mmdet.registry import HOOKS, METRICS
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import Registry

from ctkd_det.configs import (
    imported_modules,
    read_config,
    registered_class,
    with_names,
    without_scope,
)
from ctkd_det.models.distilled_config import is_distilled, own_arguments, plain_model
from ctkd_det.registry import SCOPE

# what our fragments define besides the keys that mmengine reads
FRAGMENT_VARIABLES = ('distill_losses', 'temperature_paramwise', 'adapter_paramwise', 'clip_grad',
                      'teacher_config', 'teacher_ckpt', 'safe_hooks', 'detector')
# multipliers of parameters that the student alone does not have
CUSTOM_KEYS = ('distill_losses', 'temperature', 'raw_variances')


def plain_config(path: Path) -> Config:
    """A config that needs nothing of this package.

    The detector is the base config's, or, in a dumped config that has no base
    any more, the class of mmdet that the distilling one extends. Everything
    else that is ours is taken out: the arguments it adds, hooks, imports, and
    the learning rates of the losses; a metric or default hook becomes the one
    that it extends.
    """
    cfg = with_names(Config.fromfile(path))
    if is_distilled(cfg.model):
        cfg.model = plain_model(cfg.model, _type_in_base(path))
    for name in (*FRAGMENT_VARIABLES, 'work_dir'):
        cfg.pop(name, None)
    cfg.load_from, cfg.resume = None, False
    _take_out_imports(cfg)
    if 'custom_hooks' in cfg:
        hooks = [h for h in cfg.pop('custom_hooks') if not _is_ours(_class(HOOKS, h))]
        if hooks:
            cfg.custom_hooks = hooks
    _make_default_hooks_plain(cfg.get('default_hooks', {}))
    for evaluator in ('val_evaluator', 'test_evaluator'):
        _make_metrics_plain(cfg.get(evaluator))
    paramwise = cfg.get('optim_wrapper', {}).get('paramwise_cfg') or {}
    for key in [k for k in paramwise.get('custom_keys', {}) if k.startswith(CUSTOM_KEYS)]:
        del paramwise['custom_keys'][key]
    # a new one, without the texts of the files it came from
    return Config(without_scope(cfg.to_dict(), SCOPE))


def _class(registry: Registry, config) -> Optional[type]:
    """The class of a config of a hook, or of a hook given as an object."""
    if not isinstance(config, dict):
        return type(config)
    return registered_class(registry, config['type'])


def _is_ours(cls: Optional[type]) -> bool:
    return cls is not None and cls.__module__.partition('.')[0] == 'ctkd_det'


def _make_default_hooks_plain(hooks: dict) -> None:
    for name, config in list(hooks.items()):
        # a default one's arguments need no type
        typed = config and not (isinstance(config, dict) and 'type' not in config)
        cls = _class(HOOKS, config) if typed else None
        if not _is_ours(cls):
            continue
        extended = next(c for c in cls.__mro__ if not _is_ours(c))
        if extended is Hook:
            del hooks[name]
        else:
            config.type = extended.__name__
            for argument in set(own_arguments(cls)) - set(own_arguments(extended)):
                config.pop(argument, None)


def _make_metrics_plain(evaluator) -> None:
    """One metric, a list of them, or an Evaluator that has them; ours take mmdet's arguments."""
    for metric in evaluator if isinstance(evaluator, (list, tuple)) else [evaluator]:
        if not isinstance(metric, dict):
            continue
        _make_metrics_plain(metric.get('metrics'))
        cls = _class(METRICS, metric) if 'type' in metric else None
        if _is_ours(cls):
            metric.type = next(c.__name__ for c in cls.__mro__ if not _is_ours(c))


def _type_in_base(path: Path) -> Optional[str]:
    """The detector of the first base, or base's base, that is plain."""
    for base in _bases(path):
        file = base if '::' in base else path.parent / base
        model = read_config(file).get('model', {})
        if not is_distilled(model):
            kind = model.get('type')
        else:
            kind = None if '::' in base else _type_in_base(file)
        if kind:
            return kind
    return None


def _bases(path: Path) -> List[str]:
    """What a Python config's ``_base_`` says."""
    if path.suffix != '.py':
        return []
    for node in ast.parse(path.read_text(encoding='utf-8')).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == '_base_':
            try:
                bases = ast.literal_eval(node.value)
            except ValueError:  # mmengine takes an expression, too
                return []
            # as mmengine fills it in
            return [re.sub(r'\{\{\s*fileDirname\s*\}\}', lambda _: str(path.parent.resolve()), base)
                    for base in ([bases] if isinstance(bases, str) else bases)]
    return []


def _take_out_imports(cfg: Config) -> None:
    if 'custom_imports' not in cfg:
        return
    names = set(_names([value for key, value in cfg.to_dict().items() if key != 'custom_imports']))
    others = [name for name in imported_modules(cfg)
              if name.partition('.')[0] != 'ctkd_det' and _is_needed(name, names)]
    if others:
        cfg.custom_imports.imports = others
    else:
        cfg.pop('custom_imports')


def _names(config: Any) -> Iterator[str]:
    """Every text in a config, without a scope: not ``type`` alone names a class."""
    if isinstance(config, str):
        yield config.rpartition('.')[2]
    elif isinstance(config, (dict, list, tuple)):
        for value in config.values() if isinstance(config, dict) else config:
            yield from _names(value)


def _is_needed(module: str, names: Set[str]) -> bool:
    """Whether a plain config needs an import.

    Not needed is a module that registers something, but nothing that the
    config names: a loss of the distillation, for example.
    """
    registries = (*vars(registry).values(), *vars(mmengine.registry).values())
    registered = [name for kind in registries if isinstance(kind, Registry)
                  for name, cls in kind.module_dict.items()
                  if f'{cls.__module__}.'.startswith(f'{module}.')]
    return not registered or not names.isdisjoint(registered)

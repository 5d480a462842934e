"""Configs as people name them, and what they import."""
import copy
import inspect
import sys
from pathlib import Path
from typing import Any, Iterator, List, Optional, Union

from mmdet import registry
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import Registry


def read_config(named: Union[str, Path, dict]) -> dict:
    """A config by its path, by its name in a package (``mmdet::...``), or given as it is.

    Raises:
        Exception: whatever reading it raises; a config is code.
    """
    if isinstance(named, dict):
        return named
    return get_config(str(named)) if '::' in str(named) else Config.fromfile(named)


def registered_class(registry_: Registry, kind: Union[str, type]) -> Optional[type]:
    """The class that a config's ``type`` stands for; None if nothing is registered so.

    In MMEngine's pure-Python configs the type is the class itself.
    """
    return registry_.get(kind) if isinstance(kind, str) else kind


def known_class(registry_: Registry, kind: Any) -> Optional[type]:
    """As :func:`registered_class`, but None where a module would have to be imported first.

    MMEngine's registries import what a name stands for. A config from a
    stranger's work directory must not choose what is imported.
    """
    if not isinstance(kind, str):
        return kind if isinstance(kind, type) else None
    registry_.import_from_location()  # the registry's own modules
    module, _, name = kind.rpartition('.')
    found: Optional[Registry] = registry_
    while found is not None:
        if name in found.module_dict and module in ('', found.scope):
            return found.module_dict[name]
        found = found.parent
    cls = getattr(sys.modules.get(module), name, None)
    return cls if isinstance(cls, type) else None


def type_name(config: Any) -> str:
    """The name of the class that a config's ``type`` stands for, or that an object has.

    Without its module; '' if there is no type.
    """
    kind = config.get('type', '') if isinstance(config, dict) else type(config)
    return getattr(kind, '__name__', str(kind)).rpartition('.')[2]


def with_names(config: Any) -> Any:
    """A copy of a config with names where a pure-Python config has the classes themselves.

    A registered class becomes the name that it is registered by, anything
    else the path that it is imported by; MMEngine's registries take both.
    """
    if isinstance(config, Config):
        imported = getattr(config, '_imported_names', ())
        return Config({key: with_names(value) for key, value in config.items()
                       if key not in imported})
    if isinstance(config, dict):
        return {key: with_names(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(map(with_names, config))
    if isinstance(config, type) or inspect.isroutine(config):
        name = config.__name__
        return name if any(r.get(name) is config for r in _registries()) else (
            f'{config.__module__}.{name}')
    return config


def without_scope(config: Any, scope: str) -> Any:
    """A copy without the mark that MMEngine gives to what a config ``<scope>::...`` says."""
    if isinstance(config, dict):
        return {key: without_scope(value, scope) for key, value in config.items()
                if (key, value) != ('_scope_', scope)}
    if isinstance(config, (list, tuple)):
        return type(config)(without_scope(value, scope) for value in config)
    return config


def comparable(config: Any) -> Any:
    """A copy that equals another one which says the same in other words; to compare, not to build.

    It lacks MMEngine's marks of scopes, registered classes have their names where a dumped
    pure-Python config has their paths, and all sequences are lists.
    """
    if isinstance(config, dict):
        return {key: _short_name(value) if key == 'type' else comparable(value)
                for key, value in config.items() if key != '_scope_'}
    return [comparable(value) for value in config] if isinstance(config, (list, tuple)) else config


def _short_name(kind: Any) -> Any:
    """A type without its module or scope, if its name alone stands for the same class."""
    path = f'{kind.__module__}.{kind.__name__}' if isinstance(kind, type) else kind
    module, _, name = path.rpartition('.') if isinstance(path, str) else ('', '', '')
    cls = getattr(sys.modules.get(module), name, None)
    known = any(name in r.module_dict and (module == r.scope or r.module_dict[name] is cls)
                for each in _registries() for r in (each, each.parent) if r)
    return name if module and known else kind


def _registries() -> List[Registry]:
    return [value for value in vars(registry).values() if isinstance(value, Registry)]


def detector_config(config: dict) -> dict:
    """The detector as a Runner builds it: a ``data_preprocessor`` may stand beside the model."""
    model = copy.deepcopy(config['model'])
    if config.get('data_preprocessor') is not None:
        model.setdefault('data_preprocessor', copy.deepcopy(config['data_preprocessor']))
    return model


def nested_datasets(dataset: Any) -> List[dict]:
    """A data set's config, then what it wraps, and so on; of several the first."""
    found = []
    while isinstance(dataset, dict):
        found.append(dataset)
        dataset = dataset.get('dataset') or (dataset.get('datasets') or [None])[0]
    return found


def leaf_datasets(dataset: Any) -> Iterator[dict]:
    """A data set's config, or those of all within RepeatDataset, ConcatDataset and others."""
    if not hasattr(dataset, 'get'):
        return
    inner = [dataset.get('dataset'), *(dataset.get('datasets') or ())]
    if inner == [None]:
        yield dataset
    for one in inner:
        yield from leaf_datasets(one)


def transforms_of(loader: Optional[dict]) -> List[Any]:
    """The transforms of a data loader's images; none if there is no loader.

    A wrapper's (MultiImageMixDataset) come after those of what it wraps.
    """
    return [transform for dataset in reversed(nested_datasets((loader or {}).get('dataset')))
            for transform in dataset.get('pipeline') or ()]


def imported_modules(config: Config) -> List[str]:
    """What its ``custom_imports`` names, which may be one string."""
    modules = (config.get('custom_imports') or {}).get('imports', [])
    return [modules] if isinstance(modules, str) else list(modules)

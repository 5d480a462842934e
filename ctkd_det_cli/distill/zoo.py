"""Finds configs by the names people use for them, and their published weights."""
import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional

import click
from mmengine.config import Config
from mmengine.fileio import load

from ..places import load_package, reference, shipped
from ..reading import read_config

PACKAGES = ('mmdet', 'ctkd_det')


@dataclass(frozen=True)
class Source:
    """A config somebody has named.

    Attributes:
        path: Its file.
        reference: What another config calls it, see
            :func:`ctkd_det_cli.places.reference`.
        config: What it says, with the names of classes.
        pure_python: Whether it is written in MMEngine's pure-Python style,
            which no ``_base_`` can name: a copy lies beside what inherits
            from it.
    """
    path: Path
    reference: str
    config: Config
    pure_python: bool = False

    @property
    def base(self) -> str:
        """str: What a config that inherits from it writes into ``_base_``."""
        return f'{self.path.stem}_as_text.py' if self.pure_python else self.reference

    @property
    def classifier(self) -> dict:
        """dict: The (first) box head, of a two-stage or a single-stage detector.

        Raises:
            click.ClickException: if the model has none.
        """
        model = self.config.get('model', {})
        head = (model.get('roi_head') or model).get('bbox_head')
        head = head[0] if isinstance(head, (list, tuple)) else head
        if not head:
            raise click.ClickException(f'{self.path} is no detector with classes: its model has '
                                       'no bbox_head')
        return head

    @property
    def num_classes(self) -> int:
        """int: C, without the background."""
        return self.classifier.get('num_classes', 80)  # mmdet's own default


def find_config(name: str) -> Source:
    """Find a config.

    Args:
        name (str): A path; ``mmdet::folder/name``, with or without ``.py``;
            or the bare name of a config of mmdet or of this package.

    Raises:
        click.ClickException: if there is none, or there are several; the
            message shows the closest names.
    """
    path = Path(name).expanduser()
    if not path.is_file():
        path = _by_package(*name.split('::', 1)) if '::' in name else _by_name(name)
    path = path.resolve()
    config = read_config(path)
    pure_python = path.suffix == '.py' and Config._is_lazy_import(str(path))
    if pure_python:
        load_package()
        from ctkd_det.configs import with_names
        config = with_names(config)
    return Source(path, reference(path), config, pure_python)


def weights_url(source: Source) -> str:
    """URL of the weights that mmdet's model zoo publishes for a config.

    Raises:
        click.ClickException: if there are none.
    """
    url = zoo_entry(source.path).get('Weights')
    if url:
        return url
    raise click.ClickException(
        f"MMDetection's model zoo has no weights for {source.reference}: give --teacher-ckpt a "
        'file or URL')


def zoo_entry(path: Path) -> dict:
    """What the model zoo's metafile says about one of mmdet's configs; empty if nothing."""
    metafile = path.parent / 'metafile.yml'
    if not path.is_relative_to(_configs('mmdet')) or not metafile.is_file():
        return {}
    content = load(metafile)
    models = content['Models'] if isinstance(content, dict) else content
    return next((model for model in models if Path(model['Config']).name == path.name), {})


def _configs(package: str) -> Path:
    return shipped(package, 'configs').resolve()


def _by_package(package: str, rest: str) -> Path:
    if package not in PACKAGES:
        raise click.ClickException(f'{package}:: is neither mmdet:: nor ctkd_det::')
    path = _configs(package) / rest
    path = path if path.suffix == '.py' else Path(f'{path}.py')
    if not path.is_file():
        raise click.ClickException(f'{package} has no config {rest}. {_closest(path.stem)}')
    return path


def _by_name(name: str) -> Path:
    stem = name.removesuffix('.py')
    paths = _all_names().get(stem, [])
    # a folder, as a work directory, may be called like a config
    if not paths and Path(name).expanduser().is_dir():
        raise click.ClickException(f'{Path(name).expanduser()} is a folder, not a config')
    if Path(name).name != name:
        raise click.ClickException(f'there is no file {Path(name).expanduser().absolute()}. '
                                   f'{_closest(Path(name).stem, Path(name).expanduser().parent)}')
    # our own students have the names that mmdet would give them, and repeat some of its configs
    paths = [p for p in paths if p.is_relative_to(_configs('mmdet'))] or paths
    if not paths:
        raise click.ClickException(f'no file and no config of mmdet or ctkd_det is called {name}. '
                                   f'{_closest(stem, Path())}')
    if len(paths) > 1:
        raise click.ClickException(f'{stem} could be any of these, give one of the paths:\n  '
                                   + '\n  '.join(map(str, paths)))
    return paths[0]


def _all_names() -> Dict[str, List[Path]]:
    names: Dict[str, List[Path]] = {}
    for package in PACKAGES:
        root = _configs(package)
        for path in sorted(root.rglob('*.py')):
            if '_base_' not in path.relative_to(root).parts:
                names.setdefault(path.stem, []).append(path)
    return names


def _closest(stem: str, folder: Optional[Path] = None) -> str:
    """The names that could be meant, of the packages' configs and of the files in a folder."""
    # mmdet 2.x wrote faster_rcnn where 3.x writes faster-rcnn
    plain = {name.replace('-', '_'): name for name in _all_names()}
    beside = folder.glob('*.py') if folder else ()
    plain.update({path.stem.replace('-', '_'): str(path) for path in beside})
    matches = difflib.get_close_matches(stem.replace('-', '_'), plain, n=5)
    return 'Closest names: ' + ', '.join(plain[m] for m in matches) if matches else (
        f'mmdet\'s are in {_configs("mmdet")}')

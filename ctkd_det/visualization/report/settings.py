"""What the runs were made with: settings that differ, and versions."""
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from typing import Dict, List, Tuple

from .runs import TrainedRun
from .study import Study

_LOGGED = {'Python': 'Python', 'PyTorch': 'PyTorch', 'TorchVision': 'TorchVision',
           'OpenCV': 'OpenCV', 'MMEngine': 'MMEngine', 'sys.platform': 'platform',
           'CUDA available': 'CUDA available', 'GPU 0': 'GPU'}
_PACKAGES = {'PyTorch': 'torch', 'TorchVision': 'torchvision', 'MMEngine': 'mmengine',
             'mmcv': ('mmcv', 'mmcv-lite', 'onedl-mmcv'), 'mmdet': ('mmdet', 'onedl-mmdetection'),
             'ctkd_det': 'ctkd_det', 'numpy': 'numpy', 'plotly': 'plotly'}


def config_differences(study: Study) -> List[dict]:
    """Keys in which the methods differ, with each one's value (None: not set)."""
    flat = [method.runs[0].settings for method in study.methods]
    keys = dict.fromkeys(key for one in flat for key in one)
    rows = []
    for key in keys:
        values = [repr(one[key]) if key in one else None for one in flat]
        if key == 'randomness.seed':
            values = [', '.join(str(run.seed) for run in method.runs) for method in study.methods]
        if len(set(values)) > 1:
            rows.append(dict(key=key, values=values))
    return sorted(rows, key=lambda row: row['key'])


def environment(study: Study) -> Tuple[List[str], List[dict]]:
    """Versions at training, from the logs, and now: column titles and rows."""
    logged: Dict[str, Tuple[Dict[str, str], List[str]]] = {}
    for method in study.methods:
        for run in method.runs:
            found = _from_log(run)
            logged.setdefault(repr(found), (found, []))[1].append(run.name)
    trained = [(found, names) for found, names in logged.values() if found]
    titles = [f'in training, from the log{"" if len(trained) == 1 else "s of " + _some(names)}'
              for _, names in trained] + ['now, of this report']
    columns = [found for found, _ in trained] + [_now()]
    names = list(dict.fromkeys(name for column in columns for name in column))
    return titles, [dict(name=name, values=[column.get(name) for column in columns])
                    for name in names]


def _some(names: List[str]) -> str:
    return ', '.join(names[:3]) + (f' and {len(names) - 3} more' if len(names) > 3 else '')


def _from_log(run: TrainedRun) -> Dict[str, str]:
    head = run.log_text()[:20000].split('Runtime environment')[0]
    pairs = re.findall(r'^ +([\w. ]+): (.+)$', head, re.M)
    return {_LOGGED[key]: value.strip() for key, value in pairs if key in _LOGGED}


def _now() -> Dict[str, str]:
    found = dict(Python=platform.python_version(), platform=platform.platform())
    for name, candidates in _PACKAGES.items():
        for package in [candidates] if isinstance(candidates, str) else candidates:
            try:
                found[name] = version(package)
                break
            except PackageNotFoundError:
                continue
    return found

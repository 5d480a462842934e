"""Which validation metrics the runs have logged, and what the page calls them."""
import math
import re
from dataclasses import dataclass
from typing import Dict, Iterable, List, Optional, Tuple

from ...curves import Series

# names in the report -> names in mmdet's CocoMetric
COCO = dict(mAP='bbox_mAP', AP50='bbox_mAP_50', AP75='bbox_mAP_75',
            APs='bbox_mAP_s', APm='bbox_mAP_m', APl='bbox_mAP_l')
_MASKS = {f'mask {title}': name.replace('bbox', 'segm') for title, name in COCO.items()}
_TITLES = {name: title for title, name in {**COCO, **_MASKS}.items()}
# AP of a single class, as CocoMetric(classwise=True) logs it
_PER_CLASS = '_precision'
_SHARE = re.compile(r'(^|_)(m?AP|AR|recall)', re.I)

Scalars = Dict[str, Series]


@dataclass(frozen=True)
class Metric:
    """A column of the table.

    Attributes:
        title: What the page calls it.
        name: What mmdet calls it, without the prefix of its evaluator.
        prefix: Of its evaluator, ``coco``; None where no run has several, for
            whichever each run has.
        percent: Whether it goes from 0 to 1 and is shown in %; below 0, as
            COCO has it for objects of a size that the data lack, nothing was
            measured.
    """
    title: str
    name: str
    prefix: Optional[str]
    percent: bool

    def key(self, scalars: Iterable[str]) -> Optional[str]:
        """The name under which a run has logged it."""
        if self.prefix is not None:
            key = f'{self.prefix}/{self.name}'
            return key if key in scalars else None
        return next((key for key in scalars if key.rpartition('/')[2] == self.name
                     and '/' in key), None)

    def shown(self, value: float) -> Optional[float]:
        """As it is shown; None if nothing was measured."""
        if not math.isfinite(value) or (self.percent and value < 0):
            return None
        return 100 * value if self.percent else value

    def words(self, shown: Optional[float], sign: str = '') -> str:
        """A shown value: one decimal of %, else four digits; a dash where there is none.

        Args:
            shown (float, optional): The value.
            sign (str): '+' for a difference.
        """
        if shown is None:
            return '–'
        return f'{shown:{sign}{".1f" if self.percent else ".4g"}}'.replace('-', '−')


def validation_names(scalars: Scalars) -> List[str]:
    """Names of what was logged by validations: they alone have an evaluator's prefix."""
    return [name for name in scalars if '/' in name]


def class_names(scalars: Scalars) -> Dict[str, Tuple[str, str]]:
    """Names under which AP of single classes was logged -> the evaluator's prefix and the class.

    A metric of one's own may end like them, so there must be one of COCO with
    their prefix. The prefix and the class may have slashes in them.
    """
    coco = sorted({p for prefixes in _prefixes(scalars).values() for p in prefixes}, key=len)
    return {key: (prefix, key[len(prefix) + 1:].removesuffix(_PER_CLASS))
            for prefix in coco for key in scalars  # the longest one that fits is the last
            if key.startswith(f'{prefix}/') and key.endswith(_PER_CLASS)}


def find_metrics(runs: Iterable[Scalars]) -> List[Metric]:
    """The metrics of all runs, COCO's first, then those called mAP.

    Metrics of COCO bear their short titles; where a run has several
    evaluators or validation sets, the prefix is added. All others bear the
    names that they were logged under. Where nothing was logged, there are
    COCO's.
    """
    runs = list(runs)
    logged: Dict[str, List[float]] = {}
    for scalars in runs:
        of_classes = class_names(scalars)
        for name in validation_names(scalars):
            if name not in of_classes:
                logged.setdefault(name, []).extend(scalars[name][1])
    several = any(len(prefixes) > 1 for scalars in runs for prefixes in _prefixes(scalars).values())
    metrics: Dict[Metric, None] = {}
    for key, values in logged.items():
        prefix, _, name = key.rpartition('/')
        if name in _TITLES:
            title = f'{prefix}: {_TITLES[name]}' if several else _TITLES[name]
            metrics[Metric(title, name, prefix if several else None, True)] = None
        else:
            share = bool(_SHARE.search(name)) and all(not v > 1 for v in values)
            metrics[Metric(key, name, prefix, share)] = None
    if not logged:
        return [Metric(title, name, None, True) for title, name in COCO.items()]
    order = list(_TITLES)
    return sorted(metrics, key=lambda m: (
        order.index(m.name) if m.name in order else len(order), not m.name.endswith('mAP')))


def _prefixes(scalars: Scalars) -> Dict[str, set]:
    """Prefixes of each metric of COCO."""
    found: Dict[str, set] = {}
    for key in validation_names(scalars):
        prefix, _, name = key.rpartition('/')
        if name in _TITLES:
            found.setdefault(name, set()).add(prefix)
    return found

"""The names of logged temperatures and levels: built and taken apart here, and nowhere else.

The loss ``loss_ctkd`` logs ``ctkd.tau_mean``, ``ctkd.tau_min``, ``ctkd.tau_max``, for each group
of RoIs its own ``ctkd.tau_<group>``, of each side ``ctkd.tau_student`` and ``ctkd.tau_teacher``
where they differ, and ``ctkd.lambda`` and ``ctkd.theta_grad``. A loss between box distributions,
``loss_ld``, logs the same of its own temperature, ``ld.tau_mean``. The feature loss ``loss_pkd``
logs the value of each level as ``pkd.level0``. No name contains ``loss``, because mmengine adds
whatever does to the total loss.
"""
import re
from typing import Dict, Iterable, NamedTuple, Optional, Tuple

LAMBDA = 'lambda'
THETA_GRAD = 'theta_grad'
STATISTICS = ('mean', 'min', 'max')
_LOSS, _TAU = 'loss_', 'tau_'
_LEVEL = re.compile(r'(.+)\.(level\d+)')


def short_name(loss: str) -> str:
    """``ctkd`` for the loss ``loss_ctkd``."""
    return loss.removeprefix(_LOSS)


def log_name(loss: str, value: str) -> str:
    """``ctkd.lambda`` for the value ``lambda`` of the loss ``loss_ctkd`` or ``ctkd``."""
    return f'{short_name(loss)}.{value}'


class LoggedTau(NamedTuple):
    """A logged temperature.

    Attributes:
        loss: Short name of the loss, ``ctkd``.
        part: One of :data:`STATISTICS`, taken over the RoIs of a batch; or the
            name of a group of RoIs, ``foreground``, ``background``,
            ``class_3``; or a side, ``student`` or ``teacher``.
    """
    loss: str
    part: str

    @property
    def value(self) -> str:
        """str: The name without the loss, ``tau_mean``."""
        return f'{_TAU}{self.part}'

    @property
    def name(self) -> str:
        """str: The name in the log, ``ctkd.tau_mean``."""
        return log_name(self.loss, self.value)

    @property
    def is_group(self) -> bool:
        """bool: Whether it is a group's or a side's own temperature."""
        return self.part not in STATISTICS


def parse_tau(name: str) -> Optional[LoggedTau]:
    """The temperature that is logged under a name; None if it is something else."""
    loss, dot, value = name.rpartition('.')
    if not dot or not value.startswith(_TAU):
        return None
    return LoggedTau(loss, value.removeprefix(_TAU))


def parse_level(name: str) -> Optional[Tuple[str, str]]:
    """``('pkd', 'level0')`` for ``pkd.level0``; None if it is something else."""
    found = _LEVEL.fullmatch(name)
    return (found[1], found[2]) if found else None


def parse_taus(names: Iterable[str]) -> Dict[str, LoggedTau]:
    """The temperatures among logged names."""
    parsed = {name: parse_tau(name) for name in names}
    return {name: tau for name, tau in parsed.items() if tau}


def telling_taus(names: Iterable[str]) -> Dict[str, LoggedTau]:
    """Of each loss the groups' temperatures, or the mean if it has no groups."""
    taus = parse_taus(names)
    grouped = {tau.loss for tau in taus.values() if tau.is_group}
    return {name: tau for name, tau in taus.items()
            if tau.is_group or (tau.part == 'mean' and tau.loss not in grouped)}

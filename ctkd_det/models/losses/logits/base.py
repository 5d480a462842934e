"""What every distillation loss between classification logits has in common.

Symbols: N sampled RoIs, C classes, s and t the logits of student and teacher
(N, C+1) with the background last, tau the temperature, (1,) or (N, 1), tau_s and
tau_t where student and teacher have one each.
"""
import inspect
import warnings
from typing import List, Optional, Union

import torch
from torch import Tensor, nn

from ...precision import at_least_float32
from ...temperatures.base import Tau, levels_of, tensors_of
from ...temperatures.building import build_temperature
from ..distill_loss import DistillLoss, at_least_zero
from ..draws import Draws
from ..weights import TINY, balance_foreground, mean_over_ranks, weighted_mean
from .softening import SIDES, power_of, softening, uncertainty
from .standardizing import standardize

# far below any logit of a network, and finite in float32 when divided by a small tau
_MASKED = -1e9


class LogitLoss(DistillLoss):
    """Base of the logit losses: temperature, weights and reduction.

    Subclasses implement :meth:`divergence`, the loss of each RoI.

    Args:
        temperature (float | list[float] | dict | nn.Module): A number for a
            fixed tau; several, over which the loss is averaged, see
            :class:`MultiLevelTemperature`; or the config of a registered
            temperature; a learnable one makes the loss CTKD. In a detector's
            ``distill_losses`` also the name of another loss, whose
            temperature is then shared.
        loss_weight (float): Factor of the whole loss, at least 0. With 0 the
            loss is inactive: it costs nothing. Defaults to 1.
        foreground_weight (float, optional): Share, from 0 to 1, that the
            foreground RoIs have in the loss, see :func:`balance_foreground`.
            With None each RoI counts alike, so about three quarters of the
            loss come from the background. Defaults to None.
        standardize (bool): Whether each RoI's logits are brought to mean 0
            and deviation 1 first: "Logit Standardization in Knowledge
            Distillation" (CVPR 2024), eq. 10. For softmax classifiers only:
            sigmoids change when a number is added to all logits. And for two
            classes at least: two logits would become 1 and -1 whatever they
            are. Defaults to False.
        tau_power (float, optional): Each RoI's loss is multiplied by tau to
            this power, at least 0; if one side alone is softened, it is that
            side's tau. By ``(tau_s * tau_t) ** (tau_power / 2)`` where student
            and teacher have one each, which is DTKD's product at 2. The usual
            2 is meant to keep the student's gradient as large at any tau,
            which holds once all of the softmax is soft; on a detector's RoIs
            that gradient grows several times from a tau of 1 to 4
            (docs/evidence/size-or-time.md), so take 1 to fine-tune at a tau
            well above 1.
            Where the temperature is learned, the power also says where the
            adversary stops: at the tau at which a tau that is 1 % larger
            makes the bare divergence ``tau_power`` % smaller. Defaults to
            None: 2, and 0 where only one side is softened.
        relative_adversary (bool): Whether a learned temperature climbs the
            loss's logarithm instead of the loss, so that its speed does not
            depend on how large the loss is. Defaults to False.
        soften (str): Whose logits are divided by tau: 'both', the 'teacher'
            alone or the 'student' alone. With 'teacher' and :class:`KDLoss`
            it is TTM, "Knowledge Distillation Based on Transformed Teacher
            Matching" (ICLR 2024): dividing the logits by tau is its power
            transform of the probabilities, with an exponent of 1 / tau.
            Defaults to 'both'.
        uncertainty_weight (bool): Whether each RoI's loss is multiplied by
            ``U = sum_c p_c ** (1 / tau)``, p the teacher's probabilities at
            temperature 1: for a tau above 1 it is at least 1, and large where
            the teacher is not certain. With ``soften='teacher'`` it is WTTM,
            of the same paper. No gradient flows through U. Defaults to False.
        window (dict, optional): When the loss is active, the arguments of
            :class:`Window`. Defaults to None, always.
        rotated (bool): Whether a two-stage detector compares the logits of
            its RoIs on the rotated batch, with the RoIs' labels and weights:
            the transformed images of SSKD, see :class:`SSKDLoss`. Defaults to
            False.

    Raises:
        ValueError: if a weight or power is out of its range, ``soften`` is
            unknown, or temperature, ``foreground_weight``, ``standardize`` or
            ``uncertainty_weight`` have no meaning for the loss.
    """
    needs = ('labels', 'weight', 'avg_factor')
    # whether the logits are those of a head with use_sigmoid=True
    for_sigmoids = False
    # whether some rows are of the background
    has_background = True

    def __init__(self,
                 temperature: Union[float, List[float], dict, nn.Module],
                 loss_weight: float = 1.0,
                 foreground_weight: Optional[float] = None,
                 standardize: bool = False,
                 tau_power: Optional[float] = None,
                 relative_adversary: bool = False,
                 soften: str = 'both',
                 uncertainty_weight: bool = False,
                 window: Optional[dict] = None,
                 rotated: bool = False) -> None:
        super().__init__(loss_weight, window)
        if rotated:
            self.rotated, self.draws = True, Draws()
        if foreground_weight is not None and not 0 <= foreground_weight <= 1:
            raise ValueError(f'foreground_weight must be from 0 to 1, got {foreground_weight}')
        if soften not in SIDES:
            raise ValueError(f"soften must be 'both', 'teacher' or 'student', got {soften!r}")
        self.temperature = build_temperature(temperature)
        self.foreground_weight = foreground_weight
        self.standardize = standardize
        if tau_power is None:
            tau_power = 2.0 if soften == 'both' else 0.0
        self.tau_power = at_least_zero('tau_power', tau_power)
        self.relative_adversary = relative_adversary
        self.soften, self.uncertainty_weight = soften, uncertainty_weight
        # a loss of a user's own that was written for version 0.1
        self._divides_itself = 'tau' in inspect.signature(self.divergence).parameters
        self._check_meaning()

    def share_temperature(self, owner: 'LogitLoss') -> None:
        """Use another loss's temperature; it stays registered (saved, optimised) there alone."""
        del self.temperature
        object.__setattr__(self, 'temperature', owner.temperature)

    def forward(self,
                student_logits: Tensor,
                teacher_logits: Tensor,
                labels: Tensor,
                weight: Optional[Tensor] = None,
                avg_factor: Optional[float] = None) -> Tensor:
        """Compute the loss, in float32 or wider whatever the autocast state.

        Args:
            student_logits (Tensor): (N, C+1).
            teacher_logits (Tensor): (N, C+1); no gradient goes through it.
            labels (Tensor): (N,), ground-truth classes, C for the background.
            weight (Tensor, optional): (N,), a weight for each RoI.
            avg_factor (float, optional): What the weighted sum over RoIs is
                divided by. Defaults to the sum of the weights, which
                ``foreground_weight`` always takes.

        Returns:
            Tensor: A scalar; 0 with a graph if N is 0.

        Raises:
            ValueError: if the logits differ in shape, or see
                :meth:`check_width`.
        """
        if student_logits.shape != teacher_logits.shape:
            raise ValueError(
                f'logits of student {tuple(student_logits.shape)} and teacher '
                f'{tuple(teacher_logits.shape)} differ in shape: do both detectors have '
                'the same classes?')
        self.check_width(student_logits.size(1))
        with torch.autocast(student_logits.device.type, enabled=False):
            s, t = (at_least_float32(z) for z in (student_logits, teacher_logits.detach()))
            if self.standardize:
                s, t = standardize(s), standardize(t)
            # a masked class, -inf, is one that has no probability: finite, so that p log p is 0
            s, t = (z.clamp(min=_MASKED) for z in (s, t))
            tau = self.temperature(s, t, labels)
            self.statistics = self.temperature.statistics(tau)
            levels = levels_of(tau)
            loss = sum(self._of_each_roi(s, t, labels, level) for level in levels) / len(levels)
            weight = torch.ones_like(loss) if weight is None else weight.to(loss)
            # shares are of a mean: single-stage heads' avg_factor counts objects only
            if avg_factor is None or self.foreground_weight is not None:
                avg_factor = weight.sum()
            if self.foreground_weight is not None:
                foreground = labels != self.background(s)
                weight = balance_foreground(weight, foreground, self.foreground_weight)
            loss = self.factor * weighted_mean(loss, weight, avg_factor)
            learned = [x for x in tensors_of(tau) if x.requires_grad]
            if self.relative_adversary and learned:
                size = mean_over_ranks(loss).clamp(min=TINY)
                for x in learned:
                    x.register_hook(lambda gradient: gradient / size)
            return loss

    def check_width(self, num_logits: int) -> None:
        """See whether rows of so many logits differ in what the loss compares.

        Raises:
            ValueError: if not, so that nothing would be taught.
        """
        if self.standardize and num_logits == 2:
            raise ValueError('standardize=True says nothing of one class: its logit and that of '
                             'the background become 1 and -1, whatever they are. Leave it out')

    def divergence(self, s: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """Divergence of each RoI, (N,), from softened logits in full precision.

        Args:
            s (Tensor): (N, C+1), the student's logits, divided by their tau.
            t (Tensor): (N, C+1), the teacher's, divided by theirs.
            labels (Tensor): (N,).
        """
        raise NotImplementedError

    def _of_each_roi(self, s: Tensor, t: Tensor, labels: Tensor, tau: Tau) -> Tensor:
        """The loss of each RoI at one level of temperature, (N,)."""
        tau_s, tau_t = softening(tau, self.soften)
        loss = (self.divergence(s, t, labels, self._one(tau)) if self._divides_itself else
                self.divergence(s / tau_s, t / tau_t, labels))
        loss = loss * power_of(tau, self.soften, self.tau_power)
        return loss * uncertainty(t, tau_t) if self.uncertainty_weight else loss

    def _one(self, tau: Tau) -> Tensor:
        if isinstance(tau, Tensor) and self.soften == 'both':
            return tau
        raise ValueError(f'{type(self).__name__}.divergence takes one tau for both sides, here '
                         'each has its own: take the parameter tau out, s and t come divided')

    def _check_meaning(self) -> None:
        kind = type(self).__name__
        if self._divides_itself:
            warnings.warn(f'{kind}.divergence(s, t, labels, tau) is the form of version 0.1 and '
                          'still works. Since 0.2 s and t come divided by their temperatures: '
                          'take tau out', FutureWarning, stacklevel=3)
        if self.for_sigmoids and not self.temperature.for_sigmoids:
            raise ValueError(f'{type(self.temperature).__name__} is for classifiers that end in a '
                             f'softmax, {kind} for sigmoids: give it another temperature')
        if self.foreground_weight is not None and not self.has_background:
            raise ValueError(f'{kind} compares what is of objects only, so foreground_weight='
                             f'{self.foreground_weight} says nothing: leave it out')
        for option in ('standardize', 'uncertainty_weight'):
            if getattr(self, option) and self.for_sigmoids:
                raise ValueError(f'{option} is for classifiers that end in a softmax, '
                                 f'{kind} for sigmoids: leave it out')
        if self.uncertainty_weight and self.soften == 'student':
            raise ValueError("uncertainty_weight needs a softened teacher: soften='teacher' (WTTM) "
                             "or 'both'")

    @staticmethod
    def background(s: Tensor) -> int:
        """Label of the background: the last logit's index."""
        return s.size(1) - 1

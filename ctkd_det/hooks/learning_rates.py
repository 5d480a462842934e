"""Learning rates of temperatures and adapters beside the student's; warns of unsuitable ones."""
from typing import Dict

from mmengine.optim import OneCycleParamScheduler
from mmengine.runner import Runner

from ..models.losses import DistillLoss, FeatureLoss
from .temperature_log import learned_temperatures


def warn_of_decay(runner: Runner) -> None:
    """Warn if weight decay pulls a learned temperature to the middle of its range."""
    decay = {id(p): group.get('weight_decay', 0)
             for group in runner.optim_wrapper.optimizer.param_groups for p in group['params']}
    for name, temperature in learned_temperatures(runner.model):
        if any(decay.get(id(p), 0) > 0 for p in temperature.parameters()):
            runner.logger.warning(
                f'The temperature of loss_{name} has weight decay, which pulls it to the middle '
                "of its range. Switch it off: optim_wrapper=dict(paramwise_cfg=dict(custom_keys="
                'dict(temperature=dict(decay_mult=0))))')


def usual_rate(runner: Runner) -> float:
    """The student's learning rate at its peak, where no multiplier changes it.

    That is the optimizer's own, if a parameter of the student has it. None
    does after ``auto_scale_lr``, which scales the groups only, with
    ``OneCycleLR``, or after a resume with another rate: then the largest.
    """
    own = runner.optim_wrapper.optimizer.defaults['lr']
    rates = _rates_of_student(runner)
    return own if own in rates else max(rates, default=own)


def _rates_of_student(runner: Runner) -> set:
    of_losses = {id(p) for module in runner.model.modules() if isinstance(module, DistillLoss)
                 for p in module.parameters()}
    return {rate for p, rate in peak_rates(runner).items() if p not in of_losses}


def peak_rates(runner: Runner) -> Dict[int, float]:
    """Of each parameter, by its id, the learning rate at its peak."""
    # a OneCycleLR begins far below its peak
    return {id(p): group.get('max_lr', group.get('initial_lr', group['lr']))
            for group in runner.optim_wrapper.optimizer.param_groups for p in group['params']}


def warn_of_schedules(runner: Runner) -> None:
    """Warn of schedules that give a temperature another rate than its multiplier says.

    A smallest rate (``eta_min``) that is no less than the temperature's, or
    the one peak of ``OneCycleLR`` is one number for all parameters.
    """
    rates, schedulers = peak_rates(runner), runner.param_schedulers
    for scheduler in schedulers if isinstance(schedulers, list) else []:
        kind, floor = type(scheduler).__name__, getattr(scheduler, 'eta_min', None) or 0
        for name, temperature in learned_temperatures(runner.model):
            rate = max((rates.get(id(p), floor) for p in temperature.parameters()), default=floor)
            if isinstance(scheduler, OneCycleParamScheduler) and not isinstance(
                    scheduler.eta_max, (list, tuple)):
                runner.logger.warning(
                    f'{kind}: the learning rate of the temperature of loss_{name} rises to '
                    f'eta_max={rate:.2g}, which is one number for all parameters, so an lr_mult '
                    'for temperatures does nothing. Take another schedule instead, such as '
                    'LinearLR and then CosineAnnealingLR')
            if 0 < floor >= rate:
                instead = (f'eta_min_ratio={floor / usual_rate(runner):.2g}'
                           if hasattr(scheduler, 'eta_min_ratio') else 'eta_min=0')
                runner.logger.warning(
                    f'{kind}: the learning rate of the temperature of '
                    f'loss_{name} is {rate:.2g} and cannot fall below eta_min={floor:.2g}, which '
                    f'is one number for all parameters. Write {instead} instead')


def warn_of_slow_adapters(runner: Runner) -> None:
    """Warn if a multiplier that is meant for temperatures slows a loss between features.

    That is where both have a rate that is below the usual one, and that no
    part of the student has.
    """
    rates, usual = peak_rates(runner), usual_rate(runner)
    meant = {rates[id(p)] for _, temperature in learned_temperatures(runner.model)
             for p in temperature.parameters() if id(p) in rates} - _rates_of_student(runner)
    for name, module in runner.model.named_modules():
        slow = [p for p in module.parameters() if rates.get(id(p)) in meant]
        if isinstance(module, FeatureLoss) and any(rates[id(p)] < usual for p in slow):
            runner.logger.warning(
                f'What {name.split(".")[-1]} learns has a smaller learning rate than the student. '
                'If that multiplier is meant for temperatures, give it the key of theirs: '
                'custom_keys=dict(temperature=...) instead of dict(distill_losses=...)')

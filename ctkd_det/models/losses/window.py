"""The part of the training in which a loss is active."""
from typing import Optional, Tuple, Union


class Window:
    """Active from ``begin`` to ``end``, growing over the first ``warmup`` steps.

    ``factor`` is 0 outside and 1 inside, less while it grows; ``waits`` says
    that it has not begun. The detector moves it with the runner's progress,
    so a resumed run is where it was. ``begin`` and ``end`` mean what they mean
    in mmengine's schedulers: ``begin`` is the first active step, ``end`` the
    first after. A float is a part of the whole training: with ``begin=0.5`` the
    loss is active in the second half, however long the training is. A detector
    refuses a training that no part of the window lies in.

    Args:
        begin (int | float): First active epoch or iteration. Defaults to 0.
        end (int | float, optional): First one that is not. Defaults to None,
            never.
        warmup (int | float): Over so many steps the factor grows linearly to
            1; the first has 1 / (warmup + 1). Defaults to 0.
        by_epoch (bool): Whether these are epochs. Defaults to False.
        every (int): Of these steps each ``every``-th is active, the first is
            ``begin``. The loss is no larger there: a larger ``loss_weight``
            makes up for those that are left out. Defaults to 1, all.

    Raises:
        ValueError: if not 0 <= begin < end, ``warmup`` is negative, a float is
            above 1, or ``every`` is not an integer of at least 1.
    """

    def __init__(self, begin: Union[int, float] = 0, end: Union[int, float, None] = None,
                 warmup: Union[int, float] = 0, by_epoch: bool = False, every: int = 1) -> None:
        # comparisons that are False for NaN
        ordered = end is None or (end > begin if type(begin) is type(end) else end >= 0)
        if not (begin >= 0 and warmup >= 0 and ordered and isinstance(every, int) and every >= 1):
            raise ValueError('need 0 <= begin < end, warmup >= 0 and an integer every >= 1, got '
                             f'begin={begin}, end={end}, warmup={warmup}, every={every}')
        if any(isinstance(value, float) and value > 1 for value in (begin, end, warmup)):
            raise ValueError('a float is a part of the training, at most 1.0, and steps are '
                             f'integers; got begin={begin}, end={end}, warmup={warmup}')
        self.begin, self.end, self.warmup, self.by_epoch = begin, end, warmup, by_epoch
        self.every = every
        self.move_to(iteration=0, epoch=0)
        if begin:  # a part of a training whose length is not known yet is not reached
            self.waits, self.factor = True, 0.0

    def steps(self, max_iters: int, max_epochs: int) -> Tuple[int, Optional[int], int]:
        """``begin``, ``end`` and ``warmup`` of a training of this length, as integers.

        Of a part of the training at least one step is left, however it is rounded.
        """
        length = max_epochs if self.by_epoch else max_iters
        begin, end, warmup = (round(value * length) if isinstance(value, float) else value
                              for value in (self.begin, self.end, self.warmup))
        if isinstance(self.begin, float):
            begin = min(begin, length - 1)
        if isinstance(self.end, float):
            end = max(end, begin + 1)
        return begin, end, warmup

    def opens(self, max_iters: int, max_epochs: int) -> bool:
        """Whether a training of this length reaches it."""
        length = max_epochs if self.by_epoch else max_iters
        begin, end = (value * length if isinstance(value, float) else value
                      for value in (self.begin, length if self.end is None else self.end))
        return begin < min(end, length)

    def move_to(self, iteration: int, epoch: int, max_iters: int = 1, max_epochs: int = 1) -> None:
        """Set ``factor`` and ``waits`` for 0-based progress in a training of this length."""
        begin, end, warmup = self.steps(max_iters, max_epochs)
        step = epoch if self.by_epoch else iteration
        self.waits = step < begin
        outside = (self.waits or (end is not None and step >= end)
                   or (step - begin) % self.every)
        self.factor = 0.0 if outside else min((step - begin + 1) / (warmup + 1), 1.0)

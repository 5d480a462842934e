"""The part of the training in which a loss is active."""
from typing import Optional


class Window:
    """Active from ``begin`` to ``end``, growing over the first ``warmup`` steps.

    ``factor`` is 0 outside and 1 inside, less while it grows; ``waits`` says
    that it has not begun. The detector moves it with the runner's progress,
    so a resumed run is where it was. ``begin`` and ``end`` mean what they mean
    in mmengine's schedulers: ``begin`` is the first active step, ``end`` the
    first after.

    Args:
        begin (int): First active epoch or iteration. Defaults to 0.
        end (int, optional): First one that is not. Defaults to None, never.
        warmup (int): Over so many steps the factor grows linearly to 1;
            the first has 1 / (warmup + 1). Defaults to 0.
        by_epoch (bool): Whether these are epochs. Defaults to False.
        every (int): Of these steps each ``every``-th is active, the first is
            ``begin``. The loss is no larger there: a larger ``loss_weight``
            makes up for those that are left out. Defaults to 1, all.

    Raises:
        ValueError: if not 0 <= begin < end, ``warmup`` is negative, or
            ``every`` is below 1.
    """

    def __init__(self, begin: int = 0, end: Optional[int] = None, warmup: int = 0,
                 by_epoch: bool = False, every: int = 1) -> None:
        if begin < 0 or warmup < 0 or every < 1 or (end is not None and end <= begin):
            raise ValueError('need 0 <= begin < end, warmup >= 0 and every >= 1, got '
                             f'begin={begin}, end={end}, warmup={warmup}, every={every}')
        self.begin, self.end, self.warmup, self.by_epoch = begin, end, warmup, by_epoch
        self.every = every
        self.move_to(iteration=0, epoch=0)

    def move_to(self, iteration: int, epoch: int) -> None:
        """Set ``factor`` and ``waits`` for 0-based progress."""
        step = epoch if self.by_epoch else iteration
        self.waits = step < self.begin
        outside = (self.waits or (self.end is not None and step >= self.end)
                   or (step - self.begin) % self.every)
        self.factor = 0.0 if outside else min((step - self.begin + 1) / (self.warmup + 1), 1.0)

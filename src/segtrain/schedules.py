"""Learning-rate schedules: step and max_steps to a factor of the base rate, step from 0."""

import math

from segtrain.errors import InputError


class WarmupSchedule:
    """A factor that rises linearly over the warm-up and then follows `shape`.

    Args:
        warmup_steps: steps before the full rate is reached; step 0 has 1/(warmup_steps+1) of it.
    """

    def __init__(self, *, warmup_steps: int = 0):
        self.warmup_steps = warmup_steps

    def __call__(self, step: int, max_steps: int) -> float:
        warmup = min(1.0, (step + 1) / (self.warmup_steps + 1))
        return warmup * self.shape(step, max_steps)

    def shape(self, step: int, max_steps: int) -> float:
        raise NotImplementedError


class Constant(WarmupSchedule):
    """1."""

    def shape(self, step: int, max_steps: int) -> float:
        return 1.0


class Step(WarmupSchedule):
    """gamma^(number of whole `every`s that have passed), Caffe's "step" policy."""

    def __init__(self, *, every: int, gamma: float = 0.1, warmup_steps: int = 0):
        super().__init__(warmup_steps=warmup_steps)
        self.every, self.gamma = every, gamma

    def shape(self, step: int, max_steps: int) -> float:
        return self.gamma ** (step // self.every)


class Poly(WarmupSchedule):
    """(1 - step/max_steps)^power (DeepLab v2, section 4.1.1, power 0.9)."""

    def __init__(self, *, power: float = 0.9, warmup_steps: int = 0):
        super().__init__(warmup_steps=warmup_steps)
        self.power = power

    def shape(self, step: int, max_steps: int) -> float:
        return max(0.0, 1 - step / max_steps) ** self.power


class Cosine(WarmupSchedule):
    """Half a cosine from 1 to `final` (Loshchilov and Hutter 2017, without restarts)."""

    def __init__(self, *, final: float = 0.0, warmup_steps: int = 0):
        super().__init__(warmup_steps=warmup_steps)
        self.final = final

    def shape(self, step: int, max_steps: int) -> float:
        fraction = min(1.0, step / max_steps)
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * fraction))


class Plateau(WarmupSchedule):
    """Multiplies the rate by `factor` each time that `patience` validations brought no better mean IoU.

    Args:
        factor: by which the rate falls.
        patience: validations without a better one before it does.
        smallest: the factor of the base rate that it does not go below.
        warmup_steps: as of the others.
    """

    def __init__(
        self, *, factor: float = 0.1, patience: int = 5, smallest: float = 1e-3, warmup_steps: int = 0
    ):
        super().__init__(warmup_steps=warmup_steps)
        if not 0 < factor < 1:
            raise InputError(f"schedule.factor must be between 0 and 1, got {factor}", do="0.1 is usual")
        if patience < 1:
            raise InputError(f"schedule.patience must be at least 1, got {patience}", do="5 is usual")
        self.factor, self.patience, self.smallest = factor, patience, smallest
        self.best, self.waited, self.reached = -1.0, 0.0, 1.0

    def shape(self, step: int, max_steps: int) -> float:
        return self.reached

    def react(self, metric: float) -> None:
        """Takes the mean IoU of a validation."""
        self.waited = 0 if metric > self.best else self.waited + 1
        self.best = max(self.best, metric)
        if self.waited >= self.patience:
            self.reached, self.waited = max(self.smallest, self.reached * self.factor), 0

    def state(self) -> dict[str, float]:
        """What a checkpoint keeps of it."""
        return {"best": self.best, "waited": self.waited, "reached": self.reached}

    def restore(self, state: dict[str, float]) -> None:
        """Puts back what `state` gave."""
        self.best, self.waited, self.reached = (state[key] for key in ("best", "waited", "reached"))

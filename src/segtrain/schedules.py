"""Learning-rate schedules: step and max_steps to a factor of the base rate, step from 0."""

import math


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

"""Networks made thinner, for tests and first tries."""


def scaled(channels: int, width: float) -> int:
    """`channels` times `width`, rounded, and at least 1."""
    return max(round(channels * width), 1)

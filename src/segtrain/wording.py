"""Words that more than one message needs."""


def how_many(number: int, noun: str) -> str:
    """A number of things, of which one is no plural.

    Args:
        number: of them.
        noun: what one is called; its plural ends in s.

    Example:
        >>> how_many(1, "image"), how_many(12, "image")
        ('1 image', '12 images')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

"""Colours that people see apart, colour-blind ones too."""

from collections.abc import Sequence

from segtrain.contracts import Colour

# Okabe and Ito, "Color Universal Design", 2008, without black; then six that differ from them in lightness.
OKABE_ITO: tuple[Colour, ...] = (
    *(
        (230, 159, 0),
        (86, 180, 233),
        (0, 158, 115),
        (240, 228, 66),
        (0, 114, 178),
        (213, 94, 0),
        (204, 121, 167),
    ),
    *((51, 34, 136), (160, 160, 160), (136, 34, 85), (255, 204, 221), (101, 67, 33), (240, 240, 240)),
)
SHADES = (1.0, 0.6, 0.35)  # of more classes than there are colours


def okabe_ito(class_names: Sequence[str]) -> tuple[Colour, ...]:
    """A colour for each class, black for one called background.

    Everybody sees seven classes apart; the more there are beyond, the fewer.

    Example:
        >>> okabe_ito(("background", "road"))
        ((0, 0, 0), (230, 159, 0))
    """
    colours: list[Colour] = []
    number = 0
    for name in class_names:
        if name == "background":
            colours.append((0, 0, 0))
            continue
        shade = SHADES[number // len(OKABE_ITO) % len(SHADES)]
        red, green, blue = (round(shade * value) for value in OKABE_ITO[number % len(OKABE_ITO)])
        colours.append((red, green, blue))
        number += 1
    return tuple(colours)

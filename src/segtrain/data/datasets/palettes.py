"""Colours that people see apart, colour-blind ones too: those of data without a palette."""

from collections.abc import Sequence

from segtrain.contracts import Colour

# Okabe and Ito, "Color Universal Design", 2008, without black; then six, each as far as can be in CIE Lab
# from all before it, from black and from the colour of ignored pixels, for people who see all colours and for
# those without the receptors for red or for green (tests/data/datasets/test_palettes.py).
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
    *((0, 0, 255), (0, 0, 68), (136, 0, 0), (34, 34, 170), (68, 68, 68), (204, 238, 136)),
)
SHADES = (1.0, 0.6, 0.35)  # of more classes than there are colours


def okabe_ito(class_names: Sequence[str]) -> tuple[Colour, ...]:
    """A colour for each class, black for one called background.

    Everybody distinguishes thirteen classes and the background; more of them are shades of these.

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

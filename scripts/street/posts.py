"""What stands beside a drawn street: lamps, traffic lights, signs, fences."""

import numpy as np

from scripts.street.canvas import Canvas
from scripts.street.town import FENCE, POLE, SIGN

STEEL = (108, 112, 116)


def lamp_post(canvas: Canvas, right: float, depth: float) -> None:
    """A street lamp whose arm reaches over the road."""
    arm = -np.sign(right) * 1.4
    high = canvas.rng.uniform(5.5, 7)
    canvas.limb([(right, 0, depth), (right, 1.0, depth)], 0.2, STEEL, POLE)
    canvas.limb(
        [
            (right, 0, depth),
            (right, high, depth),
            (right + arm * 0.4, high + 0.35, depth),
            (right + arm, high + 0.4, depth),
        ],
        0.13,
        STEEL,
        POLE,
    )
    canvas.limb(
        [(right + arm * 0.75, high + 0.36, depth), (right + arm, high + 0.36, depth)],
        0.2,
        (188, 190, 188),
        POLE,
    )


def traffic_light(canvas: Canvas, right: float, depth: float) -> None:
    """Three lamps on a post, one of them lit."""
    canvas.limb([(right, 0, depth), (right, 2.4, depth)], 0.13, STEEL, POLE)
    canvas.upright((right - 0.2, right + 0.2), (2.3, 3.4), depth, (26, 28, 30), SIGN)
    lit = int(canvas.rng.integers(3))
    for i, colour in enumerate(((60, 210, 110), (244, 190, 60), (236, 50, 44))):
        canvas.disc(
            (right, 2.5 + 0.35 * i, depth), 0.13, colour if i == lit else tuple(0.25 * c for c in colour)
        )


def sign(canvas: Canvas, right: float, depth: float) -> None:
    """A traffic sign of one of four kinds on a post."""
    kind, up = int(canvas.rng.integers(4)), canvas.rng.uniform(2.2, 2.6)
    canvas.limb([(right, 0, depth), (right, up, depth)], 0.09, STEEL, POLE)
    red, white = (200, 30, 36), (238, 238, 234)
    centre = (right, up, depth)
    if kind == 0:
        canvas.disc(centre, 0.4, red, SIGN)
        canvas.disc(centre, 0.29, white)
        canvas.limb([(right - 0.08, up - 0.13, depth), (right - 0.08, up + 0.13, depth)], 0.07, (30, 30, 32))
        canvas.disc((right + 0.1, up, depth), 0.1, (30, 30, 32), flat=0.75)
        canvas.disc((right + 0.1, up, depth), 0.045, white, flat=0.75)
    elif kind == 1:
        canvas.disc(centre, 0.4, (30, 84, 164), SIGN)
        canvas.limb([(right - 0.16, up + 0.16, depth), (right + 0.16, up - 0.16, depth)], 0.09, white)
    elif kind == 2:
        for size, colour, label in ((0.5, red, SIGN), (0.33, white, None)):
            points = [
                (right + size * np.sin(a), up - 0.04 + size * np.cos(a), depth)
                for a in np.arange(3) * 2 * np.pi / 3
            ]
            canvas.surface(points, colour, label)
        canvas.limb([(right, up - 0.06, depth), (right, up + 0.1, depth)], 0.06, (30, 30, 32))
    else:
        canvas.disc(centre, 0.4, red, SIGN)
        canvas.upright((right - 0.27, right + 0.27), (up - 0.07, up + 0.07), depth, white)


def fence(canvas: Canvas, right: float, near: float, far: float) -> None:
    """Posts and rails along the street; the mask has the whole of it, as CamVid's masks have."""
    colour = (74, 84, 78) if canvas.rng.random() < 0.5 else (150, 138, 118)
    outline = [
        canvas.at(p) for p in ((right, 0, near), (right, 0, far), (right, 1.1, far), (right, 1.1, near))
    ]
    canvas.labels.polygon(outline, FENCE)
    for low, high in ((0.15, 0.25), (0.95, 1.1)):
        canvas.surface(
            [(right, low, near), (right, low, far), (right, high, far), (right, high, near)], colour
        )
    for z in np.arange(near, far, 0.22)[::-1]:
        canvas.surface(
            [(right, 0, z), (right, 0, z + 0.09), (right, 1.0, z + 0.09), (right, 1.0, z)], colour, shade=0.9
        )
    for z in np.arange(near, far, 2.0)[::-1]:
        canvas.limb([(right, 0, z), (right, 1.15, z)], 0.1, colour, FENCE)

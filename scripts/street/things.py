"""What moves in a drawn street: cars, people, bicycles."""

import numpy as np

from scripts.street.canvas import Canvas, Colour
from scripts.street.town import BICYCLIST, CAR, PEDESTRIAN

PAINTS = (
    (176, 30, 36),
    (34, 62, 122),
    (206, 208, 212),
    (60, 62, 68),
    (232, 232, 228),
    (38, 92, 80),
    (128, 134, 142),
    (202, 150, 40),
)
CLOTHES = (
    (44, 52, 78),
    (150, 44, 48),
    (66, 92, 66),
    (190, 170, 130),
    (60, 60, 62),
    (222, 218, 210),
    (92, 60, 104),
    (216, 130, 40),
)
SKIN = ((226, 182, 150), (188, 136, 104), (120, 82, 62))


def pick(canvas: Canvas, colours: tuple) -> Colour:
    return colours[int(canvas.rng.integers(len(colours)))]


def car(canvas: Canvas, right: float, depth: float, *, front: bool) -> None:
    """A car that drives along the street; front: towards the camera. right, depth: of its near end."""
    rng, paint = canvas.rng, pick(canvas, PAINTS)
    long, wide, high = rng.uniform(3.8, 4.6), rng.uniform(1.7, 1.85), rng.uniform(1.42, 1.6)
    left, end, waist = right - wide / 2, right + wide / 2, 0.6 * high
    canvas.shadow((left - 0.1, end + 0.1), (depth - 0.1, depth + long))
    side = left if right > 0 else end
    inward = np.sign(right - side) * 0.14
    lit = 1.0 if np.sign(right) == canvas.sun else 0.82
    # the side that the camera sees, with its wheels and windows
    body = [(side, 0.3, depth), (side, waist, depth), (side, waist, depth + long), (side, 0.3, depth + long)]
    canvas.surface(body, paint, CAR, 0.85 * lit)
    nose, tail = (0.9, 0.25) if front else (0.25, 0.9)
    roof = [(side, waist, depth + nose * 0.7), (side + inward, high, depth + nose + 0.45)]
    roof += [(side + inward, high, depth + long - tail - 0.45), (side, waist, depth + long - tail * 0.7)]
    canvas.surface(roof, paint, CAR, 0.8 * lit)
    pane = [(x + 0.02 * np.sign(inward) * -1, y - 0.06 if y == high else y + 0.02, z) for x, y, z in roof]
    pane = [
        (pane[0][0], pane[0][1], pane[0][2] + 0.25),
        (pane[1][0], pane[1][1], pane[1][2] + 0.12),
        (pane[2][0], pane[2][1], pane[2][2] - 0.12),
        (pane[3][0], pane[3][1], pane[3][2] - 0.25),
    ]
    canvas.surface(pane, (46, 54, 62), CAR)
    for z in (depth + 0.75, depth + long - 0.75):
        ring = [(side, 0.31 + 0.31 * np.sin(a), z + 0.33 * np.cos(a)) for a in np.linspace(0, 2 * np.pi, 20)]
        canvas.surface(ring, (26, 26, 28), CAR)
        canvas.surface(
            [(x, 0.31 + 0.55 * (y - 0.31), z + 0.55 * (w - z)) for x, y, w in ring], (150, 152, 156), CAR
        )
    face(canvas, paint, (left, end), (waist, high), depth, front=front, slant=nose)


def face(
    canvas: Canvas,
    paint: Colour,
    across: tuple[float, float],
    up: tuple[float, float],
    depth: float,
    *,
    front: bool,
    slant: float,
) -> None:
    """The end of a car that faces the camera."""
    (left, end), (waist, high) = across, up
    for x in (left + 0.12, end - 0.34):
        canvas.upright((x, x + 0.22), (0, 0.4), depth, (22, 22, 24), CAR)
    top = depth + slant + 0.45
    canvas.surface(
        [
            (left, waist, depth),
            (end, waist, depth),
            (end - 0.05, waist, depth + slant * 0.7),
            (left + 0.05, waist, depth + slant * 0.7),
        ],
        paint,
        CAR,
        1.15,
    )
    canvas.surface(
        [
            (left + 0.04, waist, depth + slant * 0.7),
            (end - 0.04, waist, depth + slant * 0.7),
            (end - 0.2, high, top),
            (left + 0.2, high, top),
        ],
        paint,
        CAR,
    )
    canvas.surface(
        [
            (left + 0.14, waist + 0.03, depth + slant * 0.7),
            (end - 0.14, waist + 0.03, depth + slant * 0.7),
            (end - 0.27, high - 0.08, top),
            (left + 0.27, high - 0.08, top),
        ],
        (52, 62, 72),
        CAR,
    )
    canvas.surface(
        [
            (left + 0.2, waist + 0.2, depth + slant * 0.7),
            (end - 0.5, waist + 0.03, depth + slant * 0.7),
            (end - 0.7, high - 0.1, top),
            (left + 0.3, high - 0.1, top),
        ],
        (150, 170, 190),
        alpha=60,
    )
    shape = [
        (left + 0.06, 0.24),
        (left, 0.4),
        (left + 0.02, waist - 0.08),
        (left + 0.1, waist),
        (end - 0.1, waist),
        (end - 0.02, waist - 0.08),
        (end, 0.4),
        (end - 0.06, 0.24),
    ]
    canvas.surface([(x, y, depth) for x, y in shape], paint, CAR, 0.95)
    canvas.upright((left + 0.05, end - 0.05), (0.24, 0.44), depth, tuple(0.55 * c for c in paint), CAR)
    lamp = (250, 246, 220) if front else (196, 26, 30)
    for x in (left + 0.05, end - 0.36):
        canvas.upright((x, x + 0.31), (waist - 0.27, waist - 0.08), depth, lamp, CAR)
    if front:
        canvas.upright((left + 0.45, end - 0.45), (0.46, waist - 0.12), depth, (34, 36, 40), CAR)
    middle = (left + end) / 2
    canvas.upright((middle - 0.26, middle + 0.26), (0.46, 0.57), depth, (236, 228, 170), CAR)


def person(canvas: Canvas, right: float, depth: float) -> None:
    """Somebody who walks."""
    rng = canvas.rng
    tall, stride = rng.uniform(1.55, 1.85), rng.uniform(0.06, 0.24)
    coat, trousers, skin, label = (
        pick(canvas, CLOTHES),
        pick(canvas, CLOTHES[:5]),
        pick(canvas, SKIN),
        PEDESTRIAN,
    )
    canvas.shadow((right - 0.3, right + 0.3), (depth - 0.15, depth + 0.15))
    hip, shoulder = 0.5 * tall, 0.82 * tall
    for way in (-1, 1):
        foot = (right + way * stride, 0.05, depth)
        canvas.limb(
            [(right + way * 0.07, hip, depth), (right + way * (0.09 + stride / 2), hip / 2, depth), foot],
            0.15,
            trousers,
            label,
        )
        canvas.limb([foot, (foot[0] + 0.09, 0.05, depth)], 0.09, (36, 32, 30), label)
    for way in (-1, 1):
        canvas.limb(
            [(right + way * 0.19, shoulder, depth), (right + way * (0.22 + stride / 3), hip + 0.02, depth)],
            0.11,
            tuple(0.85 * c for c in coat),
            label,
        )
    body = [
        (-0.17, hip - 0.1),
        (0.17, hip - 0.1),
        (0.22, shoulder - 0.03),
        (0.13, shoulder + 0.06),
        (-0.13, shoulder + 0.06),
        (-0.22, shoulder - 0.03),
    ]
    canvas.surface([(right + x, y, depth) for x, y in body], coat, label)
    canvas.limb([(right, shoulder, depth), (right, shoulder + 0.12, depth)], 0.1, skin, label)
    canvas.disc((right, tall - 0.13, depth), 0.125, skin, label, flat=0.82)
    canvas.disc((right, tall - 0.08, depth), 0.105, (58, 42, 32), label, flat=0.95)


def cyclist(canvas: Canvas, right: float, depth: float) -> None:
    """Somebody on a bicycle, seen from behind and a little from the side."""
    rng, label = canvas.rng, BICYCLIST
    coat, helmet, frame = pick(canvas, CLOTHES), pick(canvas, PAINTS), pick(canvas, PAINTS)
    turn = rng.uniform(0.12, 0.75) * (1 if rng.random() < 0.5 else -1)
    canvas.shadow((right - 0.3, right + 0.3 + abs(turn) * 0.4), (depth - 0.2, depth + 0.8))
    for x in (right, right + turn):
        for radius, flat in ((0.34, max(abs(turn), 0.2)),):
            ring = [
                (x + radius * flat * np.cos(a), 0.34 + radius * np.sin(a), depth)
                for a in np.linspace(0, 2 * np.pi, 25)
            ]
            canvas.surface(ring, (120, 122, 124), label, alpha=70)
            canvas.limb(ring, 0.055, (28, 28, 30), label)
    saddle, crank = (right + 0.12 * turn, 0.95, depth), (right + turn / 2, 0.36, depth)
    bars = (right + 0.85 * turn, 1.05, depth)
    for points in (
        [(right, 0.34, depth), crank, bars, saddle, crank],
        [saddle, (right, 0.34, depth)],
        [bars, (right + turn, 0.34, depth)],
    ):
        canvas.limb(points, 0.06, frame, label)
    canvas.limb([(bars[0] - 0.24, 1.07, depth), (bars[0] + 0.24, 1.07, depth)], 0.06, (40, 40, 44), label)
    shoulder = (right + 0.5 * turn, 1.5, depth)
    for way in (-1, 1):
        knee = (right + 0.55 * turn + way * 0.12, 0.72 + way * 0.08, depth)
        canvas.limb(
            [(saddle[0] + way * 0.08, 0.98, depth), knee, (crank[0] + way * 0.1, 0.3 + way * 0.1, depth)],
            0.14,
            (44, 48, 62),
            label,
        )
        canvas.limb(
            [(shoulder[0] + way * 0.18, 1.45, depth), (bars[0] + way * 0.22, 1.1, depth)], 0.1, coat, label
        )
    canvas.limb([(saddle[0], 1.05, depth), shoulder], 0.34, coat, label)
    canvas.disc((shoulder[0] + 0.05 * turn, 1.72, depth), 0.12, pick(canvas, SKIN), label)
    canvas.disc((shoulder[0] + 0.05 * turn, 1.77, depth), 0.125, helmet, label, flat=1.05)

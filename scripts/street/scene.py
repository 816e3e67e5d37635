"""A street in perspective with CamVid's eleven classes, drawn from a seed."""

from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image

from scripts.street import posts, things, town
from scripts.street.canvas import HEIGHT, WIDTH, Canvas

SKIES = ((206, 220, 236), (222, 226, 230), (236, 222, 200))  # haze at the horizon


def draw_scene(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws a street.

    Args:
        seed: of all that is random in it.

    Returns:
        The image, uint8 360×480×3, and its mask, uint8 360×480 of CamVid's class indices.
    """
    rng = np.random.default_rng(seed)
    clouds = float(rng.uniform(0, 1))
    haze = SKIES[int(rng.integers(len(SKIES)))] if clouds < 0.6 else SKIES[1]
    canvas = Canvas(rng, haze, rng.uniform(0.98, 1.12) - 0.1 * clouds, int(rng.choice((-1, 1))))
    road, pavement = rng.uniform(3.4, 4.6), rng.uniform(2.4, 3.6)
    town.draw_sky(canvas, clouds)
    town.ground(canvas, road, pavement)
    town.end_of_street(canvas)
    later: list[tuple[float, Callable[[], None]]] = []
    for side in (-1, 1):
        houses(canvas, side, road + pavement, later)
        roadside(canvas, side, road, pavement, later)
    traffic(canvas, road, later)
    for _, draw in sorted(later, key=lambda one: -one[0]):
        draw()
    return photograph(canvas)


def houses(canvas: Canvas, side: int, wall: float, later: list) -> None:
    """Houses from the end of the street to the camera, with gaps that have trees behind a fence."""
    rng, near, found = canvas.rng, float(canvas.rng.uniform(-6, 3)), []
    while near < town.FAR:
        far = near + rng.uniform(7, 15)
        if rng.random() < 0.2:
            for z in np.arange(near + 1, far, 2.2):
                x = side * (wall + rng.uniform(1.5, 6))
                if z > 4:
                    found.append((z, lambda x=x, z=z: town.tree(canvas, x, z)))
            if far > 5:
                start = max(near + 0.2, 3.0)
                later.append((far, lambda a=start, b=far: posts.fence(canvas, side * (wall + 0.1), a, b)))
        elif far > 2:
            house = town.House(canvas, side, wall + rng.uniform(0, 0.6), max(near, 1.0), far)
            found.append((house.near, house.draw))
        near = far + (rng.uniform(0, 2) if rng.random() < 0.2 else 0)
    for _, draw in sorted(found, key=lambda one: -one[0]):
        draw()


def roadside(canvas: Canvas, side: int, road: float, pavement: float, later: list) -> None:
    """What stands and walks on a pavement."""
    rng = canvas.rng
    kerb = side * (road + 0.5)

    def add(draw: Callable, spacing: float, first: float, where: float | None = None, **more: object) -> None:
        z = first + rng.uniform(0, spacing)
        while z < 80:
            x = side * (road + rng.uniform(0.7, pavement - 0.4)) if where is None else where
            later.append((z, lambda x=x, z=z: draw(canvas, x, z, **more)))
            z += spacing * rng.uniform(0.6, 1.6)

    add(posts.lamp_post, 22, 6, kerb)
    add(posts.sign, 26, 5, kerb)
    add(things.person, 9, 5)
    if rng.random() < 0.6:
        add(town.tree, 14, 8, side * (road + 0.8))
    if rng.random() < 0.5:
        add(posts.traffic_light, 40, 8, kerb)
    if rng.random() < 0.45:
        start = rng.uniform(4, 16)
        end = start + rng.uniform(5, 14)
        later.append((end, lambda: posts.fence(canvas, side * (road + 0.35), start, end)))


def traffic(canvas: Canvas, road: float, later: list) -> None:
    """Cars that drive on the left and come on the right, others that are parked, and bicycles."""
    rng = canvas.rng
    for side in (-1, 1):
        parked = rng.random() < 0.5
        z = rng.uniform(6, 14)
        while z < 90:
            x = side * (road - 1.0 if parked else road / 2 + 0.1)
            later.append((z, lambda x=x, z=z, side=side: things.car(canvas, x, z, front=side > 0)))
            z += rng.uniform(5, 9) if parked else rng.uniform(9, 30)
        z = rng.uniform(5, 18)
        while z < 50:
            x = side * (road - (2.5 if parked else 0.7))
            later.append((z, lambda x=x, z=z: things.cyclist(canvas, x, z)))
            z += rng.uniform(8, 26)


def photograph(canvas: Canvas) -> tuple[np.ndarray, np.ndarray]:
    """Reduces what was drawn, with a lens's soft edges and a sensor's noise."""
    rng, size = canvas.rng, (WIDTH, HEIGHT)
    image = np.asarray(canvas.image.resize(size, Image.Resampling.BOX), np.float32)
    texture = cv2.resize(rng.normal(0, 2.0, (HEIGHT // 3, WIDTH // 3)), size, interpolation=cv2.INTER_CUBIC)
    image = cv2.GaussianBlur(image, (0, 0), 0.6) + texture[..., None] + rng.normal(0, 2.5, image.shape)
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    image *= (1 - 0.14 * (x**2 + y**2))[..., None] * rng.normal(1, 0.02, 3)
    mask = np.asarray(canvas.mask.resize(size, Image.Resampling.NEAREST))
    return image.clip(0, 255).astype(np.uint8), mask.copy()

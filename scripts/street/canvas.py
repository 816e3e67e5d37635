"""A pinhole camera that draws an image and its mask at once."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

WIDTH, HEIGHT = 480, 360  # as CamVid's images
ENLARGED = 3  # what is drawn, before it is reduced: smooth edges
NEAR = 1.0  # metres before the camera where surfaces are cut
EYE = 1.6  # metres above the road
HAZE = 130.0  # metres after which haze hides two thirds of a colour

Point = tuple[float, float, float]  # right, up and forward, in metres
Colour = tuple[float, float, float]


class Canvas:
    """What the camera sees.

    Args:
        rng: of this scene.
        haze: the colour of what is far.
        light: multiplies colours; `sun`: the side that it comes from, -1 left, 1 right.
    """

    def __init__(self, rng: np.random.Generator, haze: Colour, light: float, sun: int):
        self.rng, self.haze, self.light, self.sun = rng, haze, light, sun
        size = WIDTH * ENLARGED, HEIGHT * ENLARGED
        self.image, self.mask = Image.new("RGB", size), Image.new("L", size, 255)
        self.drawn, self.labels = ImageDraw.Draw(self.image, "RGBA"), ImageDraw.Draw(self.mask)
        self.focus = rng.uniform(0.85, 1.0) * size[0]
        self.centre = size[0] * rng.uniform(0.42, 0.58), size[1] * rng.uniform(0.42, 0.5)

    def at(self, point: Point) -> tuple[float, float]:
        """Where a point is on the enlarged image."""
        right, up, depth = point
        depth = max(depth, NEAR)
        return self.centre[0] + self.focus * right / depth, self.centre[1] - self.focus * (up - EYE) / depth

    def seen(self, colour: Colour, depth: float, shade: float = 1.0) -> tuple[int, int, int]:
        """A colour in this light and haze."""
        clear = math.exp(-max(depth, 0) / HAZE)
        own = clear * shade * self.light
        red, green, blue = (
            min(max(int(own * value + (1 - clear) * far), 0), 255)
            for value, far in zip(colour, self.haze, strict=True)
        )
        return red, green, blue

    def surface(
        self,
        points: Sequence[Point],
        colour: Colour,
        label: int | None = None,
        shade: float = 1.0,
        alpha: int = 255,
    ) -> None:
        """Fills a polygon in space. label: None leaves the mask as it is."""
        outline = [self.at(point) for point in points]
        depth = sum(point[2] for point in points) / len(points)
        self.drawn.polygon(outline, (*self.seen(colour, depth, shade), alpha))
        if label is not None:
            self.labels.polygon(outline, label)

    def upright(
        self,
        right: tuple[float, float],
        up: tuple[float, float],
        depth: float,
        colour: Colour,
        label: int | None = None,
        **look: float,
    ) -> None:
        """A rectangle that faces the camera."""
        corners = [(right[0], up[0]), (right[1], up[0]), (right[1], up[1]), (right[0], up[1])]
        self.surface([(x, y, depth) for x, y in corners], colour, label, **look)

    def disc(
        self,
        centre: Point,
        radius: float,
        colour: Colour,
        label: int | None = None,
        flat: float = 1.0,
        shade: float = 1.0,
    ) -> None:
        """An ellipse that faces the camera; flat: its width by its height."""
        x, y = self.at(centre)
        r = self.focus * radius / max(centre[2], NEAR)
        box = (x - r * flat, y - r, x + r * flat, y + r)
        self.drawn.ellipse(box, self.seen(colour, centre[2], shade))
        if label is not None:
            self.labels.ellipse(box, label)

    def limb(self, points: Sequence[Point], width: float, colour: Colour, label: int | None = None) -> None:
        """A line through points, `width` metres wide, with round ends."""
        line, depth = [self.at(point) for point in points], points[0][2]
        pixels = max(self.focus * width / max(depth, NEAR), 1.2 * ENLARGED / 2)
        fill = self.seen(colour, depth)
        for draw, ink in ((self.drawn, fill), (self.labels, label)):
            if ink is None:
                continue
            draw.line(line, ink, max(round(pixels), 1), joint="curve")
            for x, y in (line[0], line[-1]):
                draw.ellipse((x - pixels / 2, y - pixels / 2, x + pixels / 2, y + pixels / 2), ink)

    def shadow(self, right: tuple[float, float], depth: tuple[float, float]) -> None:
        """A soft dark spot on the ground."""
        for grow, alpha in ((0.25, 40), (0.1, 50), (0.0, 60)):
            left, end = right[0] - grow, right[1] + grow
            middle, wide = (left + end) / 2, (end - left) / 2
            far, half = sum(depth) / 2, (depth[1] - depth[0]) / 2 + grow
            angles = np.linspace(0, 2 * np.pi, 24)
            ring = [(middle + wide * np.cos(a), 0.0, far + half * np.sin(a)) for a in angles]
            self.surface(ring, (20, 22, 28), alpha=alpha)

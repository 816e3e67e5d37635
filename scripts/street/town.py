"""Sky, ground, houses and trees of a drawn street."""

import cv2
import numpy as np
from PIL import Image

from scripts.street.canvas import Canvas, Colour

SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST = range(11)
FAR = 150.0  # metres to the end of the street
BRICK = ((150, 88, 70), (168, 110, 84), (132, 84, 72), (176, 140, 108))
PLASTER = (
    (214, 204, 184),
    (196, 190, 180),
    (222, 212, 200),
    (182, 168, 150),
    (200, 178, 160),
    (170, 178, 180),
)
ROOFS = ((108, 62, 52), (84, 82, 86), (96, 78, 70), (70, 72, 78))
FASCIAS = ((34, 70, 110), (132, 34, 40), (30, 88, 66), (42, 42, 48), (196, 140, 36))
GREENS = ((66, 104, 50), (84, 118, 54), (58, 92, 58), (100, 122, 60), (118, 112, 54))


def draw_sky(canvas: Canvas, clouds: float) -> None:
    """From blue to the haze at the horizon, with clouds; all of the mask becomes sky."""
    width, height = canvas.image.size
    down = (np.arange(height) / (0.55 * height)).clip(0, 1)[:, None, None] ** 0.8
    top = np.array((92, 142, 206)) * (1 - clouds) + np.array((176, 182, 190)) * clouds
    sky = top * (1 - down) + np.array(canvas.haze) * down
    noise = sum(
        cv2.resize(canvas.rng.normal(size=(2 * n, 3 * n)), (width, height), interpolation=cv2.INTER_CUBIC)
        / n**0.8
        for n in (3, 6, 12, 24)
    )
    cover = ((noise - 0.9 + 1.3 * clouds) / 0.9).clip(0, 1)[..., None] * 0.85
    lit = (250, 250, 250) if clouds < 0.6 else (218, 221, 226)
    sky = sky * (1 - cover) + np.array(lit) * cover
    canvas.image.paste(Image.fromarray((canvas.light * sky).clip(0, 255).astype(np.uint8)))
    canvas.mask.paste(SKY, (0, 0, width, height))


def ground(canvas: Canvas, road: float, pavement: float) -> None:
    """Road with markings, kerbs and pavements; road: half of its width, in metres."""
    rng, grey = canvas.rng, float(canvas.rng.uniform(92, 118))
    steps = [0.0, *np.geomspace(2.0, 2000.0, 40)]
    for z, end in zip(steps[::-1][1:], steps[::-1][:-1], strict=True):
        for left, right, colour, label in (
            (-400, -road - pavement, (122, 122, 112), PAVEMENT),
            (road + pavement, 400, (122, 122, 112), PAVEMENT),
            (-road - pavement, -road, (164, 158, 150), PAVEMENT),
            (road, road + pavement, (164, 158, 150), PAVEMENT),
            (-road, road, (grey, grey, grey + 4), ROAD),
        ):
            canvas.surface([(left, 0, z), (right, 0, z), (right, 0, end), (left, 0, end)], colour, label)
    for _ in range(60):  # worn and mended places
        x, z = rng.uniform(-road, road), rng.uniform(3, 60)
        wide, deep = rng.uniform(0.2, 1.2), rng.uniform(0.4, 5)
        tone = int(rng.choice((50, 70, 140)))
        quad = [(x, 0, z), (x + wide, 0, z), (x + wide * 0.9, 0, z + deep), (x + 0.1, 0, z + deep)]
        canvas.surface([(min(a, road), b, c) for a, b, c in quad], (tone, tone, tone), alpha=22)
    for side in (-1, 1):
        for z in np.arange(1.5, 50, 0.9):  # flagstones
            canvas.surface(
                [
                    (side * road, 0, z),
                    (side * (road + pavement), 0, z),
                    (side * (road + pavement), 0, z + 0.04),
                    (side * road, 0, z + 0.04),
                ],
                (96, 92, 88),
                alpha=70,
            )
        kerb = [
            (side * road, 0, 1),
            (side * (road + 0.22), 0, 1),
            (side * (road + 0.22), 0, FAR),
            (side * road, 0, FAR),
        ]
        canvas.surface(kerb, (196, 192, 184), PAVEMENT)
        gutter = [
            (side * road, 0, 1),
            (side * (road - 0.12), 0, 1),
            (side * (road - 0.12), 0, FAR),
            (side * road, 0, FAR),
        ]
        canvas.surface(gutter, (60, 60, 62), alpha=120)
    markings(canvas, road)


def markings(canvas: Canvas, road: float) -> None:
    """A dashed line in the middle, and now and then lines at the kerb or a zebra crossing."""
    rng, white = canvas.rng, (226, 226, 222)
    for z in np.arange(rng.uniform(1, 6), FAR, 6.0):
        canvas.surface([(-0.07, 0, z), (0.07, 0, z), (0.07, 0, z + 3), (-0.07, 0, z + 3)], white, alpha=225)
    if rng.random() < 0.6:
        yellow = (214, 178, 60)
        for side in (-1, 1):
            for x in (side * (road - 0.3), side * (road - 0.5)):
                canvas.surface(
                    [(x, 0, 1), (x + 0.09, 0, 1), (x + 0.09, 0, 70), (x, 0, 70)], yellow, alpha=210
                )
    if rng.random() < 0.35:
        z = rng.uniform(12, 30)
        for x in np.arange(-road + 0.4, road - 0.5, 1.1):
            canvas.surface(
                [(x, 0, z), (x + 0.55, 0, z), (x + 0.55, 0, z + 3), (x, 0, z + 3)], white, alpha=230
            )


def end_of_street(canvas: Canvas) -> None:
    """Houses and trees where the street ends."""
    rng, x = canvas.rng, -120.0
    while x < 120:
        wide, high = rng.uniform(8, 22), rng.uniform(7, 20)
        if rng.random() < 0.6:
            canvas.upright(
                (x, x + wide), (0, high), FAR, PLASTER[int(rng.integers(len(PLASTER)))], BUILDING, shade=0.85
            )
        else:
            for _ in range(14):
                centre = (x + rng.uniform(0, wide), rng.uniform(1, 9), FAR)
                canvas.disc(centre, rng.uniform(2, 3.5), GREENS[int(rng.integers(len(GREENS)))], TREE)
        x += wide


class House:
    """A house along the street: its facade at `wall` metres to the side, from `near` to `far`.

    Args:
        side: -1 left of the street, 1 right.
    """

    def __init__(self, canvas: Canvas, side: int, wall: float, near: float, far: float):
        rng = canvas.rng
        self.canvas, self.side, self.wall, self.near, self.far = canvas, side, side * wall, near, far
        self.floors = int(rng.integers(2, 5))
        self.floor = rng.uniform(2.7, 3.3)
        self.high = self.floors * self.floor + rng.uniform(0.3, 0.8)
        walls = BRICK if rng.random() < 0.5 else PLASTER
        self.colour: Colour = tuple(c + rng.normal(0, 8) for c in walls[int(rng.integers(len(walls)))])
        self.shade = 1.12 if side != canvas.sun else 0.74
        self.shop = rng.random() < 0.35

    def quad(self, start: float, end: float, low: float, high: float, out: float = 0.0) -> list:
        """A rectangle of the facade, `out` metres before it."""
        x = self.wall - self.side * out
        return [(x, low, start), (x, low, end), (x, high, end), (x, high, start)]

    def draw(self) -> None:
        """Roof, front and facade with its windows."""
        canvas, rng, out = self.canvas, self.canvas.rng, self.side * 9.0
        face = [(self.wall, 0, self.near), (self.wall + out, 0, self.near)]
        face += [(self.wall + out, self.high, self.near), (self.wall, self.high, self.near)]
        roof = ROOFS[int(rng.integers(len(ROOFS)))]
        if rng.random() < 0.7:
            ridge, top = self.wall + out / 2, self.high + rng.uniform(1.8, 3.0)
            eaves = self.wall - self.side * 0.35
            slope = [
                (eaves, self.high, self.near),
                (eaves, self.high, self.far),
                (ridge, top, self.far),
                (ridge, top, self.near),
            ]
            canvas.surface(slope, roof, BUILDING, self.shade)
            face.insert(3, (ridge, top, self.near))
            for z in rng.uniform(self.near, self.far, 2):
                canvas.upright(
                    (ridge - 0.4, ridge + 0.4),
                    (top - 1, top + 1.3),
                    z,
                    (140, 84, 66),
                    BUILDING,
                    shade=self.shade,
                )
        canvas.surface(face, self.colour, BUILDING, 0.88)
        canvas.surface(self.quad(self.near, self.far, 0, self.high), self.colour, BUILDING, self.shade)
        for course in np.arange(0.3, self.high, 0.3):
            canvas.surface(self.quad(self.near, self.far, course, course + 0.03), (40, 30, 28), alpha=26)
        canvas.surface(self.quad(self.near, self.far, 0, 0.5), (92, 88, 84), shade=self.shade)
        canvas.surface(
            self.quad(self.near, self.far, self.high - 0.3, self.high, 0.15),
            (226, 220, 208),
            BUILDING,
            self.shade,
        )
        for floor in range(self.floors):
            if floor == 0 and self.shop:
                self.shop_front()
            else:
                self.windows(floor)

    def windows(self, floor: int) -> None:
        """A row of windows; on the ground floor a door in it."""
        canvas, rng = self.canvas, self.canvas.rng
        count = max(int((self.far - self.near) / 2.5), 1)
        width = (self.far - self.near) / count
        door = int(rng.integers(count)) if floor == 0 else -1
        glass, frame = (58 + rng.uniform(-10, 25), 70, 84), (232, 230, 224)
        for i in range(count)[::-1]:
            middle, low = self.near + (i + 0.5) * width, floor * self.floor + 0.95
            if i == door:
                colour = FASCIAS[int(rng.integers(len(FASCIAS)))]
                canvas.surface(
                    self.quad(middle - 0.62, middle + 0.62, 0, 2.35, 0.02), frame, shade=self.shade
                )
                canvas.surface(self.quad(middle - 0.5, middle + 0.5, 0, 2.2, 0.02), colour, shade=self.shade)
                continue
            high = low + 0.52 * self.floor
            canvas.surface(
                self.quad(middle - 0.68, middle + 0.68, low - 0.1, high + 0.1, 0.02), frame, shade=self.shade
            )
            canvas.surface(self.quad(middle - 0.56, middle + 0.56, low, high, 0.02), glass)
            half = (low + high) / 2
            canvas.surface(
                self.quad(middle - 0.56, middle + 0.56, half, high, 0.02), (120, 146, 172), alpha=110
            )
            canvas.surface(self.quad(middle - 0.04, middle + 0.04, low, high, 0.02), frame, shade=self.shade)
            canvas.surface(
                self.quad(middle - 0.56, middle + 0.56, half - 0.03, half + 0.03, 0.02),
                frame,
                shade=self.shade,
            )
            canvas.surface(
                self.quad(middle - 0.75, middle + 0.75, low - 0.2, low - 0.08, 0.08),
                (200, 194, 184),
                shade=self.shade,
            )

    def shop_front(self) -> None:
        """Large panes below a board, with an awning or without."""
        canvas, rng = self.canvas, self.canvas.rng
        board = FASCIAS[int(rng.integers(len(FASCIAS)))]
        start, end = self.near + 0.4, self.far - 0.4
        canvas.surface(self.quad(start, end, 0, 2.5, 0.04), board, shade=self.shade)
        panes = max(int((end - start) / 2), 1)
        width = (end - start) / panes
        for i in range(panes):
            left = start + i * width
            canvas.surface(self.quad(left + 0.12, left + width - 0.12, 0.5, 2.35, 0.05), (74, 80, 86))
            canvas.surface(
                self.quad(left + 0.12, left + width - 0.12, 1.3, 2.35, 0.05), (196, 180, 140), alpha=90
            )
        canvas.surface(self.quad(start - 0.1, end + 0.1, 2.45, 3.0, 0.12), board, BUILDING, self.shade * 1.15)
        canvas.surface(self.quad(start + 1, end - 1, 2.62, 2.84, 0.13), (236, 232, 220), alpha=200)
        if rng.random() < 0.5:
            stripes = int((end - start) / 0.5)
            for i in range(stripes)[::-1]:
                a, b = start + i * (end - start) / stripes, start + (i + 1) * (end - start) / stripes
                x, edge = self.wall - self.side * 0.12, self.wall - self.side * 1.3
                colour = board if i % 2 else (236, 232, 222)
                canvas.surface(
                    [(x, 2.7, a), (x, 2.7, b), (edge, 2.2, b), (edge, 2.2, a)], colour, BUILDING, self.shade
                )


def tree(canvas: Canvas, right: float, depth: float) -> None:
    """A stem, and a crown of discs that are lighter above and where the sun is."""
    rng = canvas.rng
    high, wide = rng.uniform(4.5, 8.5), rng.uniform(1.5, 2.6)
    canvas.shadow((right - wide * 0.8, right + wide * 0.8), (depth - 0.8, depth + 0.8))
    bark = (84, 68, 54)
    canvas.limb([(right, 0, depth), (right + 0.05, high * 0.5, depth)], 0.3, bark, TREE)
    for lean in (-1, 1):
        canvas.limb(
            [(right, high * 0.35, depth), (right + lean * wide * 0.5, high * 0.62, depth)], 0.13, bark, TREE
        )
    green = np.array(GREENS[int(rng.integers(len(GREENS)))], float)
    middle, tall = high * 0.68, high * 0.36
    leaves = rng.normal(0, 0.42, (170, 2))
    leaves = leaves[np.hypot(*leaves.T) < 1]
    order = np.argsort(leaves[:, 1] + 0.5 * canvas.sun * leaves[:, 0] + rng.normal(0, 0.25, len(leaves)))
    for x, y in leaves[order]:
        lit = 0.82 + 0.42 * y + 0.22 * canvas.sun * x + rng.normal(0, 0.07)
        colour = green * max(lit, 0.35)
        size = wide * rng.uniform(0.1, 0.27)
        canvas.disc((right + wide * x, middle + tall * y, depth), size, tuple(colour), TREE)

"""Draws stand-ins for photographs of coins on a table, annotated as LabelMe does."""

import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

rng = np.random.default_rng(0)
SIZE, COLOURS = 128, {"copper": (184, 115, 51), "silver": (190, 192, 196)}


def draw(folder: Path, name: str) -> None:
    image = Image.new("RGB", (SIZE, SIZE), tuple(int(c) for c in rng.integers(60, 110, 3)))
    shapes = []
    for _ in range(rng.integers(2, 6)):
        label = str(rng.choice(list(COLOURS)))
        x, y, radius = *rng.uniform(16, SIZE - 16, 2), rng.uniform(9, 16)
        angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        points = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], 1).round(1)
        ImageDraw.Draw(image).polygon([tuple(point) for point in points], fill=COLOURS[label])
        shapes.append({"label": label, "points": points.tolist(), "shape_type": "polygon"})
    noisy = np.asarray(image.filter(ImageFilter.GaussianBlur(1))) + rng.normal(0, 14, (SIZE, SIZE, 3))
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{name}.jpg")
    about = {"imagePath": f"{name}.jpg", "imageHeight": SIZE, "imageWidth": SIZE, "shapes": shapes}
    (folder / f"{name}.json").write_text(json.dumps(about))


Path("coins").mkdir(exist_ok=True)
for number in range(50):
    draw(Path("coins"), f"table_{number:02}")
Path("new_coins").mkdir(exist_ok=True)
for number in range(4):
    draw(Path("new_coins"), f"new_{number}")

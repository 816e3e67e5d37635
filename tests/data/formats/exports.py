"""The same annotations as the annotation tools export them: small images with polygons and masks."""

import base64
import io
import json
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from PIL import Image

HEIGHT, WIDTH = 33, 40
CLASSES = ["cat", "dog"]
COLOURS = {"cat": (200, 30, 40), "dog": (10, 90, 250)}
HEX = {name: "#{:02x}{:02x}{:02x}".format(*colour) for name, colour in COLOURS.items()}
SIZE = {"height": HEIGHT, "width": WIDTH}


class Scene(NamedTuple):
    """name: of the image. polygons: (category, [[x, y], ...])."""

    name: str
    polygons: list


SCENES = [
    Scene("a", [("cat", [[2, 3], [30, 3], [30, 20], [2, 20]]), ("dog", [[10, 8], [20, 8], [15, 28]])]),
    Scene("b", [("dog", [[5, 5], [25, 6], [12, 30]])]),
    Scene("c", []),
    Scene("d", [("cat", [[20, 20], [39, 20], [39, 32], [20, 32]])]),
]


def write_images(folder: Path, scenes=SCENES, suffix=".png") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for scene in scenes:
        noise = np.random.default_rng(list(scene.name.encode())).integers(
            0, 256, (HEIGHT, WIDTH, 3), np.uint8
        )
        Image.fromarray(noise).save(folder / f"{scene.name}{suffix}")


def flat(points: list) -> list:
    return [value for point in points for value in point]


def write_json(path: Path, content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def coco_content(scenes=SCENES) -> dict:
    images, annotations = [], []
    for i, scene in enumerate(scenes, 1):
        images.append({"id": i, "file_name": f"{scene.name}.png", **SIZE})
        for category, points in scene.polygons:
            one = {
                "id": len(annotations) + 1,
                "image_id": i,
                "category_id": 10 * (CLASSES.index(category) + 1),
            }
            annotations.append(one | {"segmentation": [flat(points)], "iscrowd": 0})
    categories = [
        {"id": 10 * (i + 1), "name": name, "color": list(COLOURS[name])} for i, name in enumerate(CLASSES)
    ]
    return {"images": images, "annotations": annotations, "categories": categories}


def coco(root: Path, scenes=SCENES) -> None:
    write_images(root / "images", scenes)
    write_json(root / "annotations.json", coco_content(scenes))


def yolo(root: Path, scenes=SCENES) -> None:
    write_images(root / "images/train", scenes)
    (root / "labels/train").mkdir(parents=True)
    for scene in scenes:
        lines = [
            " ".join([str(CLASSES.index(category)), *(f"{x / WIDTH} {y / HEIGHT}" for x, y in points)])
            for category, points in scene.polygons
        ]
        if lines:
            (root / f"labels/train/{scene.name}.txt").write_text("\n".join(lines) + "\n")
    content = {"path": ".", "train": "images/train", "val": "images/train", "names": dict(enumerate(CLASSES))}
    (root / "data.yaml").write_text(yaml.safe_dump(content))


def labelme(root: Path, scenes=SCENES) -> None:
    write_images(root, scenes)
    for scene in scenes:
        shapes = [{"label": c, "points": points, "shape_type": "polygon"} for c, points in scene.polygons]
        content = {
            "shapes": shapes,
            "imagePath": f"{scene.name}.png",
            "imageHeight": HEIGHT,
            "imageWidth": WIDTH,
        }
        write_json(root / f"{scene.name}.json", content)


def cvat(root: Path, scenes=SCENES) -> None:
    write_images(root / "images", scenes)
    labels = "".join(f"<label><name>{n}</name><color>{HEX[n]}</color></label>" for n in CLASSES)
    images = "".join(
        f'<image id="{i}" name="{scene.name}.png" width="{WIDTH}" height="{HEIGHT}">'
        + "".join(
            f'<polygon label="{c}" points="{";".join(f"{x:.2f},{y:.2f}" for x, y in points)}" z_order="0"/>'
            for c, points in scene.polygons
        )
        + "</image>"
        for i, scene in enumerate(scenes)
    )
    text = f"<annotations><meta><job><labels>{labels}</labels></job></meta>{images}</annotations>"
    (root / "annotations.xml").write_text(text)


def label_studio(root: Path, scenes=SCENES) -> None:
    write_images(root / "images", scenes)
    tasks = [
        {
            "id": i,
            "data": {"image": f"/data/upload/1/0a1b2c3d-{scene.name}.png"},
            "annotations": [
                {
                    "was_cancelled": False,
                    "result": [
                        {
                            "type": "polygonlabels",
                            "original_height": HEIGHT,
                            "original_width": WIDTH,
                            "value": {
                                "points": [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in points],
                                "polygonlabels": [category],
                            },
                        }
                        for category, points in scene.polygons
                    ],
                }
            ],
        }
        for i, scene in enumerate(scenes)
    ]
    write_json(root / "annotations.json", tasks)


def supervisely(root: Path, scenes=SCENES) -> None:
    write_images(root / "pets/img", scenes)
    classes = [{"title": name, "shape": "any", "color": HEX[name]} for name in CLASSES]
    write_json(root / "meta.json", {"classes": classes})
    for scene in scenes:
        objects = [
            {"classTitle": c, "geometryType": "polygon", "points": {"exterior": points, "interior": []}}
            for c, points in scene.polygons
        ]
        write_json(root / f"pets/ann/{scene.name}.png.json", {"size": SIZE, "objects": objects})


def roboflow(root: Path, scenes=SCENES) -> None:
    from segtrain.data.formats.polygons import fill_pixels

    write_images(root / "train", scenes, ".jpg")
    for scene in scenes:
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        for category, points in scene.polygons:
            mask[fill_pixels([np.array(points, float)], HEIGHT, WIDTH)] = CLASSES.index(category) + 1
        Image.fromarray(mask).save(root / f"train/{scene.name}_mask.png")
    (root / "train/_classes.csv").write_text("Pixel Value, Class\n0, background\n1, cat\n2, dog\n")


WRITERS = {
    "coco": coco,
    "yolo": yolo,
    "labelme": labelme,
    "cvat": cvat,
    "label_studio": label_studio,
    "supervisely": supervisely,
    "roboflow": roboflow,
}


def png_text(mask: np.ndarray, *, packed: bool = False) -> str:
    """A mask as a PNG in base64, compressed by zlib as well where it is to be packed."""
    file = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(file, "PNG")
    content = zlib.compress(file.getvalue()) if packed else file.getvalue()
    return base64.b64encode(content).decode()


def brush_text(mask: np.ndarray) -> list[int]:
    """A mask as Label Studio packs a brush: runs of equal bytes and, first, one of different ones."""
    values = np.zeros((*mask.shape, 4), np.uint8)
    values[mask] = 255
    flat_values = values.ravel().tolist()
    bits = f"{len(flat_values):032b}{7:05b}{2:04b}{7:04b}{9:04b}{15:04b}"
    bits += "0" + "00" + f"{3:03b}" + "".join(f"{value:08b}" for value in flat_values[:4])
    at = 4
    while at < len(flat_values):
        end = at
        while end < len(flat_values) and flat_values[end] == flat_values[at] and end - at < 1000:
            end += 1
        bits += "1" + "10" + f"{end - at - 1:010b}" + f"{flat_values[at]:08b}"
        at = end
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]

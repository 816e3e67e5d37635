"""Data sets in miniature: images of 40×33 pixels in the folders and files of the real ones."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.io import savemat

SHAPE = (33, 40)


def make(data: str, folder: Path) -> list[str]:
    """Makes the data set of an option of `data=` in `folder`; gives the overrides that use it."""
    if data not in MAKERS:
        pytest.fail(f"data={data} has no miniature yet: add one to tests/miniatures.py")
    return MAKERS[data](folder)


def labels(outside: int = 0, inside: int = 1) -> np.ndarray:
    """uint8 H×W: a rectangle of one label on another."""
    mask = np.full(SHAPE, outside, np.uint8)
    mask[6:28, 8:32] = inside
    return mask


def write_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(list(path.stem.encode()))  # another image for another name
    Image.fromarray(noise.integers(0, 256, (*SHAPE, 3), np.uint8)).save(path)


def write_pair(image: Path, mask: Path, values: np.ndarray | None = None) -> None:
    write_image(image)
    mask.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels() if values is None else values).save(mask)


def shapes(_: Path) -> list[str]:
    return ["data.size=32", "data.train_images=8", "data.val_images=2"]


def voc(root: Path) -> list[str]:
    """a trains and b validates, below root/VOCdevkit/VOC2012."""
    devkit = root / "VOCdevkit/VOC2012"
    lists = devkit / "ImageSets/Segmentation"
    lists.mkdir(parents=True, exist_ok=True)
    for name in "ab":
        write_pair(devkit / f"JPEGImages/{name}.jpg", devkit / f"SegmentationClass/{name}.png")
    for split, names in {"train": "a", "val": "b", "trainval": "a\nb", "seg11valid": "b"}.items():
        (lists / f"{split}.txt").write_text(f"{names}\n")
    return [f"data.root={root}"]


def voc_aug(root: Path) -> list[str]:
    """VOC, and SBD's own image c in root/sbd."""
    overrides = voc(root)
    write_image(root / "VOCdevkit/VOC2012/JPEGImages/c.jpg")
    for kind, name in (("cls", "GTcls"), ("inst", "GTinst")):
        (root / "sbd" / kind).mkdir(parents=True)
        savemat(root / "sbd" / kind / "c.mat", {name: {"Segmentation": labels()}})
    (root / "sbd/train.txt").write_text("c\n")
    (root / "sbd/val.txt").write_text("b\n")
    return overrides


def camvid(root: Path) -> list[str]:
    for split in ("train", "val"):
        write_pair(root / split / "a.png", root / f"{split}annot/a.png")
        (root / f"{split}.txt").write_text(f"{split}/a.png {split}annot/a.png\n")
    return [f"data.root={root}"]


def multilabel_folder(root: Path) -> list[str]:
    for name in "abcd":
        write_image(root / f"images/{name}.png")
        (root / "masks" / name).mkdir(parents=True, exist_ok=True)
        for label in ("crack", "stain"):
            Image.fromarray(labels()).save(root / f"masks/{name}/{label}.png")
    return [f"data.root={root}", "task=multilabel"]


def folder(root: Path) -> list[str]:
    for name in "abcd":
        write_pair(root / f"images/{name}.png", root / f"masks/{name}.png")
    return [f"data.root={root}", "data.num_classes=2"]


def satellite(root: Path) -> list[str]:
    """A file of 16 bits for each of four bands."""
    (root / "images").mkdir(parents=True)
    for name in "abcd":
        for i, band in enumerate(("_B02", "_B03", "_B04", "_B08")):
            rng = np.random.default_rng(i)
            Image.fromarray(rng.integers(0, 4096, SHAPE, np.uint16)).save(root / f"images/{name}{band}.tif")
        (root / "masks").mkdir(exist_ok=True)
        Image.fromarray(labels()).save(root / f"masks/{name}.png")
    return [f"data.root={root}", "data.bands=[_B02,_B03,_B04,_B08]"]


def scene(path: Path, shape: tuple[int, int] = SHAPE) -> None:
    """A GeoTIFF of three channels of 8 bits."""
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    scale, corner = (33550, "d", 3, (0.5, 0.5, 0.0), True), (33922, "d", 6, (0, 0, 0, 5e5, 5e6, 0), True)
    tifffile.imwrite(path, pixels, photometric="rgb", extratags=[scale, corner])


def raster(root: Path) -> list[str]:
    """A GeoTIFF with a mask of its size."""
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    scene(root / "images/a.tif")
    tifffile.imwrite(root / "masks/a.tif", labels())
    return [f"data.root={root}", "data.block=16", "data.crop=16"]


def fields(root: Path) -> None:
    """A GeoTIFF of 128×128 pixels, and a polygon in degrees somewhere else."""
    (root / "images").mkdir(parents=True)
    scene(root / "images/a.tif", (128, 128))
    ring = [[0, 0], [1, 0], [1, 1], [0, 0]]
    polygon = {"type": "Polygon", "coordinates": [ring]}
    content = [{"type": "Feature", "properties": {}, "geometry": polygon}]
    (root / "fields.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": content}))


def isbi2012(root: Path) -> list[str]:
    for name in range(4):
        write_pair(root / f"train/image/{name}.png", root / f"train/label/{name}.png", labels(inside=255))
    return [f"data.root={root}"]


def cityscapes(root: Path) -> list[str]:
    for split in ("train", "val"):
        image = root / f"leftImg8bit/{split}/city/a_leftImg8bit.png"
        write_pair(image, root / f"gtFine/{split}/city/a_gtFine_labelIds.png", labels(7, 26))
    return [f"data.root={root}"]


def ade20k(root: Path) -> list[str]:
    names = [f"{i}\t0.1\t1\t1\tclass {i}, thing {i}" for i in range(1, 151)]
    root.mkdir(parents=True, exist_ok=True)
    (root / "objectInfo150.txt").write_text("\n".join(["Idx\tRatio\tTrain\tVal\tName", *names]) + "\n")
    for split, name in (("training", "ADE_train_00000001"), ("validation", "ADE_val_00000001")):
        write_pair(
            root / f"images/{split}/{name}.jpg", root / f"annotations/{split}/{name}.png", labels(1, 2)
        )
    return [f"data.root={root}"]


MAKERS = {
    "shapes": shapes,
    "voc": voc,
    "voc_aug": voc_aug,
    "camvid": camvid,
    "isbi2012": isbi2012,
    "folder": folder,
    "multilabel_folder": multilabel_folder,
    "cityscapes": cityscapes,
    "ade20k": ade20k,
    "raster": raster,
}

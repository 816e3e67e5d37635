"""A training on images of any channels, from the files to what is predicted, evaluated and exported."""

import json

import numpy as np
import pytest
from PIL import Image

import segtrain
from tests.data.io.test_any_image import can, write

SIDE = 32
TRAIN = "model=unet width=0.125 batch_size=4 num_workers=0 device=cpu precision=32 optimizer.lr=1e-2".split()


def draw(root, channels: int, dtype: str, suffix: str, *, low_byte: bool = False) -> None:
    """Ten images whose object is in one channel alone; all else is noise. `low_byte` hides it below 256."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    top = {"uint8": 255, "uint16": 4095, "int16": 2000, "float32": 3.0}[dtype]
    for i in range(10):
        rng = np.random.default_rng(i)
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[6 + i : 18 + i, 4:20] = 1
        image = rng.uniform(0, top, (SIDE, SIDE, channels))
        shown = channels - 1 if channels != 3 else 1
        image[..., shown] = top * (0.2 + 0.6 * mask) + rng.uniform(0, 0.1 * top, mask.shape)
        if low_byte:
            image[..., shown] = 4096 + 40 + 160 * mask.astype(int)
        stem = f"{i}{suffix}".rpartition(".")[0]
        write(root / f"images/{i}{suffix}", image.astype(dtype))
        Image.fromarray(mask).save(root / f"masks/{stem}.png")


def trained(run, root, steps: int = 60, *more: str):
    data = [
        "data=folder",
        f"data.root={root}",
        "data.num_classes=2",
        f"max_steps={steps}",
        f"val_every={steps}",
    ]
    return run("segtrain", *TRAIN, *data, *more)


def iou(outcome) -> float:
    assert outcome.code == 0, outcome.err
    return json.loads((outcome.folder / "metrics.json").read_text())["mean_iou"]


ALL = [
    (channels, dtype, suffix)
    for channels in (1, 4, 8, 13)
    for dtype in ("uint8", "uint16", "float32")
    for suffix in (".png", ".tif", "geo.tif", ".npy")
    if can(suffix, channels, dtype)
]
FEW = [(13, "uint16", "geo.tif"), (4, "uint8", ".png"), (1, "float32", ".npy")]
MORE = [pytest.param(*each, marks=pytest.mark.slow) for each in ALL if each not in FEW]


@pytest.mark.parametrize(("channels", "dtype", "suffix"), [*FEW, *MORE])
def test_what_one_channel_shows_is_learned(run, tmp_path, channels, dtype, suffix):
    draw(tmp_path / "own", channels, dtype, suffix)
    assert iou(trained(run, tmp_path / "own")) > 0.9


@pytest.mark.parametrize("channels", [1, 3])
def test_classes_that_differ_in_the_low_byte_alone_are_learned(run, tmp_path, channels):
    draw(tmp_path / "own", channels, "uint16", ".png", low_byte=True)
    assert iou(trained(run, tmp_path / "own")) > 0.9


def test_a_checkpoint_carries_what_its_images_are(run, tmp_path):
    draw(tmp_path / "own", 5, "uint16", ".tif")
    done = trained(run, tmp_path / "own", 10, "data.channels=[5,1,2,3]", "data.rgb=[5,2,1]")
    assert "images: 4 channels of uint16, mean" in done.out
    seen = iou(done)
    evaluated = run("segeval", f"ckpt={done.folder}", "crf=true", "dense_crf.backend=torch", "num_workers=0")
    assert json.loads((evaluated.folder / "metrics.json").read_text())["without_crf"]["mean_iou"] == seen
    predicted = run(
        "segpredict", f"ckpt={done.folder}", f"input={tmp_path}/own/images", f"output={tmp_path}/p"
    )
    assert predicted.code == 0, predicted.err
    labels = np.asarray(Image.open(predicted.folder / "labels/3.png"))
    assert (labels == np.asarray(Image.open(tmp_path / "own/masks/3.png"))).mean() > 0.95
    model = segtrain.load_model(done.folder)
    prediction = segtrain.predict(model, tmp_path / "own/images/3.tif")
    assert (prediction.labels == labels).all()
    assert prediction.image.shape == (SIDE, SIDE, 3)
    exported = run("segexport", f"ckpt={done.folder}", "format=safetensors")
    assert exported.code == 0, exported.err
    wrong = run(
        "segpredict", f"ckpt={done.folder}", f"input={tmp_path}/own/masks/3.png", f"output={tmp_path}/q"
    )
    assert wrong.code == 2
    assert "data.channels" in wrong.err


def test_a_colour_change_without_a_range_is_refused_before_the_data_are_read(run, tmp_path):
    draw(tmp_path / "own", 2, "uint16", ".tif")
    gamma = "+augment.gamma={_target_: albumentations.RandomGamma}"
    refused = trained(run, tmp_path / "own", 1, gamma)
    assert refused.code == 2
    assert "augment.gamma: RandomGamma changes colours" in refused.err
    assert "data.range" in refused.err
    assert trained(run, tmp_path / "own", 1, gamma, "data.range=[0,4095]").code == 0


def test_pages_of_a_stack_are_not_passed_off_as_an_image(run, tmp_path):
    draw(tmp_path / "own", 3, "uint8", ".png")
    done = trained(run, tmp_path / "own", 1)
    pages = [Image.new("L", (8, 8), i) for i in range(5)]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    refused = run(
        "segpredict",
        f"ckpt={done.folder}",
        f"input={tmp_path}/stack.tif",
    )
    assert refused.code == 2
    assert "5 channels of uint8, its 5 pages" in refused.err

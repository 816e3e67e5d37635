"""A scene of 30,000×30,000 pixels with four channels of 16 bits, predicted by `segpredict` (extra `geo`).

Draws the scene, trains a small U-Net on cuts of it, and says: the peak memory and the seconds of the whole
scene; whether a run that is killed by SIGKILL and continued ends with the same bytes; whether the labels lie
where the scene does; and whether those of a cut of 3000×3000 are the same in tiles and in memory. About 20
minutes on an idle core.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window

BLOCK, CELL = 512, 8  # pixels of a drawn block's side, and of a cell's of one colour
COMMON = ["device=cpu", "precision=32"]
CUT = 3000
# U-Net sees 94 pixels on either side; the outer quarter of an overlap counts nothing.
TILES_OF_CUT = ["large_above=0", "tile=1024", "overlap=384"]


def draw_scene(path: Path, side: int) -> None:
    """Writes cells of random colours, and 0 (no data) in the upper left tenth."""
    rng = np.random.default_rng(0)
    pool = rng.integers(200, 4000, (16, 4, BLOCK // CELL, BLOCK // CELL), np.uint16)
    pool = pool.repeat(CELL, 2).repeat(CELL, 3)
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(0.3, 0, 400_000, 0, -0.3, 5_400_000)}
    tiled = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "compress": "zstd", "zstd_level": 1}
    size = {"height": side, "width": side, "count": 4, "dtype": "uint16", "nodata": 0}
    with rasterio.open(path, "w", driver="GTiff", bigtiff="yes", **size, **place, **tiled) as file:
        for top in range(0, side, BLOCK):
            height = min(BLOCK, side - top)
            row = np.concatenate([pool[i] for i in rng.integers(0, 16, -(-side // BLOCK))], 2)
            row = row[:, :height, :side].copy()
            if top < side // 10:
                row[..., : side // 10] = 0
            file.write(row, window=Window(0, top, side, height))


def classes_of(image: np.ndarray) -> np.ndarray:
    """What the network is to learn, of an image 4×h×w."""
    return np.where(image[3] > 3000, 2, image[0] > 2000).astype(np.uint8)


def train(scene: Path, folder: Path) -> Path:
    """A run of a small U-Net on cuts of the scene."""
    from PIL import Image

    for name in ("images", "masks"):
        (folder / "data" / name).mkdir(parents=True, exist_ok=True)
    with rasterio.open(scene) as file:
        for i in range(12):
            at = file.width // 8 + (file.width * 3 // 4) * i // 12
            cut = file.read(window=Window(at, at, 96, 96))
            np.save(folder / f"data/images/{i}.npy", cut.transpose(1, 2, 0))
            Image.fromarray(classes_of(cut)).save(folder / f"data/masks/{i}.png")
    data = ["data=folder", f"data.root={folder}/data", "data.class_names=[bare,field,water]"]
    run = ["model=unet", "width=0.03", "max_steps=150", "val_every=150", "batch_size=4", "optimizer.lr=1e-2"]
    call("train", *data, *run, "num_workers=0", f"hydra.run.dir={folder}/run")
    return folder / "run"


def call(*arguments: str, kill_after: int | None = None) -> tuple[float, float, float]:
    """Wall seconds, processor seconds and peak GB of a command in a process of its own.

    Args:
        kill_after: finished rows of tiles, after which it is killed.
    """
    start = time.monotonic()
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-m", "segtrain", *arguments, *COMMON], env=environment)
    output = Path(next((a.partition("=")[2] for a in arguments if a.startswith("output=")), "."))
    while kill_after is not None and process.poll() is None:
        if len(list((output / "unfinished").rglob("0*.npz"))) >= kill_after:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.05)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == (0 if kill_after is None else -signal.SIGKILL), process.returncode
    return time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / (1 << 20)


def same_files(first: Path, second: Path) -> bool:
    """Whether two folders of outputs hold the same files of labels and overlays."""
    lists = [
        {
            str(p.relative_to(folder)): p.read_bytes()
            for kind in ("labels", "overlays")
            for p in (folder / kind).iterdir()
        }
        for folder in (first, second)
    ]
    return lists[0] == lists[1] and len(lists[0]) == 3


def cut_of(scene: Path, path: Path) -> tuple[int, int]:
    """Writes a cut from the middle of a scene as GeoTIFF; its upper left pixel."""
    with rasterio.open(scene) as file:
        side = min(CUT, file.width // 2)
        corner = (file.width - side) // 2
        window = Window(corner, corner, side, side)
        profile = file.profile | {"height": side, "width": side, "transform": file.window_transform(window)}
        with rasterio.open(path, "w", **profile) as cut:
            cut.write(file.read(window=window))
    return corner, side


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="for the scene (2 GB) and its labels")
    parser.add_argument("--side", type=int, default=30_000, help="pixels of the scene's side")
    arguments = parser.parse_args()
    folder, side = arguments.folder.resolve(), arguments.side
    folder.mkdir(parents=True, exist_ok=True)
    scene = folder / "scene.tif"
    if not scene.exists():
        draw_scene(scene, side)
    print(f"scene: {side}×{side}×4 uint16, {scene.stat().st_size / 1e9:.2f} GB", flush=True)
    trained = train(scene, folder)
    predict = ["predict", f"ckpt={trained}", f"input={scene}"]
    wall, processor, peak = call(*predict, f"output={folder}/whole")
    print(f"whole: {wall:.0f} s, {processor:.0f} s of a processor, peak {peak:.2f} GB", flush=True)
    call(*predict, f"output={folder}/killed", kill_after=max(side // 384 // 3, 1))
    wall, processor, peak = call(*predict, f"output={folder}/killed")
    print(
        f"killed after a third, continued: {wall:.0f} s, {processor:.0f} s of a processor, peak {peak:.2f} GB"
    )
    print(f"same bytes: {same_files(folder / 'whole', folder / 'killed')}", flush=True)
    with rasterio.open(scene) as given, rasterio.open(folder / "whole/labels/scene.tif") as made:
        alike = all(
            getattr(given, key) == getattr(made, key) for key in ("crs", "transform", "shape", "bounds")
        )
        print(f"same place: {alike}; overviews {made.overviews(1)}", flush=True)
        corner, size = cut_of(scene, folder / "cut.tif")
        window = Window(corner, corner, size, size)
        of_scene, image = made.read(1, window=window), given.read(window=window)
    for name, tiles in (("memory", []), ("tiles", TILES_OF_CUT)):
        call("predict", f"ckpt={trained}", f"input={folder}/cut.tif", f"output={folder}/{name}", *tiles)
    labels = [rasterio.open(folder / f"{name}/labels/cut.tif").read(1) for name in ("memory", "tiles")]
    print(f"cut {size}×{size}: {(labels[0] != labels[1]).sum()} pixels differ in tiles from in memory;")
    inside = np.s_[128:-128, 128:-128]
    print(
        f"  {100 * (labels[0] == of_scene)[inside].mean():.4f} % as in the whole scene, tile=512 overlap=128;"
    )
    print(
        f"  {100 * (labels[0] == classes_of(image)).mean():.1f} % right, {len(np.unique(labels[0]))} classes"
    )


if __name__ == "__main__":
    main()

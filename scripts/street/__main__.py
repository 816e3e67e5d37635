"""Makes README's image: draws streets, trains a U-Net on them, and shows what it predicts on another.

`python -m scripts.street [FOLDER]` writes docs/images/street.jpg. FOLDER (build/street) keeps the drawn data
set and the run, so that a second call only draws the image anew. 17 minutes of processor time.
"""

import json
import subprocess
import sys
from multiprocessing import Pool
from pathlib import Path

from PIL import Image

from scripts.street.layout import draw_layout
from scripts.street.scene import draw_scene
from segtrain import load_model
from segtrain.data.datasets.camvid import COLOURS

DOCS = Path(__file__).parent.parent.parent / "docs"
SPLITS = {"train": range(240), "val": range(1000, 1030)}  # seeds of the streets
SHOWN = 2039  # in neither split; it has all classes
TRAINING = """data=folder data.train_split=train data.val_split=val model=unet
    model.batch_norm=true width=0.25 augment=crop augment.crop.height=192 augment.crop.width=256
    loss=ce_dice optimizer.lr=2e-3 ema=0.98
    batch_size=8 max_steps=400 val_every=400 checkpoint_every=50 num_workers=0 seed=0 device=cpu"""


def main(folder: Path) -> None:
    """Draws, trains where that is not done, and writes the image."""
    data, run = folder / "data", folder / "run"
    with Pool() as pool:
        pool.starmap(save, [(data, split, seed) for split, seeds in SPLITS.items() for seed in seeds])
    classes = {"class_names": list(COLOURS), "palette": [list(colour) for colour in COLOURS.values()]}
    (data / "classes.yaml").write_text(json.dumps(classes))
    given = [f"data.root={data}", f"hydra.run.dir={run}", "resume=auto"]
    if not (run / "metrics.json").exists():
        subprocess.run([sys.executable, "-m", "segtrain", *TRAINING.split(), *given], check=True)
    mean_iou = json.loads((run / "metrics.json").read_text())["mean_iou"]
    drawn = draw_layout(load_model(run), *draw_scene(SHOWN), mean_iou)
    drawn.save(DOCS / "images/street.jpg", quality=88, subsampling=0, optimize=True)
    print(f"docs/images/street.jpg: mean IoU {100 * mean_iou:.1f} % on {len(SPLITS['val'])} other streets")


def save(data: Path, split: str, seed: int) -> None:
    """Draws a street of a split, unless it is there."""
    image, mask = (data / kind / split / f"{seed:04}.png" for kind in ("images", "masks"))
    if mask.exists():
        return
    for path, pixels in zip((image, mask), draw_scene(seed), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/street").resolve())

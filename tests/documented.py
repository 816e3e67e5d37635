"""The commands and the code of README and docs/, and a place where they run on miniatures."""

import re
import shlex
import shutil
import sys
from pathlib import Path

from tests import miniatures
from tests.data.formats import exports

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
MADE = ("papers/", "reference/")  # by scripts/docs
NAMES = r"(PYTHONPATH=\. )?seg(train|eval|predict|data|export|report)\b"
SMALL = ["num_workers=0", "device=cpu", "precision=32"]
SHORT = ["max_steps=1", "batch_size=2", "log_every=1", *SMALL]
LITTLE = ["data.size=32", "data.train_images=4", "data.val_images=2"]


def pages() -> list[Path]:
    """README and what people wrote below docs/, tutorials last."""
    found = [path for path in DOCS.rglob("*.md") if not str(path.relative_to(DOCS)).startswith(MADE)]
    return [ROOT / "README.md", *sorted(found, key=lambda path: (path in tutorials(), path))]


def tutorials() -> list[Path]:
    """Pages whose blocks are followed in their order, each in the folder that those before it left."""
    return sorted((DOCS / "tutorials").glob("*.md"))


def blocks(text: str, language: str) -> list[str]:
    """The blocks of a language in Markdown."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def lines(text: str) -> list[str]:
    """The lines of all blocks for a shell; a line that ends with a backslash goes on."""
    return [line for block in blocks(text, "sh") for line in block.replace("\\\n", " ").splitlines()]


def commands(text: str) -> list[str]:
    """segtrain's commands in a text of Markdown, each once."""
    found = [line for line in lines(text) if re.match(NAMES, line)]
    found += re.findall(r"`(segtrain [^`]*=[^`]*)`", text)
    return [line for line in dict.fromkeys(found) if "submitit" not in line]  # a cluster's


def fill(folder: Path, text: str) -> None:
    """Puts the data sets that the pages name into a folder, in miniature."""
    miniatures.voc_aug(folder / "data")
    miniatures.camvid(folder / "data/CamVid")
    for name in "abc":
        miniatures.write_pair(folder / f"photos/images/{name}.jpg", folder / f"photos/masks/{name}.png")
    (folder / "photos/mine.yaml").write_text("root: .\nnum_classes: 2\n")
    exports.coco(folder / "pets")
    miniatures.satellite(folder / "satellite")
    miniatures.scene(folder / "scene.tif")
    miniatures.fields(folder / "scenes")
    miniatures.multilabel_folder(folder / "layers")
    (folder / "mydata.py").write_text(next(code for code in blocks(text, "python") if "class Rust" in code))
    (folder / "conf/data").mkdir(parents=True)
    yaml = next(block for block in blocks(text, "yaml") if "_target_" in block)
    (folder / "conf/data/rust.yaml").write_text(yaml)


def call(command: str, *more: str) -> None:
    """Runs a command of segtrain in this process, without the reports that take seconds."""
    from segtrain.cli import entry

    words = shlex.split(command.removeprefix("PYTHONPATH=. "), comments=True)
    if "-m" in words or "compare=true" in words:
        words.append("report=false")  # has tests of its own
    sys.argv = [*words, *more]
    getattr(entry, words[0])()


def miniature_of(command: str) -> list[str]:
    """What is added to a command that trains: a narrow model, few steps, few images where it draws them."""
    own_data = re.search(r"data=|data\.root=|_voc|_camvid", command)
    steps = ["max_steps=2"] if "resume" in command else []
    return [*SHORT, "width=0.0625", *([] if own_data else LITTLE), *steps]


def shortened(command: str) -> str:
    """Without what takes its time or the network: pretrained weights, downloads, thousands of steps."""
    command = re.sub(r" model\.backbone\.pretrained=true| data\.download=true", "", command)
    command = re.sub(r" max_(steps|epochs)=\d+", "", command)
    return command.replace("tune_crf=100", "tune_crf=2")


def first_of_sweep(command: str) -> str:
    """The first run of a sweep as a command of its own: `-m lr=1,2` becomes `lr=1`."""
    words = [word for word in command.split() if word != "-m"]
    if len(words) == len(command.split()):
        return command
    return " ".join(word if "[" in word else word.split(",")[0] for word in words)


def copy_run(kept: Path, model: str, data: str) -> None:
    """Puts a run of one step at outputs/MODEL_DATA/RUN, which is trained once and kept."""
    target, store = Path("outputs", f"{model}_{data}", "RUN"), kept / f"{model}_{data}"
    if not store.exists():
        root = ["data.root=data"] if data.startswith("voc") else []
        own = ["--config-dir", "conf"] if data == "rust" else []
        size = ["width=0.0625", *(LITTLE if data == "shapes" else [])]
        base = shlex.join(["segtrain", *own, f"model={model}", f"data={data}", *root, "logger=jsonl"])
        call(base, f"hydra.run.dir={target}", *SHORT, *size)
        unfinished = kept / f".{model}_{data}_{target.stat().st_ino}"
        shutil.copytree(target, unfinished)
        if not store.exists():  # else another process was faster
            unfinished.rename(store)
    elif not target.exists():
        shutil.copytree(store, target)

"""Each command and each piece of code in the README and in docs/ runs."""

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from tests import miniatures
from tests.data.formats import exports

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = "\n".join(page.read_text() for page in PAGES)
BLOCKS = [line for block in re.findall(r"```sh\n(.*?)```", TEXT, re.S) for line in block.splitlines()]
COMMANDS = [line for line in BLOCKS if re.match(r"(PYTHONPATH=\. )?seg(train|eval|predict|data)\b", line)]
COMMANDS += re.findall(r"`(segtrain [^`]*=[^`]*)`", TEXT)
COMMANDS = [line for line in dict.fromkeys(COMMANDS) if not line.endswith("\\")]  # a cluster's go on
CODE = re.findall(r"```python\n(.*?)```", TEXT, re.S)
SMALL = ["num_workers=0", "device=cpu", "precision=32"]
SHORT = ["max_steps=1", "batch_size=2", "log_every=1", *SMALL]


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with the data sets that the README's commands name, in miniature."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    miniatures.voc_aug(tmp_path / "data")
    miniatures.camvid(tmp_path / "data/CamVid")
    for name in "abc":
        miniatures.write_pair(tmp_path / f"photos/images/{name}.jpg", tmp_path / f"photos/masks/{name}.png")
    (tmp_path / "photos/mine.yaml").write_text("root: .\nnum_classes: 2\n")
    exports.coco(tmp_path / "pets")
    miniatures.satellite(tmp_path / "satellite")
    miniatures.scene(tmp_path / "scene.tif")
    miniatures.fields(tmp_path / "scenes")
    miniatures.multilabel_folder(tmp_path / "layers")
    (tmp_path / "mydata.py").write_text(next(code for code in CODE if "class Rust" in code))
    (tmp_path / "conf/data").mkdir(parents=True)
    yaml = next(block for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.S) if "_target_" in block)
    (tmp_path / "conf/data/rust.yaml").write_text(yaml)
    return tmp_path


def call(command: str, *more: str) -> None:
    from segtrain.cli import entry

    words = shlex.split(command.removeprefix("PYTHONPATH=. "))
    if "-m" in words or "compare=true" in words:
        words.append("report=false")  # which takes three seconds, and has tests of its own
    sys.argv = [*words, *more]
    getattr(entry, words[0])()


def small_model(command: str) -> list[str]:
    shapes = (
        []
        if re.search(r"data=|data\.root=|_voc|_camvid", command)
        else ["data.size=32", "data.train_images=4", "data.val_images=2"]
    )
    return ["width=0.0625", *shapes]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_runs(command, workplace, monkeypatch):
    if "scene" in command:
        pytest.importorskip("rasterio")
    monkeypatch.setattr(sys, "argv", [])
    # What the commands before it left: a run of the model and data that it names.
    for folder in re.findall(r"outputs/(\w+?)_(voc_aug|voc_fcn|voc|shapes|rust)/RUN", command):
        make_run(workplace, *folder)
    if command.startswith("segtrain resume=auto"):
        make_run(workplace, "fcn8s", "shapes")
    # Weights are not downloaded in a test, nor is the archive of VOC.
    command = re.sub(r" model\.backbone\.pretrained=true| data\.download=true", "", command)
    command = re.sub(r" max_(steps|epochs)=\d+", "", command)
    steps = ["max_steps=2"] if "resume" in command else []
    if command.startswith("segpredict"):
        call(command, "device=cpu", "precision=32")
    elif command.startswith("segdata"):
        call(command)
    elif "segeval" in command:
        call(command, *SMALL)
    else:
        call(command, *SHORT, *small_model(command), *steps)


def make_run(workplace: Path, model: str, data: str) -> None:
    root = [f"data.root={workplace}/data"] if data.startswith("voc") else []
    own = ["--config-dir", "conf"] if data == "rust" else []
    small = small_model("" if data == "shapes" else "data=")
    base = shlex.join(["segtrain", *own, f"model={model}", f"data={data}", *root])
    call(base, f"hydra.run.dir=outputs/{model}_{data}/RUN", *SHORT, *small)


def test_the_python_of_the_readme_runs(workplace):
    for code in CODE:
        exec(code, {"__name__": "readme"})


def test_the_targets_and_programs_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    for line in BLOCKS:
        if line.startswith("make "):
            assert f"\n{line.split()[1]}:" in makefile
    assert shutil.which("tensorboard", path=Path(sys.executable).parent)


def test_the_links_of_the_readme_lead_somewhere():
    made = ("papers/", "reference/")  # by scripts/docs
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
            assert target.startswith(made) or (page.parent / target).exists(), f"{page.name}: {target}"

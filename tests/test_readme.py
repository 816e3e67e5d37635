"""The commands and the code of README and docs/: each command is set up as far as its first step on
miniatures, and a slow test runs each to its end."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from segtrain.errors import how_to_install
from tests import documented
from tests.documented import ROOT, SMALL, call, commands, copy_run, miniature_of, shortened

PAGES = [page for page in documented.pages() if page not in documented.tutorials()]
TEXT = "\n".join(page.read_text() for page in PAGES)
COMMANDS = commands(TEXT)
# The others train and evaluate as these do.
WHOLE = (
    "segtrain",
    "segtrain --version",
    "segtrain resume=auto",
    "segeval ckpt=outputs/deeplabv1_voc/RUN/checkpoints/best.ckpt",
)
LAST = {  # what is left to do when everything is built, by command
    "segtrain": ["segtrain.commands.train.trained"],
    "segreport": ["segtrain.commands.report.write_report"],
    "segeval": ["segtrain.commands.evaluate.evaluate_split", "segtrain.commands.tune_crf.Tuner.examples"],
}


class SetUp(Exception):
    """All is built for the first step."""


@pytest.fixture(scope="session")
def kept(tmp_path_factory):
    """A folder of all test processes for runs that are trained once."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if base.name.startswith("popen-") else base) / "documented"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with the data sets that the pages' commands name, in miniature."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "argv", [])
    documented.fill(tmp_path, TEXT)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_is_set_up(command, workplace, kept, monkeypatch):
    names = LAST.get(command.removeprefix("PYTHONPATH=. ").split()[0])
    put_runs(command, kept)
    if command in WHOLE or names is None:
        run(command)
        return
    for name in names:
        monkeypatch.setattr(name, set_up)
    with pytest.raises(SetUp):
        run(documented.first_of_sweep(command))


def set_up(*_, **__):
    raise SetUp


@pytest.mark.slow
@pytest.mark.parametrize("command", [command for command in COMMANDS if command not in WHOLE])
def test_a_command_of_the_readme_runs(command, workplace, kept):
    put_runs(command, kept)
    run(command)


def put_runs(command: str, kept: Path) -> None:
    """What the commands before it left: a run of the model and data that it names."""
    for folder in re.findall(r"outputs/(\w+?)_(voc_aug|voc_fcn|voc|shapes|rust)/RUN", command):
        copy_run(kept, *folder)
    if command.startswith("segtrain resume=auto"):
        copy_run(kept, "fcn8s", "shapes")


def run(command: str) -> None:
    if "scene" in command:
        pytest.importorskip("rasterio")
    command = shortened(command)
    if command.startswith("segpredict"):
        call(command, "device=cpu", "precision=32")
    elif command.startswith(("segdata", "segreport")):
        call(command)
    elif "segeval" in command:
        call(command, *SMALL)
    else:
        call(command, *miniature_of(command))


def test_the_python_of_the_readme_runs(workplace):
    for code in documented.blocks(TEXT, "python"):
        small = code.replace("max_steps=20", "max_steps=2, data__val_images=2")
        small = small.replace('pad100")', 'pad100", width=0.1)')
        exec(small, {"__name__": "readme"})


def test_the_targets_and_programs_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    for line in documented.lines("\n".join(page.read_text() for page in documented.pages())):
        if line.startswith("make "):
            assert f"\n{line.split()[1]}:" in makefile
    assert shutil.which("tensorboard", path=Path(sys.executable).parent)


def test_nothing_advises_to_install_the_package_of_another():
    """The package index's `segtrain` is somebody else's."""
    files = [*ROOT.glob("*.md"), ROOT / "pyproject.toml", *ROOT.glob("docs/**/*.md")]
    files += [p for below in ("src", "scripts") for p in (ROOT / below).rglob("*.py")]
    another = re.compile(r"""pip install ["']?segtrain(\[|["' ]|$)""", re.MULTILINE)
    assert [str(path) for path in files if another.search(path.read_text(encoding="utf-8"))] == []
    assert how_to_install("export") == (
        "do: make install EXTRAS=export, or pip install 'segtrain-papers[export]'"
    )


def test_the_links_of_the_readme_lead_somewhere():
    for page in documented.pages():
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
            made = target.removeprefix("../").startswith(documented.MADE)
            assert made or (page.parent / target).exists(), f"{page.name}: {target}"

"""The tutorials: each command is composed, and a slow test follows each from top to bottom at small size."""

import re
import runpy
import shlex
import sys

import pytest
from omegaconf import OmegaConf

from segtrain.cli import entry
from segtrain.config.compose import compose_config
from tests import documented
from tests.documented import ROOT, call, miniature_of, shortened

FOLLOWED = {page.stem: documented.lines(page.read_text()) for page in documented.tutorials()}
COMMANDS = [line for lines in FOLLOWED.values() for line in lines if re.match(documented.NAMES, line)]


@pytest.mark.parametrize("command", [line for line in COMMANDS if "--config-dir" not in line])
def test_a_tutorials_command_composes(command):
    name, *words = shlex.split(documented.first_of_sweep(command))
    overrides = [entry.lesson_argument(word) for word in words if not word.startswith("hydra.")]
    root = "train" if name == "segtrain" else name.removeprefix("seg")
    config = compose_config(root, overrides)
    for key in (override.partition("=")[0] for override in overrides):
        assert "/" in key or key == "experiment" or OmegaConf.select(config, key) is not None, key


@pytest.mark.slow
@pytest.mark.parametrize("name", FOLLOWED)
def test_a_tutorial_is_followed_to_its_end(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [])
    before = FOLLOWED["own_images"][:4] if name == "crf" else []  # it uses that run
    for line in [*(one for one in before if "segdata" not in one), *FOLLOWED[name]]:
        if "onnx" in line:
            pytest.importorskip("onnx")
        if name == "remote_sensing":
            pytest.importorskip("rasterio")
        follow(line, monkeypatch)


def follow(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(line)
    if words[0] == "python":
        script = next(path for path in (ROOT / words[1], ROOT / "docs/tutorials" / words[1]) if path.exists())
        monkeypatch.setattr(sys, "argv", words[1:])
        runpy.run_path(str(script), run_name="__main__")
    elif words[0] == "segtrain":
        call(shortened(line), *miniature_of(line))
    else:
        call(line.replace("tune_crf=32", "tune_crf=2"))


def test_the_tutorials_show_images_that_are_there():
    for page in documented.pages():
        for target in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text()):
            assert (page.parent / target).exists()


def test_the_tutorials_show_their_scripts():
    """`ruff format` took the line that includes one for an expression where its block was called python."""
    shown = {
        name: page.read_text()
        for page in documented.tutorials()
        for name in re.findall(r'\?\?\? note "(.+\.py)"', page.read_text())
    }
    assert len(shown) == 2
    for name, text in shown.items():
        assert f'    --8<-- "docs/tutorials/{name}"\n' in text
        assert (ROOT / "docs/tutorials" / name).is_file()

import pytest

from segtrain.cli.entry import COMMANDS
from segtrain.cli.help import help_text
from segtrain.config.compose import CONFIG_DIR


def root_lines(root: str) -> list[str]:
    return (CONFIG_DIR / f"{root}.yaml").read_text().splitlines()


@pytest.mark.parametrize("root", [command.root for command in COMMANDS.values()])
def test_help_explains_every_key_of_a_command(root):
    text = help_text(root)
    words = " ".join(text.split())
    for line in root_lines(root):
        if line[:1].isalpha() and not line.endswith(":"):
            key, why = line.split(":")[0], line.split("# ", 1)[1]
            assert f"  {key}=" in text
            assert " ".join(why.split()) in words


def test_help_lists_the_options_of_every_group():
    text = help_text("train")
    groups = (line.split()[1].rstrip(":") for line in root_lines("train") if line.startswith("  - "))
    for group in {"model/backbone", *groups} - {"_self_", "override"}:
        assert f"\n  {group}=" in text
    assert "fcn8s_atonce" in text
    assert "boundary_iou" in text
    assert "vgg16_pad100" in text


def test_help_says_of_a_command_all_that_its_file_says():
    about = help_text("export").split("\n\n")[0]
    assert " ".join(about.split()).endswith("normalization, output, task.")


def test_a_long_key_is_explained_in_the_column_of_the_others():
    lines = help_text("predict", 110).splitlines()
    (i,) = [i for i, line in enumerate(lines) if line.startswith("  output=")]
    assert lines[i + 1].startswith(" " * 26 + "labels that")


@pytest.mark.parametrize("columns", [80, 100])
def test_help_fits_the_terminal_and_keeps_its_columns(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    for root in ("train", "eval", "predict"):
        lines = help_text(root).splitlines()
        assert max(map(len, lines)) <= columns
        (i,) = [i for i, line in enumerate(lines) if line.startswith(("  plots=", "  polygons="))]
        assert lines[i][25] == " " != lines[i][26]
    assert lines != help_text("predict", 110).splitlines()

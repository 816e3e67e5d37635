import pytest

from segtrain.cli.help import help_text
from segtrain.config.compose import CONFIG_DIR


@pytest.mark.parametrize("root", ["train", "eval", "predict", "data", "import", "export", "report"])
def test_help_explains_every_key_of_a_command(root):
    text = help_text(root)
    words = " ".join(text.split())
    lines = (CONFIG_DIR / f"{root}.yaml").read_text().splitlines()
    for line in lines:
        if line[:1].isalpha() and not line.endswith(":"):
            key, why = line.split(":")[0], line.split("# ", 1)[1]
            assert f"  {key}=" in text
            assert " ".join(why.split()) in words


def test_help_lists_the_options_of_every_group():
    text = help_text("train")
    for group in ("model", "model/backbone", "data", "augment", "loss", "experiment", "dense_crf"):
        assert f"\n  {group}=" in text
    assert "fcn8s_atonce" in text
    assert "vgg16_pad100" in text


@pytest.mark.parametrize("columns", [80, 100])
def test_help_fits_the_terminal_and_keeps_its_columns(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    for root in ("train", "eval", "predict"):
        lines = help_text(root).splitlines()
        assert max(map(len, lines)) <= columns
        (i,) = [i for i, line in enumerate(lines) if line.startswith(("  plots=", "  polygons="))]
        assert lines[i][25] == " " != lines[i][26]
    assert lines != help_text("predict", 110).splitlines()

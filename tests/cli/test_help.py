import pytest

from segtrain.cli.help import help_text


@pytest.mark.parametrize("root", ["train", "eval", "predict", "data", "import", "export"])
def test_the_quick_help_is_hydras(run, root):
    by_hydra = run(f"seg{root}", "--help")  # the fixture adds a key, and the quick way is for none
    text = by_hydra.out.replace(str(by_hydra.folder), "")
    assert text.strip() == help_text(root).strip()

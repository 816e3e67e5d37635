"""The notebook runs from top to bottom, and shows tables and images."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parent.parent / "docs/quickstart.ipynb"


@pytest.mark.skipif(
    not find_spec("nbclient") or not find_spec("ipykernel"), reason="make install adds nbclient"
)
@pytest.mark.filterwarnings("ignore")
def test_the_notebook_trains_evaluates_predicts_and_shows_images(tmp_path):
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    cell = next(cell for cell in notebook.cells if "STEPS = 300" in cell.source)
    cell.source = cell.source.replace("STEPS = 300", "STEPS = 3")
    training = next(cell for cell in notebook.cells if "data__size=64,\n" in cell.source)
    training.source = training.source.replace(
        "data__size=64,\n", "data__size=64, data__train_images=8, data__val_images=4,\n"
    )
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, resources=resources, kernel_name="python3").execute()
    shown = [out.get("data", {}) for cell in notebook.cells for out in cell.get("outputs", ())]
    tables = [data["text/html"] for data in shown if "<table>" in data.get("text/html", "")]
    assert len(tables) == 2  # the training's and the evaluation's
    assert "with CRF" in tables[1]
    assert any("data:image/png;base64" in data.get("text/html", "") for data in shown)
    assert any("image/png" in data for data in shown)
    runs = list((tmp_path / "outputs/unet_shapes").iterdir())
    assert len(runs) == 1
    lines = "".join(out.get("text", "") for out in training.outputs).splitlines()
    logged = (runs[0] / "train.log").read_text().splitlines()
    for start in ("images: ", "step 3: ", "evaluate with CRF: "):
        assert len([line for line in logged if line.startswith(start)]) == 1
        assert len([line for line in lines if line.startswith(start)]) == 1
    assert "ipywidgets" not in str(training.outputs)
    assert json.loads((runs[0] / "metrics.json").read_text())["overrides"]


def test_the_notebook_is_shipped_without_outputs():
    notebook = json.loads(NOTEBOOK.read_text())
    assert all(not cell.get("outputs") for cell in notebook["cells"])

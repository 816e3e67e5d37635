"""The demo in a real browser: an upload, a slider, a download, and a file that is no image."""

import json
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio", reason="gradio is not installed (make install EXTRAS=demo)")
pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def server(run, tmp_path):
    """Address of a demo of a network that was trained for a step."""
    options = "model=unet width=0.125 data.size=48 data.train_images=4 data.val_images=2 max_steps=1"
    trained = run("segtrain", *options.split(), "num_workers=0", "device=cpu")
    assert trained.code == 0, trained.err
    command = [sys.executable, "-m", "segtrain", "demo", f"ckpt={trained.folder}", "port=0", "device=cpu"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        address = None
        while address is None and (line := process.stdout.readline()):
            address = re.search(r"http://[\d.:]+", line)
        yield address[0]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert not list(tmp_path.glob("outputs/demo/*"))


def test_with_mouse_and_keyboard(server, open_page, tmp_path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (60, 80, 3), np.uint8)).save(tmp_path / "photo.png")
    (tmp_path / "text.png").write_text("no image")
    page = open_page(server)
    page.set_default_timeout(180_000)  # the CRF may have to be compiled first
    chooser = page.locator("input[type=file]")
    chooser.wait_for(state="attached")
    chooser.set_input_files(tmp_path / "photo.png")
    page.get_by_text("photo.png, 80×60").wait_for()
    page.get_by_text("Dense CRF").first.click()
    page.get_by_label("Refine by the dense CRF").check()
    page.get_by_text("after the CRF").wait_for()
    slider = page.get_by_role("slider", name="iterations")
    slider.focus()
    for _ in range(7):
        page.keyboard.press("ArrowLeft")
    page.get_by_label("classes", exact=True).check()
    page.wait_for_timeout(1500)
    with page.expect_download() as waiting:
        page.get_by_text("Numbers (JSON)").click()
    found = json.loads(waiting.value.path().read_text())
    assert (found["width"], found["crf"]["iterations"]) == (80, 3)
    page.get_by_label("Clear").first.click()
    page.locator("input[type=file]").set_input_files(tmp_path / "text.png")
    page.get_by_text("Not possible:").wait_for()
    open_page.faults[:] = [
        fault for fault in open_page.faults if fault != "Method not implemented."
    ]  # Gradio's

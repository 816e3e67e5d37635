import os
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
if (
    "PYTEST_XDIST_WORKER" not in os.environ
):  # nothing is left at home, and numba compiles once for all workers
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="segtrain-tests-")

TINY = ["width=0.0625", "data.size=32", "data.train_images=8", "data.val_images=3"]
FAST = ["max_steps=2", "batch_size=2", "num_workers=0", "device=cpu", "precision=32"]


# Its C++ does not build everywhere, and nowhere on Python 3.13.
needs_pydensecrf = pytest.mark.skipif(find_spec("pydensecrf") is None, reason="pydensecrf is not installed")


class Outcome:
    """What a command left: its exit code, what it printed, and its run's folder."""

    def __init__(self, code: int, out: str, err: str, folder: Path):
        self.code, self.out, self.err, self.folder = code, out, err, folder


@pytest.fixture(scope="session", autouse=True)
def _composed_once():
    """Without Hydra's composing of every config twice, for a `hydra.mode` in it, which no test sets: a fifth
    of a tiny run's time. Commands that tests start as processes compose as they do for a user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hydra._internal.hydra.Hydra.get_mode", lambda *_, **__: None)
        yield


@pytest.fixture
def run(monkeypatch, capfd, tmp_path):
    """Runs a command of segtrain in this process: `run("segtrain", "max_steps=1")`."""
    from segtrain.cli import entry

    monkeypatch.chdir(tmp_path)
    count = 0

    def call(command: str, *arguments: str) -> Outcome:
        nonlocal count
        count += 1
        folder = tmp_path / f"run{count}"
        sweeping = "-m" in arguments
        key = "hydra.sweep.dir=" if sweeping else "hydra.run.dir="
        given = [a.removeprefix(key) for a in arguments if a.startswith(key)]
        folder = Path(given[-1]) if given else folder
        monkeypatch.setattr(sys, "argv", [command, *arguments, *([] if given else [f"{key}{folder}"])])
        code = 0
        try:
            getattr(entry, command)()
        except SystemExit as stop:
            code = stop.code
        out, err = capfd.readouterr()
        return Outcome(code, out, err, folder)

    return call


@pytest.fixture
def tiny(run):
    """A tiny training run of two steps on `shapes`, with further arguments on top."""
    return lambda *arguments: run("segtrain", *TINY, *FAST, *arguments)


@pytest.fixture
def real_data() -> Path:
    """The folder with real data sets, for tests marked `data`."""
    folder = Path(os.environ.get("SEGTRAIN_DATA", ""))
    if not os.environ.get("SEGTRAIN_DATA"):
        pytest.skip("SEGTRAIN_DATA is not set")
    return folder


@pytest.fixture(scope="session")
def _chromium():
    from tests import browser

    if reason := browser.missing():
        pytest.skip(reason)
    with browser.browser() as opened:
        yield opened


@pytest.fixture
def open_page(_chromium):
    """Opens an HTML file in Chromium: `open_page(path, dark=True)` gives Playwright's page. The test fails
    for a console error, an exception, or a request for anything but the file itself."""
    from tests.browser import Browser

    opening = Browser(_chromium)
    yield opening
    for context in opening.contexts:
        context.close()
    assert not opening.faults

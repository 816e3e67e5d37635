import os
import shutil
import sys
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from copy import deepcopy
from importlib.util import find_spec
from io import StringIO
from itertools import count
from pathlib import Path

import pytest

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
if (
    "PYTEST_XDIST_WORKER" not in os.environ
):  # nothing is left at home, and numba compiles once for all workers
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="segtrain-tests-")

TINY = ["width=0.0625", "data.size=32", "data.train_images=8", "data.val_images=3"]
FAST = ["max_steps=2", "batch_size=2", "num_workers=0", "device=cpu", "precision=32", "plots=false"]


# Its C++ does not build everywhere, and nowhere on Python 3.13.
needs_pydensecrf = pytest.mark.skipif(find_spec("pydensecrf") is None, reason="pydensecrf is not installed")


# `device=cuda` of the tests marked gpu; another here, as cpu:0, tries them where there is no GPU.
SECOND_DEVICE = os.environ.get("SEGTRAIN_TEST_DEVICE", "cuda")
GPU = pytest.param("gpu", marks=pytest.mark.gpu)
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic=true, before CUDA starts


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips tests marked gpu where torch sees none."""
    if item.get_closest_marker("gpu") is None or not SECOND_DEVICE.startswith("cuda"):
        return
    import torch

    if not torch.cuda.is_available():
        pytest.skip("torch sees no GPU")


@pytest.fixture(params=["cpu", GPU])
def device(request):
    """Each device that a test goes over: the CPU and, under the marker gpu, a GPU with exact float32."""
    import torch

    from segtrain.engine.device import choose

    name = "cpu" if request.param == "cpu" else SECOND_DEVICE
    return choose(name, "32").device if name.startswith("cuda") else torch.device(name)


@pytest.fixture
def gpu():
    """A GPU with exact float32, for tests of nothing else; with SEGTRAIN_TEST_DEVICE=cpu:0 the CPU."""
    import torch

    from segtrain.engine.device import choose

    yield choose(SECOND_DEVICE, "32").device if SECOND_DEVICE.startswith("cuda") else torch.device("cpu")
    if torch.are_deterministic_algorithms_enabled():  # a run with deterministic=true leaves them on
        torch.use_deterministic_algorithms(False)


@pytest.fixture
def cuda(gpu):
    """`gpu`, for tests of what no other device has."""
    if gpu.type != "cuda":
        pytest.skip("a GPU alone has this")
    return gpu


@pytest.fixture
def repeatable(device):
    """The device, on which a sum has one order."""
    import torch

    if device.type == "cpu":
        yield device
        return
    torch.use_deterministic_algorithms(True)
    yield device
    torch.use_deterministic_algorithms(False)


class Outcome:
    """What a command left: its exit code, what it printed, and its run's folder."""

    def __init__(self, code: int, out: str, err: str, folder: Path):
        self.code, self.out, self.err, self.folder = code, out, err, folder


@pytest.fixture(scope="session", autouse=True)
def _composed_once():
    """Configs that are composed again are copies, and Hydra composes a run's once instead of twice, the
    second time for a `hydra.mode` in it, which no test sets. Commands that tests start as processes compose
    as they do for a user."""
    from segtrain.config import compose

    composed = {}

    def again(name, overrides, **keys):
        key = (name, *overrides, *sorted(keys))
        if key not in composed:
            composed[key] = hydras(name, overrides=overrides, **keys)
        return deepcopy(composed[key])

    with pytest.MonkeyPatch.context() as patch:
        hydras = compose.compose
        patch.setattr(compose, "compose", again)
        patch.setattr("hydra._internal.hydra.Hydra.get_mode", lambda *_, **__: None)
        yield


def _code_of(command: str, *arguments: str) -> int:
    """The exit code of a command that runs in this process."""
    from segtrain.cli import entry

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [command, *arguments])
        try:
            getattr(entry, command)()
        except SystemExit as stop:
            return stop.code
    return 0


@pytest.fixture
def run(monkeypatch, capfd, tmp_path):
    """Runs a command of segtrain in this process: `run("segtrain", "max_steps=1")`. Its folders are run1,
    run2 and so on."""
    monkeypatch.chdir(tmp_path)
    folders = (tmp_path / f"run{number}" for number in count(1))

    def call(command: str, *arguments: str) -> Outcome:
        folder = next(folders)
        sweeping = "-m" in arguments
        key = "hydra.sweep.dir=" if sweeping else "hydra.run.dir="
        given = [a.removeprefix(key) for a in arguments if a.startswith(key)]
        reports = (sweeping and command == "segtrain") or "compare=true" in arguments
        if reports and not any(a.startswith("report=") for a in arguments):
            arguments = (*arguments, "report=false")  # three seconds; a test that wants one says so
        folder = Path(given[-1]) if given else folder
        code = _code_of(command, *arguments, *([] if given else [f"{key}{folder}"]))
        out, err = capfd.readouterr()
        return Outcome(code, out, err, folder)

    call.folders = folders
    return call


@pytest.fixture(scope="session")
def _trained(tmp_path_factory):
    """The run of `tiny()` without arguments, made before anything is patched."""
    out, err, root = StringIO(), StringIO(), tmp_path_factory.mktemp("tiny")
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(root)
        code = _code_of("segtrain", *TINY, *FAST, f"hydra.run.dir={root}/run1")
    return Outcome(code, out.getvalue(), err.getvalue(), root / "run1")


@pytest.fixture
def tiny(run, _trained):
    """A tiny training run of two steps on `shapes`, with further arguments on top. Without them it is a copy
    of one that was trained once for all tests."""

    def call(*arguments: str) -> Outcome:
        if arguments:
            return run("segtrain", *TINY, *FAST, *arguments)
        folder = next(run.folders)
        shutil.copytree(_trained.folder, folder)
        return Outcome(_trained.code, _trained.out, _trained.err, folder)

    return call


@pytest.fixture
def homeless(monkeypatch):
    """Nobody's home folder is known, as in a container whose user number has no name."""

    def nobody(_: object) -> None:
        raise KeyError

    monkeypatch.setattr("pwd.getpwuid", nobody)
    monkeypatch.setattr("pwd.getpwnam", nobody)
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)


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

"""A sample of every promise of `make stress` in each run of the tests."""

import pytest

from scripts.stress import NAMES, promise

# Those that take longest have tests of their own beside: of signals, crafted files, process groups, resumes.
LONG = ("stop", "hostile", "ends", "twice")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in NAMES]
)
def test_the_promise_is_kept(name, tmp_path):
    checked = promise(name)
    assert checked.SAMPLE < checked.FULL
    assert checked.run(checked.SAMPLE, 0, tmp_path)

"""A sample of every promise of `make stress` in each run of the tests."""

import pytest

from scripts.stress import NAMES, promise


@pytest.mark.parametrize("name", NAMES)
def test_the_promise_is_kept(name, tmp_path):
    checked = promise(name)
    assert checked.SAMPLE < checked.FULL
    assert checked.run(checked.SAMPLE, 0, tmp_path)

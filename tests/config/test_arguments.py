"""Values in lists and mappings are checked by the annotation of the parameter that takes them."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from segtrain.config.instantiate import check_arguments
from segtrain.errors import InputError


def takes(
    *, weights: Mapping[str, float] | None = None, sizes: Sequence[int] = (), free: Any = None
) -> None: ...


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"weights": {"out": []}}, "loss.weights.out=[]; give a number"),
        ({"weights": {"out": 1.0, "aux": None}}, "loss.weights.aux=null; give a number"),
        ({"weights": "word"}, "loss.weights=word; give several keys, each a number or null"),
        ({"sizes": "33"}, "loss.sizes=33; give a list, each an integer"),
        ({"sizes": [33, "a"]}, "loss.sizes=[33, 'a']; give a list, each an integer"),
    ],
)
def test_the_value_that_does_not_fit_is_named(given, says):
    with pytest.raises(InputError) as raised:
        check_arguments(takes, given, "loss")
    assert str(raised.value) == says


@pytest.mark.parametrize("free", [None, 1, [1], {"a": None}, "x"])
def test_what_fits_passes(free):
    check_arguments(takes, {"weights": {"out": 1, "aux": 0.4}, "sizes": [3, 4], "free": free}, "loss")
    check_arguments(takes, {"weights": None, "sizes": (3,)}, "loss")

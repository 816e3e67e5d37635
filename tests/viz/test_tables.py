"""Numbers as tables show them."""

import pytest

from segtrain.viz.tables import number


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.0123, "0.0123"), (3.214, "3.21"), (999.4, "999"), (999.6, "1,000"), (1840.2, "1,840")],
)
def test_numbers_have_three_digits_and_no_exponent_below_a_billion(value, text):
    assert number(value) == text


def test_a_difference_has_its_sign():
    assert number(1840.2, "+") == "+1,840"
    assert number(-1.5, "+") == "-1.5"

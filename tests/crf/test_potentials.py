import numpy as np
import pytest

from segtrain.crf.potentials import read_kernels, without_labels
from segtrain.errors import InputError

GAUSSIAN = {"sxy": 3, "compat": 2}
BILATERAL = {"sxy": [40, 60], "srgb": 5, "compat": 4}


def test_any_number_of_kernels_is_read_and_those_without_a_weight_are_left_out():
    kernels = read_kernels([GAUSSIAN, GAUSSIAN | {"compat": 0}], [BILATERAL], channels=3, labels=5)
    assert [k.stds for k in kernels] == [(3, 3), (40, 60, 5, 5, 5)]
    assert [k.compatibility for k in kernels] == [2, 4]
    assert [k.normalization for k in kernels] == ["symmetric", "symmetric"]
    assert read_kernels(None, [], channels=3, labels=5) == []


def test_a_matrix_is_made_symmetric_as_pydensecrf_does():
    (kernel,) = read_kernels(GAUSSIAN | {"compat": [[0, 1], [3, 0]]}, None, channels=3, labels=2)
    assert kernel.compatibility.tolist() == [[0, 2], [2, 0]]


def test_labels_that_are_left_out_leave_the_matrix():
    matrix = np.arange(9).reshape(3, 3)
    kernels = read_kernels(GAUSSIAN | {"compat": matrix + matrix.T}, None, channels=3, labels=3)
    (kernel,) = without_labels(kernels, np.array([0, 2]))
    assert kernel.compatibility.tolist() == [[0, 8], [8, 16]]


@pytest.mark.parametrize(
    ("gaussian", "bilateral", "words"),
    [
        (
            {"sxy": 0, "compat": 3},
            None,
            r"gaussian\.sxy must be a finite number above 0, or 2 of them, got 0; g",
        ),
        (
            {"sxy": float("inf"), "compat": 3},
            None,
            r"dense_crf\.gaussian\.sxy must be .* got inf; give a std",
        ),
        ({"sxy": "three", "compat": 3}, None, r"dense_crf\.gaussian\.sxy must be .* got 'three'; give a std"),
        (
            {"sxy": [1, 2, 3], "compat": 3},
            None,
            r"dense_crf\.gaussian\.sxy must be .* or 2 of them, got \[1, 2, 3\]",
        ),
        ([GAUSSIAN, {"sxy": -1, "compat": 3}], None, r"dense_crf\.gaussian\[1\]\.sxy must be .* got -1"),
        (
            None,
            {"sxy": 3, "compat": 3},
            r"bilateral must have the keys sxy, srgb, compat .*, got sxy, compat; give",
        ),
        (
            None,
            BILATERAL | {"rgbim": 1},
            r"dense_crf\.bilateral must have the keys .* got .*rgbim; give \{sxy: 3",
        ),
        (
            3,
            None,
            r"dense_crf\.gaussian must be a kernel, a list of kernels or null, got 3; give \{sxy: 3, compat",
        ),
        (None, [3], r"dense_crf\.bilateral must be a kernel, a list of kernels or null, got \[3\]"),
        (
            None,
            BILATERAL | {"srgb": [1, 2]},
            r"bilateral\.srgb must be .* or 3 of them, got \[1, 2\]; .* grey levels",
        ),
        (
            GAUSSIAN | {"compat": [1, 2]},
            None,
            r"compat must be a finite number, 5 or 5×5 of them, got \[1, 2\]; give",
        ),
        (GAUSSIAN | {"compat": [[1, 2], [3]]}, None, r"dense_crf\.gaussian\.compat must be"),
        (GAUSSIAN | {"compat": float("nan")}, None, r"dense_crf\.gaussian\.compat must be .* got nan"),
        (
            GAUSSIAN | {"normalization": "mean"},
            None,
            r"must be symmetric, before, after or none, got 'mean'; symm",
        ),
    ],
)
def test_what_does_not_fit_is_named(gaussian, bilateral, words):
    with pytest.raises(InputError, match=words):
        read_kernels(gaussian, bilateral, channels=3, labels=5)

"""MATLAB files, as SciPy writes them, whole and damaged."""

import random

import numpy as np
import pytest
from scipy.io import savemat

from segtrain.data.io.mat import read_mat
from segtrain.errors import InputError

PLACE = ("GTcls", "Segmentation")


def write(path, labels, *, packed):
    """As SBD's files: a struct among others, one field of it the labels."""
    fields = {"Boundaries": np.zeros((2, 3)), "Segmentation": labels, "CategoriesPresent": [1, 2]}
    savemat(path, {"text": "words", "GTcls": fields, "one": labels}, do_compression=packed)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "f4", "f8", "i8", "bool"])
def test_labels_of_every_type_are_those_that_were_written(tmp_path, dtype, packed):
    labels = np.arange(35).reshape(5, 7).astype(dtype)
    write(tmp_path / "a.mat", labels, packed=packed)
    assert np.array_equal(read_mat(tmp_path / "a.mat", PLACE), labels)
    assert np.array_equal(read_mat(tmp_path / "a.mat", ("one",)), labels)


@pytest.mark.parametrize("packed", [False, True])
def test_damaged_files_are_read_or_refused(tmp_path, packed):
    write(tmp_path / "a.mat", np.ones((9, 4), np.uint8), packed=packed)
    whole, rng = (tmp_path / "a.mat").read_bytes(), random.Random(0)
    refused = 0
    for _ in range(300):
        spoilt = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            spoilt[rng.randrange(128, len(spoilt))] = rng.randrange(256)
        (tmp_path / "b.mat").write_bytes(spoilt[: rng.choice((len(spoilt), rng.randrange(len(spoilt))))])
        try:
            read_mat(tmp_path / "b.mat", PLACE)
        except InputError:
            refused += 1
    assert refused > 150


def test_a_file_of_version_4_is_named(tmp_path):
    savemat(tmp_path / "a.mat", {"S": np.zeros((40, 40))}, format="4")
    with pytest.raises(InputError, match="no MATLAB file of level 5"):
        read_mat(tmp_path / "a.mat", ("S",))

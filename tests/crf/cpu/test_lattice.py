import numpy as np
import pytest
import torch

pytest.importorskip("numba")

from numba import njit

from segtrain.crf.cpu import vectors as v
from segtrain.crf.cpu.lattice import lattice
from segtrain.crf.torch_backend.lattice import LatticeFilter, torch_lattice
from tests.crf.conftest import photograph

HEIGHT, WIDTH, STDS = 14, 300, (9, 7, 12, 15, 18)


@pytest.fixture(scope="module")
def made():
    image = photograph(HEIGHT, WIDTH)
    return lattice(HEIGHT, WIDTH, np.array(image.reshape(-1, 3).T, np.float32, order="C"), STDS)


def test_the_weights_of_a_pixel_are_barycentric_and_its_vertices_are_different(made):
    assert made.weights.min() >= -1e-5
    assert np.allclose(made.weights.sum(1), 1, atol=1e-5)
    assert (np.diff(np.sort(made.vertices, 1), axis=1) > 0).all()


def test_vertices_are_numbered_in_the_order_in_which_pixels_meet_them(made):
    _, first = np.unique(made.vertices.ravel(), return_index=True)
    assert np.array_equal(np.argsort(first), np.arange(len(first)))
    assert made.vertices.min() == 1
    assert made.vertices.max() == made.neighbours.shape[1] - 1


def test_neighbours_are_mutual_and_vertex_0_has_none(made):
    for one, two in made.neighbours.transpose(0, 2, 1):
        assert one[0] == two[0] == 0
        there = np.flatnonzero(one)
        assert np.array_equal(two[one[there]], there)
        assert np.array_equal(np.flatnonzero(two), np.sort(one[there]))


def test_sorting_finds_the_vertices_that_hashing_finds(made):
    image = photograph(HEIGHT, WIDTH).astype(np.float32)
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    features = np.dstack([x, y, image]).reshape(1, -1, 5) / np.array(STDS, np.float32)
    sorted_ = torch_lattice(torch.from_numpy(features))
    assert sorted_.neighbours.shape[2] == made.neighbours.shape[1]
    assert torch.equal(sorted_.weights, torch.from_numpy(made.weights))
    renumbered = np.zeros(made.neighbours.shape[1], int)
    renumbered[made.vertices.ravel()] = sorted_.vertices.flatten()
    assert np.array_equal(renumbered[made.vertices], sorted_.vertices)
    assert np.array_equal(
        renumbered[made.neighbours].transpose(0, 2, 1), sorted_.neighbours[:, :, renumbered]
    )
    ones = LatticeFilter.apply(torch.ones(len(sorted_.vertices), 1), sorted_)[:, 0]
    assert torch.allclose(ones, torch.from_numpy(made.ones), rtol=1e-5)


@pytest.mark.parametrize("eights", [1, 2, 3])
def test_a_row_of_labels_is_worked_on_as_by_numpy(eights):
    width, labels = (0,) * eights, 8 * eights

    @njit
    def apply(x, y):
        first, second = v.load_row(x, 0, width), v.load_row(y, 0, width)
        out = np.empty((5, labels), np.float32)
        v.store(out, 0, v.exp(first))
        v.store(out, 1 * labels, v.add_scaled(first, 0.5, second))
        v.store(out, 2 * labels, v.multiply(first, v.shift(second, 2.0)))
        v.store(out, 3 * labels, v.scale(v.add(first, second), 3.0))
        v.store(out, 4 * labels, v.zeros(width))
        return out, v.total(first), v.largest_where(first, second), v.first_largest(first)

    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 9, (2, labels)).astype(np.float32)
    x[[3, 5, -1]] = 30, 30, 20
    y[[3, 5]] = -1
    y[-1] = 1
    rows, total, largest, index = apply(x, y)
    assert np.allclose(rows[0], np.exp(x), rtol=2e-6)
    assert np.allclose(rows[1:], [x + y / 2, x * (y - 2), (x + y) * 3, 0 * x], rtol=1e-5, atol=1e-5)
    assert np.isclose(total, x.sum(), rtol=1e-5)
    assert largest == x[y > 0].max() == 20
    assert index == 3


def test_exponentials_are_neither_denormal_nor_infinite():
    @njit
    def exp(x):
        v.store(x, 0, v.exp(v.load_row(x, 0, (0,))))

    x = np.array([-1e4, -50, -41, 0, 80, 88, 1e4, 1e9], np.float32)
    exp(x)
    assert np.isfinite(x).all()
    assert x.min() == np.float32(2.0**-60)
    assert np.allclose(x[2:5], np.exp(np.array([-41, 0, 80.0])), rtol=1e-5)

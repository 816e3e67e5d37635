import numpy as np
import pytest

from segtrain.data.augment.elastic import ElasticGrid
from segtrain.engine.loader import Augmented
from segtrain.errors import InputError

SIZE = 99
CENTRES = slice(16, None, 33)  # of 3 cells along 99 pixels


def field(transform, *, size=SIZE, seed=5):
    """The displacements of one draw, H×W×2 (columns, rows)."""
    transform.set_random_state(np.random.default_rng(seed), None)
    maps = transform.get_params_dependent_on_data({"shape": (size, size, 3)}, {})
    return np.stack([maps["columns"] - np.arange(size), maps["rows"] - np.arange(size)[:, None]], -1)


def test_unets_vectors_are_gaussian_and_stand_at_the_centres_of_the_cells():
    transform = ElasticGrid(grid=3, displacement=10)
    drawn = np.random.default_rng(5).normal(0, 10, (3, 3, 2))
    assert np.allclose(field(transform)[CENTRES, CENTRES], drawn, atol=1e-3)
    vectors = [field(transform, seed=seed)[CENTRES, CENTRES] for seed in range(200)]
    assert np.std(vectors) == pytest.approx(10, rel=0.05)


def test_fusionnets_vectors_are_bounded_and_zero_at_the_border():
    transform = ElasticGrid(
        grid=8, displacement=8, distribution="uniform", interpolation="linear", still_border=True
    )
    fields = np.stack([field(transform, size=88, seed=seed) for seed in range(50)])
    assert 7.5 < np.abs(fields).max() <= 8
    assert np.allclose(fields[:, [0, 5, -6, -1]], 0, atol=1e-4)
    assert np.allclose(fields[:, :, [0, 5, -6, -1]], 0, atol=1e-4)


def test_the_field_is_smooth():
    assert np.abs(np.diff(field(ElasticGrid(grid=3, displacement=10)), axis=0)).max() < 2


def test_a_displacement_of_zero_changes_nothing():
    image = np.random.default_rng(0).integers(0, 255, (31, 47, 3), np.uint8)
    moved = ElasticGrid(grid=3, displacement=0)(image=image, mask=image[..., 0])
    assert (moved["image"] == image).all()
    assert (moved["mask"] == image[..., 0]).all()


def test_what_comes_from_outside_is_mirrored_in_image_and_mask():
    moved = ElasticGrid(grid=2, displacement=60)(
        image=np.full((40, 50, 3), 7, np.uint8), mask=np.full((40, 50), 2, np.uint8)
    )
    assert (moved["image"] == 7).all()
    assert (moved["mask"] == 2).all()


def test_the_deformation_is_a_function_of_seed_epoch_and_index():
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    samples = [(image, image[..., 0], "a"), (image, image[..., 0], "b")]
    first, again = (Augmented(samples, [ElasticGrid(grid=3, displacement=10)], seed=3) for _ in range(2))
    first[0, 1]  # has no influence on the next
    assert (first[1, 0].image == again[1, 0].image).all()
    for other in (again[0, 0], again[1, 1]):
        assert (first[1, 0].image != other.image).any()


@pytest.mark.parametrize("wrong", [{"grid": 1, "displacement": 1}, {"grid": 3, "displacement": -1}])
def test_a_grid_or_displacement_that_cannot_be_is_refused(wrong):
    with pytest.raises(InputError, match="grid"):
        ElasticGrid(**wrong)

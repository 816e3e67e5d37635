import pytest

from segtrain.schedules import Constant, Cosine, Poly, Step


def test_poly_at_its_worked_points():
    poly = Poly(power=0.9)
    assert poly(0, 100) == 1
    assert poly(50, 100) == pytest.approx(0.5359, abs=1e-4)
    assert poly(90, 100) == pytest.approx(0.1259, abs=1e-4)
    assert poly(99, 100) == pytest.approx(0.01585, abs=1e-5)
    assert poly(100, 100) == 0


def test_step_falls_at_every_2000():
    step = Step(every=2000, gamma=0.1)
    assert step(1999, 6000) == 1
    assert step(2000, 6000) == pytest.approx(0.1)
    assert step(4000, 6000) == pytest.approx(0.01)


def test_cosine_ends_at_its_final_factor():
    cosine = Cosine(final=0.1)
    assert cosine(0, 10) == pytest.approx(1)
    assert cosine(5, 10) == pytest.approx(0.55)
    assert cosine(10, 10) == pytest.approx(0.1)


def test_warm_up_rises_evenly_to_the_full_rate():
    constant = Constant(warmup_steps=4)
    assert [constant(s, 100) for s in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])

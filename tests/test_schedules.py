import pytest

from segtrain.errors import InputError
from segtrain.schedules import Constant, Cosine, Plateau, Poly, Step


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


def test_plateau_falls_after_validations_without_a_better_one():
    schedule = Plateau(factor=0.5, patience=2, smallest=0.2, warmup_steps=1)
    assert [schedule(step, 10) for step in range(3)] == [0.5, 1.0, 1.0]
    factors = []
    for metric in (0.3, 0.2, 0.3, 0.4, 0.4, 0.4, 0.1, 0.1):
        schedule.react(metric)
        factors.append(schedule(5, 10))
    assert factors == [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.2]
    other = Plateau(factor=0.5, patience=2, smallest=0.2)
    other.restore(schedule.state())
    assert other.state() == schedule.state()


@pytest.mark.parametrize("keys", [{"factor": 1.0}, {"factor": 0.0}, {"patience": 0}])
def test_plateau_refuses_what_would_change_nothing(keys):
    with pytest.raises(InputError):
        Plateau(**keys)

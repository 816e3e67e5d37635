"""When a run is over, and which states it keeps."""

import os
from types import SimpleNamespace

import pytest

from segtrain.engine.numbered import keep_numbered
from segtrain.engine.stopping import is_over, note_validation, stopped_words, stops_early


def state_of(early_stop=2, max_steps=10):
    settings = SimpleNamespace(early_stop=early_stop, max_steps=max_steps)
    return SimpleNamespace(
        settings=settings, schedule=lambda *_: 1.0, step=0, best=-1.0, best_step=0, waited=0, validated=-1
    )


def validate(state, *scores):
    better = []
    for score in scores:
        state.step += 1
        better.append(note_validation(state, score))
    return better


def test_a_run_ends_after_so_many_validations_without_a_better_one():
    state = state_of(early_stop=2)
    assert validate(state, 0.1, 0.3, 0.2) == [True, True, False]
    assert not is_over(state)
    assert validate(state, 0.3) == [False]  # as good is no better
    assert is_over(state)
    assert (state.best, state.best_step, state.waited) == (0.3, 2, 2)
    words = stopped_words(state)
    assert "stopped at step 4 of 10: no better mean IoU in 2 validations (early_stop=2)" in words
    assert "the best was 30.0 % at step 2" in words


@pytest.mark.parametrize("early_stop", [0, None])
def test_without_early_stop_a_run_ends_at_max_steps_alone(early_stop):
    state = state_of(early_stop=early_stop, max_steps=5)
    validate(state, *[0.1] * 4)
    assert not is_over(state)
    validate(state, 0.1)
    assert is_over(state)
    assert stopped_words(state) is None
    assert not stops_early(100, early_stop)


def test_the_validation_of_a_run_that_is_resumed_at_its_end_counts_once():
    state = state_of(early_stop=2)
    validate(state, 0.2, 0.1, 0.1)
    assert state.waited == 2
    assert not note_validation(state, 0.1)
    assert state.waited == 2


def save(folder, step, time):
    last = folder / "last.ckpt"
    last.unlink(missing_ok=True)
    last.write_text(str(step))
    os.utime(last, (time, time))
    keep_numbered(last, step, 2)
    return sorted(path.name for path in folder.glob("step_*"))


def test_the_oldest_states_are_deleted(tmp_path):
    assert save(tmp_path, 9, 1) == ["step_9.ckpt"]
    assert save(tmp_path, 10, 2) == ["step_10.ckpt", "step_9.ckpt"]
    assert save(tmp_path, 11, 3) == ["step_10.ckpt", "step_11.ckpt"]
    assert (tmp_path / "step_10.ckpt").read_text() == "10"
    assert not list(tmp_path.glob(".unfinished*"))
    # Resumed from step 4: what was saved later in the run before is older.
    assert save(tmp_path, 5, 4) == ["step_11.ckpt", "step_5.ckpt"]


def test_states_are_kept_on_file_systems_without_links(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    assert save(tmp_path, 1, 1) == ["step_1.ckpt"]
    assert (tmp_path / "step_1.ckpt").read_text() == "1"

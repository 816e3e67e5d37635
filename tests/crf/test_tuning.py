import itertools
import math
import threading
import time

import numpy as np
import pytest

from segtrain.crf import dense_crf_labels
from segtrain.crf.pipeline import refine_in_threads
from segtrain.crf.tuning import Examples, search, trials_in, with_values
from tests.crf.conftest import network_softmax, photograph

RANGES = {"bilateral.sxy": (10, 40, 160), "bilateral.compat": (1, 4, 16), "gaussian.sxy": (3,)}


def distance(values):
    """A score that is best at sxy 55 and compat 3."""
    return -abs(math.log(values["bilateral.sxy"] / 55)) - abs(math.log(values["bilateral.compat"] / 3))


def test_the_search_closes_in_on_the_best():
    best = [search(distance, RANGES, rounds=rounds)[0] for rounds in (1, 2, 3, 4)]
    assert best[0].values == {"bilateral.sxy": 40, "bilateral.compat": 4, "gaussian.sxy": 3}
    assert [b.score for b in best] == sorted(b.score for b in best)
    assert best[-1].score > -0.2


def test_the_search_leaves_a_range_at_whose_end_the_best_is():
    best = search(lambda values: values["x"], {"x": (1, 2, 4)}, rounds=3)[0]
    assert best.values["x"] == pytest.approx(4 * 2**0.5 * 2**0.25, rel=0.01)


def test_nothing_is_tried_twice_and_every_trial_is_reported():
    seen = []
    trials = search(distance, RANGES, rounds=3, on_trial=seen.append)
    tried = [tuple(trial.values.values()) for trial in seen]
    assert len(set(tried)) == len(tried) == len(trials) <= trials_in(RANGES, rounds=3) == 9 + 8 + 8
    assert trials[0].score == max(trial.score for trial in seen)


def test_values_are_put_where_their_names_point_and_the_rest_stays():
    parameters = {"iterations": 5, "gaussian": {"sxy": 3}, "bilateral": {"sxy": 80, "srgb": 13}}
    changed = with_values(parameters, {"bilateral.sxy": 40, "iterations": 7})
    assert changed == {"iterations": 7, "gaussian": {"sxy": 3}, "bilateral": {"sxy": 40, "srgb": 13}}
    assert parameters["bilateral"]["sxy"] == 80


def test_images_that_are_kept_are_refined_as_if_they_had_just_been_predicted():
    examples, images, softmaxes = Examples(0.2), [], []
    for seed in range(3):
        images.append(photograph(20, 24, seed))
        softmaxes.append(network_softmax(4, 20, 24, seed))
        examples.add(images[-1], softmaxes[-1], np.full((20, 24), seed))
    parameters = {"iterations": 3, "bilateral": {"sxy": 20, "srgb": 10, "compat": 4}}
    refined = list(examples.labels(parameters))
    assert len(refined) == len(examples) == 3
    for seed, (mask, labels) in enumerate(refined):
        assert (mask == seed).all()
        expected = dense_crf_labels(images[seed], softmaxes[seed], **parameters)
        assert (labels == expected).mean() > 0.995


def test_images_come_in_order_and_no_more_of_them_than_threads_are_held():
    lock, held, most = threading.Lock(), 0, 0

    def network():
        nonlocal held, most
        for i in range(12):
            with lock:
                held += 1
                most = max(most, held)
            yield i, np.zeros(1), np.full(1, i)

    def refine(image, probabilities):
        time.sleep(0.002 * (probabilities[0] % 3))
        return probabilities * 10

    done = []
    for i, refined in refine_in_threads(refine, network(), threads=2):
        with lock:
            held -= 1
        done.append((i, refined[0]))
    assert done == [(i, 10 * i) for i in range(12)]
    assert most <= 3  # two being refined, and the next


def test_the_network_goes_on_while_images_are_refined():
    second_was_asked_for = threading.Event()

    def network():
        yield 0, None, None
        second_was_asked_for.set()
        yield 1, None, None

    refined = list(refine_in_threads(lambda *_: second_was_asked_for.wait(5), network(), threads=1))
    assert refined == [(0, True), (1, True)]


def test_a_fault_in_a_thread_reaches_the_caller():
    def refine(image, probabilities):
        raise MemoryError

    with pytest.raises(MemoryError):
        list(refine_in_threads(refine, ((i, None, None) for i in itertools.count()), threads=2))

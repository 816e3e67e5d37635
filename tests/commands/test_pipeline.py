"""Images through reading, the network and writing at once: with events instead of a clock."""

import errno
import threading

import numpy as np
import pytest

from segtrain.commands.pipeline import READERS, Loaded, Pipeline
from segtrain.errors import InputError, SaveError

SECONDS = 20  # until an event that does not come


def loaded(name, path=None, size=4) -> Loaded:
    return Loaded(name, path, {}, np.zeros((size, size, 3), np.uint8), None)


def images(count):
    return [(str(i), None) for i in range(count)]


def test_the_next_image_is_read_and_the_last_written_while_the_network_works():
    read, begun = ([threading.Event() for _ in range(6)] for _ in range(2))
    trace = []

    def load(name, path):
        read[int(name)].set()
        return loaded(name)

    def predict(batch):
        (one,) = batch
        number = int(one.name)
        begun[number].set()
        if number < 5:
            assert read[number + 1].wait(SECONDS), "the next image is not read meanwhile"
        return [number]

    def write(one, predicted):
        if predicted < 5:
            assert begun[predicted + 1].wait(SECONDS), "the network waits for the writer"
        trace.append(predicted)

    assert Pipeline(load, predict, write).run(images(6)) == []
    assert trace == list(range(6))


def test_images_of_one_size_are_predicted_together_and_written_in_order():
    sizes, batches, written = [4, 4, 4, 8, 8, 4], [], []

    def predict(batch):
        batches.append([one.name for one in batch])
        return [one.name for one in batch]

    Pipeline(
        lambda name, path: loaded(name, size=sizes[int(name)]),
        predict,
        lambda one, predicted: written.append((one.name, predicted)),
        batch_size=2,
    ).run(images(6))
    assert batches == [["0", "1"], ["2"], ["3", "4"], ["5"]]
    assert written == [(str(i), str(i)) for i in range(6)]


def test_an_image_that_fails_keeps_the_others_and_the_order():
    def load(name, path):
        if name == "1":
            raise InputError("1: cannot be read")
        return loaded(name)

    def predict(batch):
        if any(one.name == "2" for one in batch):
            raise InputError("2: too small")
        return [one.name for one in batch]

    def write(one, predicted):
        if one.name == "0":
            raise SaveError("0: name too long")
        written.append(predicted)

    written: list[str] = []
    pipeline = Pipeline(load, predict, write, batch_size=3)
    failures = pipeline.run(images(5))
    assert [str(failure) for failure in failures] == [
        "0: name too long",
        "1: cannot be read",
        "2: too small",
    ]
    assert written == ["3", "4"]
    assert pipeline.done == 5


def test_a_full_disk_ends_it_and_nothing_more_is_written():
    written = []

    def write(one, predicted):
        if one.name == "1":
            raise SaveError.of("x", OSError(errno.ENOSPC, "full"))
        written.append(one.name)

    with pytest.raises(SaveError, match="full"):
        Pipeline(lambda name, path: loaded(name), lambda batch: batch, write).run(images(9))
    assert written == ["0"]


def test_what_is_in_hand_when_it_is_stopped_is_finished():
    written = []
    pipeline = Pipeline(
        lambda name, path: loaded(name),
        lambda batch: batch,
        lambda one, predicted: written.append(one.name),
        should_stop=lambda: len(written) >= 2,
    )
    pipeline.run(images(9))
    assert written == ["0", "1"]
    assert pipeline.done == 2


def test_few_images_are_read_before_their_turn():
    read, most = [], []

    def predict(batch):
        most.append(len(read) - int(batch[0].name))
        return batch

    def load(name, path):
        read.append(name)
        return loaded(name)

    Pipeline(load, predict, lambda one, predicted: None).run(images(30))
    assert max(most) <= 1 + READERS + 1

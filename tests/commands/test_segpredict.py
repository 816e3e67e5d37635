"""Labels and overlays of images, folders, lists and videos."""

import os
import shutil
import signal

import cv2
import numpy as np
import pytest
from PIL import Image

from segtrain.commands import predict
from segtrain.commands.inputs import find_images
from segtrain.evaluation.predictor import Predictor

EVAL = ["device=cpu", "precision=32"]
SIZES = {"a.jpg": (40, 33), "b.png": (21, 50), "more/a.png": (9, 9)}


@pytest.fixture
def folder(tmp_path):
    """Images of three sizes, one below the others."""
    below = tmp_path / "images" / "more"
    below.mkdir(parents=True)
    for path, size in SIZES.items():
        Image.effect_noise(size, 60).convert("RGB").save(below.parent / path)
    return below.parent


def read(path):
    """Mode, (width, height) and values of an image."""
    with Image.open(path) as image:
        return image.mode, image.size, np.asarray(image)


def test_a_folder_gets_labels_in_the_palette_and_overlays_of_the_same_names(tiny, run, folder, tmp_path):
    done = run("segpredict", f"ckpt={tiny().folder}", f"input={folder}", *EVAL)
    assert done.code == 0, done.err
    assert "3 images" in done.out
    for path, size in SIZES.items():
        name = path.rpartition(".")[0]
        mode, labels_size, labels = read(done.folder / f"labels/{name}.png")
        assert (mode, labels_size) == ("P", size)
        assert labels.max() < 7
        assert read(done.folder / f"overlays/{name}.jpg")[1] == size


def test_what_is_there_is_not_done_again(tiny, run, folder, tmp_path):
    trained = tiny().folder
    first = run("segpredict", f"ckpt={trained}", f"input={folder}", *EVAL)
    (first.folder / "labels/a.png").write_bytes(b"kept")
    (first.folder / "labels/b.png").unlink()
    shutil.copytree(first.folder, tmp_path / "run3")
    again = run("segpredict", f"ckpt={trained}", f"input={folder}", *EVAL)
    assert again.code == 0, again.err
    assert (tmp_path / "run3/labels/a.png").read_bytes() == b"kept"
    assert (tmp_path / "run3/labels/b.png").is_file()


def test_what_is_wanted_later_is_made_later(tiny, run, folder, tmp_path):
    trained = tiny().folder
    first = run("segpredict", f"ckpt={trained}", f"input={folder}", "overlay=0", *EVAL)
    shutil.copytree(first.folder, tmp_path / "run3")
    (tmp_path / "run3/labels/a.png").unlink()
    again = run("segpredict", f"ckpt={trained}", f"input={folder}", "probabilities=true", *EVAL)
    assert again.code == 0, again.err
    assert "3 images: run3" in again.out
    assert len(list((tmp_path / "run3/probabilities").rglob("*.npy"))) == 3
    assert len(list((tmp_path / "run3/overlays").rglob("*.jpg"))) == 3


def test_labels_of_something_else_are_not_added_to(tiny, run, folder, tmp_path):
    trained = tiny().folder
    first = run("segpredict", f"ckpt={trained}", f"input={folder}", *EVAL)
    for copy, (argument, key) in {"run3": ("crf=true", "dense_crf"), "run4": ("ckpt=b.ckpt", "ckpt")}.items():
        shutil.copytree(first.folder, tmp_path / copy)
        shutil.copy(trained / "checkpoints/best.ckpt", tmp_path / "b.ckpt")
        choice = [] if "ckpt" in argument else [f"ckpt={trained}"]
        done = run("segpredict", *choice, argument, f"input={folder}", *EVAL)
        assert done.code == 2
        assert done.err == (
            f"segpredict: output={copy}: the labels there come from another {key};"
            " choose another output=, or remove that one\n"
        )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_run_says_how_to_go_on(tiny, run, folder, monkeypatch, number, code):
    write = predict.Writer.write

    def stopped_by_the_first(*arguments):
        write(*arguments)
        os.kill(os.getpid(), number)

    trained = tiny().folder
    monkeypatch.setattr(predict.Writer, "write", stopped_by_the_first)
    done = run("segpredict", f"ckpt={trained}", f"input={folder}", *EVAL)
    assert done.code == code
    after = f"stopped by {number.name} after 1 of 3 images; to continue, run it again with output=run2"
    assert done.err == f"segpredict: {after}\n"
    left = sorted(str(p.relative_to(done.folder)) for p in done.folder.rglob("*") if p.is_file())
    assert left == ["config.yaml", "labels/a.png", "made_from.json", "overlays/a.jpg"]


def test_a_file_that_cannot_be_written_whole_is_not_there(tiny, run, folder, monkeypatch):
    def fails(file, array):
        file.write(b"half")
        raise OSError("No space left on device")

    trained = tiny().folder
    monkeypatch.setattr(np, "save", fails)
    done = run("segpredict", f"ckpt={trained}", f"input={folder}", "probabilities=true", *EVAL)
    assert done.code == 4
    assert "a.npy: could not be written (No space left on device)" in done.err
    assert [p.name for p in done.folder.rglob("*") if p.is_file()] == ["config.yaml"]


def test_probabilities_are_only_made_for_who_wants_them(tiny, run, folder, monkeypatch):
    trained = tiny().folder
    monkeypatch.setattr(Predictor, "__call__", lambda *_: pytest.fail("they were made"))
    done = run("segpredict", f"ckpt={trained}", f"input={folder}", *EVAL)
    assert done.code == 0, done.err


def test_the_crf_refines_what_is_written(tiny, run, folder):
    arguments = [f"ckpt={tiny().folder}", f"input={folder}/a.jpg", "probabilities=true", *EVAL]
    plain, refined = (
        run("segpredict", *arguments),
        run("segpredict", *arguments, "crf=true", "dense_crf.backend=torch"),
    )
    assert refined.code == 0, refined.err
    before, after = (np.load(done.folder / "probabilities/a.npy") for done in (plain, refined))
    assert not np.allclose(before, after, atol=1e-2)
    assert (read(refined.folder / "labels/a.png")[2] == after.astype(np.float32).argmax(0)).mean() > 0.99


def test_a_runs_own_output_is_not_annotated(folder):
    found = find_images(folder, folder / "more")
    assert [name for name, _ in found] == ["a", "b"]


def test_probabilities_and_a_legend_on_request(tiny, run, folder):
    options = ["probabilities=true", "legend=true"]
    done = run("segpredict", f"ckpt={tiny().folder}", f"input={folder}/a.jpg", *options, *EVAL)
    probabilities = np.load(done.folder / "probabilities/a.npy")
    assert (probabilities.shape, probabilities.dtype) == ((7, 33, 40), np.float16)
    labels = read(done.folder / "labels/a.png")[2]
    assert (np.take_along_axis(probabilities, labels[None].astype(int), 0)[0] == probabilities.max(0)).all()
    assert read(done.folder / "overlays/a.jpg")[1][0] > 40 + 24


def test_a_list_names_images_beside_it(tiny, run, folder):
    (folder / "some.txt").write_text("b.png\nmore/a.png\n")
    done = run("segpredict", f"ckpt={tiny().folder}", f"input={folder}/some.txt", "overlay=0", *EVAL)
    assert sorted(str(p.relative_to(done.folder)) for p in done.folder.rglob("*.*g")) == [
        "labels/b.png",
        "labels/more/a.png",
    ]


def test_a_broken_image_is_named_when_the_others_are_done(tiny, run, folder):
    (folder / "aa.jpg").write_bytes(b"no image")
    done = run("segpredict", f"ckpt={tiny().folder}", f"input={folder}", *EVAL)
    assert done.code == 2
    assert "aa.jpg: cannot be read" in done.err
    assert len(list((done.folder / "labels").rglob("*.png"))) == 3


def test_a_video_becomes_a_video_of_overlays(tiny, run, tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "in.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 5, (64, 48))
    for value in (0, 90, 200):
        writer.write(np.full((48, 64, 3), value, np.uint8))
    writer.release()
    done = run("segpredict", f"ckpt={tiny().folder}", f"input={tmp_path}/in.mp4", *EVAL)
    assert done.code == 0, done.err
    video = cv2.VideoCapture(str(done.folder / "in.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    assert video.read()[1].shape == (48, 64, 3)


def test_what_makes_no_sense_for_a_video_is_refused(tiny, run, tmp_path):
    trained = tiny().folder
    (tmp_path / "in.mp4").write_bytes(b"no video")
    for argument, words in (
        ("overlay=0.5", "in.mp4: not a video"),
        ("overlay=0", "overlays are all that a video gets"),
        ("probabilities=true", "give its frames as images"),
    ):
        done = run("segpredict", f"ckpt={trained}", f"input={tmp_path}/in.mp4", argument, *EVAL)
        assert done.code == 2
        assert words in done.err
        assert not list(done.folder.glob("*.mp4"))


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("input=nothing.png", "no such file or folder"),
        ("input=.", "no image in it"),
        ("overlay=2", "overlay must be from 0 to 1, got 2"),
    ],
)
def test_a_mistake_is_said_in_one_line(tiny, run, argument, words, tmp_path, monkeypatch):
    trained = tiny().folder
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    rest = [] if "input" in argument else ["input=."]
    done = run("segpredict", f"ckpt={trained}", argument, *rest, *EVAL)
    assert done.code == 2
    assert words in done.err


def test_two_images_of_one_name_are_refused(tiny, run, folder):
    Image.new("RGB", (4, 4)).save(folder / "a.png")
    done = run("segpredict", f"ckpt={tiny().folder}", f"input={folder}", *EVAL)
    assert done.code == 2
    assert "have one name" in done.err

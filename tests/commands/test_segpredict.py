"""Labels and overlays of images, folders, lists and videos."""

import errno
import os
import re
import shutil
import signal
import threading
from importlib.util import find_spec

import cv2
import numpy as np
import pytest
from PIL import Image

from segtrain.cli import entry
from segtrain.commands import predict
from segtrain.commands.inputs import find_images, is_video
from segtrain.commands.made_from import MadeFrom
from segtrain.commands.video_file import open_video
from segtrain.data.datasets.folder import Folder
from segtrain.data.io.listing import SUFFIXES
from segtrain.distributed.signals import StopSignals
from segtrain.errors import InputError, SaveError
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


@pytest.fixture
def into(monkeypatch):
    """Lets `run` write into one folder: `into(path)`."""
    original = entry.run_command

    def call(output):
        def run_into(command, arguments):
            kept = [a for a in arguments if not a.startswith("hydra.run.dir=")]
            original(command, [*kept, f"output={output}"])

        monkeypatch.setattr(entry, "run_command", run_into)
        return output

    return call


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


def test_a_pattern_means_the_images_that_match(folder, tmp_path):
    out = tmp_path / "out"
    assert find_images(folder / "*.jpg", out) == [("a", folder / "a.jpg")]
    assert find_images(folder / "*/a.*", out) == [("more/a", folder / "more/a.png")]
    every = find_images(folder / "**" / "*", out)
    assert [name for name, _ in every] == ["a", "b", "more/a"]
    assert [name for name, _ in find_images(folder / "**" / "*", folder / "more")] == ["a", "b"]
    with pytest.raises(InputError, match="matches no image"):
        find_images(folder / "*.nothing", out)


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


def test_only_what_the_same_inputs_would_give_is_reused(tiny, run, into, folder, tmp_path):
    trained = tiny().folder

    def made(*arguments):
        """What a run into one folder writes anew."""
        before = {p: p.stat().st_mtime_ns for p in out.rglob("*.*g")} if out.is_dir() else {}
        done = run("segpredict", f"ckpt={trained}", f"input={folder}", *arguments, *EVAL)
        assert done.code == 0, done.err
        now = {p: p.stat().st_mtime_ns for p in out.rglob("*.*g")}
        return sorted(str(p.relative_to(out)) for p, time in now.items() if before.get(p) != time)

    out = into(tmp_path / "out")
    assert len(made()) == 6
    assert made() == []
    Image.effect_noise((30, 30), 60).save(folder / "b.png")
    assert made() == ["labels/b.png", "overlays/b.jpg"]
    status = (folder / "b.png").stat()
    pixels = (folder / "a.jpg").read_bytes()
    (folder / "a.jpg").write_bytes(pixels[:-3] + bytes([pixels[-3] ^ 1]) + pixels[-2:])  # of the same size
    os.utime(folder / "a.jpg", ns=(status.st_atime_ns, status.st_mtime_ns))  # and of an old time
    assert made() == ["labels/a.png", "overlays/a.jpg"]
    assert len([p for p in made("overlay=0.9") if p.startswith("overlays")]) == 3
    assert len([p for p in made("overlay=0.9", "legend=true") if p.startswith("overlays")]) == 3
    assert made("overlay=0") == []
    Image.effect_noise((30, 31), 60).save(folder / "b.png")
    assert made("overlay=0") == ["labels/b.png"]
    assert "overlays/b.jpg" in made("overlay=0.9", "legend=true")


def test_a_killed_run_leaves_nothing_that_passes_for_another(folder, tmp_path):
    settings = {"labels": [1], "overlays": [0.5]}
    record = MadeFrom(tmp_path / "out", settings)
    digests = record.digests(folder / "b.png")
    record.finish("b", settings, digests)
    other = MadeFrom(tmp_path / "out", settings | {"overlays": [0.9]})
    other.begin("b", settings)  # and here it was killed, with overlays of 0.9 written, or not
    again = MadeFrom(tmp_path / "out", settings)
    assert not again.is_current("b", ["overlays"], digests)
    assert again.is_own("b", "overlays")
    again.finish("b", settings, digests)
    with again.path.open("a") as file:
        file.write('{"image": "b", "labels": nu')  # a line cut short says nothing
    cut = MadeFrom(tmp_path / "out", settings)
    assert cut.is_current("b", settings, digests)
    cut.begin("b", ["labels"])
    assert not MadeFrom(tmp_path / "out", settings).is_current("b", ["labels"], digests)


def test_every_file_of_an_image_counts(folder, tmp_path):
    record = MadeFrom(tmp_path / "out", {"labels": 1})
    files = folder / "a.jpg", folder / "b.png"
    before = record.digests(*files)
    assert record.digests(*files) == before
    assert record.digests(*reversed(files)) != before
    files[1].write_bytes(files[1].read_bytes() + b"more")
    assert record.digests(*files) != before


def test_files_of_others_are_not_replaced(tiny, run, into, folder):
    trained = tiny().folder
    (folder / "labels").mkdir()
    (folder / "labels/b.png").write_bytes(b"a mask that somebody drew")
    into(folder)
    done = run("segpredict", f"ckpt={trained}", f"input={folder}/b.png", *EVAL)
    assert done.code == 2
    assert "output=images: labels/b.png is there, and is none of segpredict's" in done.err
    assert (folder / "labels/b.png").read_bytes() == b"a mask that somebody drew"


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
    write, request, arrived = predict.Writer.write, StopSignals._request, threading.Event()

    def arrives(*arguments):
        request(*arguments)
        arrived.set()

    def stopped_by_the_first(*arguments):
        write(*arguments)
        os.kill(os.getpid(), number)  # in the writer's thread; the main one gets it
        assert arrived.wait(120)  # a busy machine's main thread takes a while

    trained = tiny().folder
    monkeypatch.setattr(StopSignals, "_request", arrives)
    monkeypatch.setattr(predict.Writer, "write", stopped_by_the_first)
    done = run("segpredict", f"ckpt={trained}", f"input={folder}", *EVAL)
    assert done.code == code
    after = f"stopped by {number.name} after 1 of 3 images; to continue, run it again with output=run2"
    assert done.err == f"segpredict: {after}\n"
    left = sorted(str(p.relative_to(done.folder)) for p in done.folder.rglob("*") if p.is_file())
    assert left == ["config.yaml", "labels/a.png", "made_from.jsonl", "overlays/a.jpg"]


def test_a_file_that_cannot_be_written_whole_is_not_there(tiny, run, folder, monkeypatch):
    def fails(file, array):
        file.write(b"half")
        raise OSError("No space left on device")

    trained = tiny().folder
    monkeypatch.setattr(np, "save", fails)
    done = run("segpredict", f"ckpt={trained}", f"input={folder}", "probabilities=true", *EVAL)
    assert done.code == 4
    assert "a.npy: could not be written (No space left on device)" in done.err
    assert {p.name for p in done.folder.rglob("*") if p.is_file()} == {"config.yaml", "made_from.jsonl"}


@pytest.mark.parametrize(("number", "others"), [(errno.ENAMETOOLONG, 2), (errno.ENOSPC, 0)])
def test_one_output_that_cannot_be_written_stops_the_others_on_a_full_disk_alone(
    tiny, run, folder, monkeypatch, number, others
):
    write = predict.write_image

    def fails(image, path, **options):
        if path.stem == "a" and path.parent.name == "overlays":
            raise SaveError.of(path, OSError(number, os.strerror(number)))
        write(image, path, **options)

    trained = tiny().folder
    monkeypatch.setattr(predict, "write_image", fails)
    done = run("segpredict", f"ckpt={trained}", f"input={folder}", *EVAL)
    assert done.code == 4
    assert f"overlays/a.jpg: could not be written ({os.strerror(number)})" in done.err
    assert len(list((done.folder / "labels").rglob("*.png"))) == others


def test_a_name_may_be_as_long_as_names_can_be(tiny, run, tmp_path):
    (tmp_path / "long").mkdir()
    Image.new("RGB", (20, 20)).save(tmp_path / "long" / f"{'x' * 251}.png")
    done = run("segpredict", f"ckpt={tiny().folder}", f"input={tmp_path}/long", *EVAL)
    assert done.code == 0, done.err
    assert [len(p.name) for p in (done.folder / "labels").iterdir()] == [255]


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


@pytest.mark.parametrize("up", [".", "..", "../.."])
def test_an_output_above_the_input_hides_no_image_but_its_own(folder, up):
    (folder / up / "overlays").mkdir()
    Image.new("RGB", (4, 4)).save(folder / up / "overlays/a.jpg")
    assert [name for name, _ in find_images(folder, folder / up)] == ["a", "b", "more/a"]


def test_outputs_of_other_runs_are_no_images(folder):
    (folder / "out/labels").mkdir(parents=True)
    Image.new("L", (4, 4)).save(folder / "out/labels/a.png")
    assert "out/labels/a" in [name for name, _ in find_images(folder, folder / "new")]
    (folder / "out/made_from.jsonl").touch()
    assert [name for name, _ in find_images(folder, folder / "new")] == ["a", "b", "more/a"]


def test_hidden_files_are_passed_over_and_every_format_that_trains_is_not(folder):
    for hidden in ("._a.jpg", ".x.png", ".checkpoints/a.png", "__MACOSX/._a.jpg", "more/.y/a.jpg"):
        (folder / hidden).parent.mkdir(exist_ok=True)
        (folder / hidden).write_bytes(b"\0\5\x16\7")
    formats = [f"x_{suffix[1:]}{suffix}" for suffix in SUFFIXES] + ["x_big.PNG"]
    for name in formats:
        (folder / "more" / name).touch()
    (folder / "more/folder.png").mkdir()
    found = [name for name, _ in find_images(folder, folder / "out")]
    assert sorted(found) == sorted(["a", "b", "more/a", *(f"more/{name.split('.')[0]}" for name in formats)])
    hidden = folder.parent / ".mine"  # where all lies may be hidden itself
    folder.rename(hidden)
    assert len(find_images(hidden, folder / "out")) == len(found)


def test_a_folder_of_videos_is_called_one(folder):
    (folder / "only").mkdir()
    (folder / "only/a.MPG").touch()
    with pytest.raises(InputError, match=r"1 videos are given one by one: input=.*a\.MPG"):
        find_images(folder / "only", folder / "out")


@pytest.mark.parametrize(
    "line", ["b.png", "./b.png", "more\\a.png", "../images/b.png", "{}/b.png", "\ufeffb.png"]
)
def test_lists_from_windows_and_from_elsewhere(folder, line):
    (folder / "some.txt").write_bytes(f"{line.format(folder)}\r\n".encode())
    ((name, path),) = find_images(folder / "some.txt", folder / "out")
    assert name == ("more/a" if "more" in line else "b")
    assert path.is_file()


def test_a_list_may_have_comments_and_an_image_twice(folder):
    (folder / "some.txt").write_text("# of today\nb.png\nb.png\n#1.png\n")
    (folder / "#1.png").write_bytes((folder / "b.png").read_bytes())
    names = [name for name, _ in find_images(folder / "some.txt", folder / "out")]
    assert names == ["b", "#1"]


def test_probabilities_and_a_legend_on_request(tiny, run, folder):
    options = ["probabilities=true", "legend=true"]
    done = run("segpredict", f"ckpt={tiny().folder}", f"input={folder}/a.jpg", *options, *EVAL)
    probabilities = np.load(done.folder / "probabilities/a.npy")
    assert (probabilities.shape, probabilities.dtype) == ((7, 33, 40), np.float16)
    labels = read(done.folder / "labels/a.png")[2]
    assert (np.take_along_axis(probabilities, labels[None].astype(int), 0)[0] == probabilities.max(0)).all()
    shown = (labels > 0).any()  # the background is clear, and in no legend
    assert (read(done.folder / "overlays/a.jpg")[1][0] > 40 + 24) == shown


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
    options = ["frame_labels=true", "palette=okabe_ito"]
    done = run("segpredict", f"ckpt={tiny().folder}", f"input={tmp_path}/in.mp4", *options, *EVAL)
    assert done.code == 0, done.err
    assert ("browsers do not play" in done.out) == (find_spec("av") is None)
    assert len(list((done.folder / "labels").iterdir())) == 3
    with Image.open(done.folder / "labels/in_000002.png") as frame:
        assert frame.size == (64, 48)
        assert frame.getpalette()[:6] == [0, 0, 0, 230, 159, 0]
    video = cv2.VideoCapture(str(done.folder / "in.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    assert video.read()[1].shape == (48, 64, 3)


@pytest.mark.parametrize("suffix", ["m4v", "MPG", "wmv", "flv", "3gp", "ts"])
def test_videos_are_known_by_what_opencv_reads(tmp_path, suffix):
    (tmp_path / f"a.{suffix}").touch()
    assert is_video(tmp_path / f"a.{suffix}")


def test_a_video_cut_short_says_how_many_frames_there_were(tiny, run, tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "in.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 5, (64, 48))
    noise = np.random.default_rng(0).integers(0, 256, (12, 48, 64, 3), dtype=np.uint8)
    for frame in noise:
        writer.write(frame)
    writer.release()
    whole = (tmp_path / "in.avi").read_bytes()
    (tmp_path / "in.avi").write_bytes(whole[: len(whole) * 2 // 3])
    done = run("segpredict", f"ckpt={tiny().folder}", f"input={tmp_path}/in.avi", *EVAL)
    assert done.code == 2, done.out
    made = re.search(r"(\d+) of 12 frames can be read, they are in .*in\.mp4", done.err)
    assert made is not None, done.err
    assert 0 < int(made[1]) < 12
    video = cv2.VideoCapture(str(done.folder / "in.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == int(made[1])


def test_predictions_are_masks_of_another_training(tiny, run, folder):
    done = run("segpredict", f"ckpt={tiny().folder}", f"input={folder}", *EVAL)
    labels = done.folder / "labels"
    masks = Folder(root=str(folder.parent), images=folder.name, masks=str(labels), num_classes=7)
    for split in (masks.train, masks.val):
        for i in range(len(split)):
            sample = split[i]
            assert (sample.mask == read(labels / f"{sample.name}.png")[2]).all()


def test_a_video_by_pyav_is_h264_of_even_sides(tmp_path):
    av = pytest.importorskip("av", reason="make install EXTRAS=video")
    file = open_video(tmp_path / "a.mp4", 12.5, (33, 47, 3))
    for value in (0, 120, 250):
        file.write(np.full((33, 47, 3), value, np.uint8))
    file.close()
    with av.open(tmp_path / "a.mp4") as video:
        stream = video.streams.video[0]
        assert (stream.codec.name, stream.pix_fmt, stream.average_rate) == ("h264", "yuv420p", 12.5)
        shown = [frame.to_ndarray(format="rgb24") for frame in video.decode(stream)]
    assert [frame.shape for frame in shown] == [(34, 48, 3)] * 3
    assert abs(float(shown[1].mean()) - 120) < 3


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

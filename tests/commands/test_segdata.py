"""`segdata`: what it says, what it leaves, and its exit codes."""

import json

import numpy as np
import pytest
from PIL import Image

from segtrain.commands import data
from segtrain.config.data_file import adopt_data_files
from segtrain.data.datasets.camvid import COLOURS
from segtrain.data.datasets.folder import Folder
from tests.conftest import FAST
from tests.data.malformed import CLASSES, add, add_broken_files, encoded, labels, noise

SHAPES = ["data=shapes", "data.size=32", "data.train_images=40", "data.val_images=3"]


def colour_masks(labels: np.ndarray) -> np.ndarray:
    """CamVid's labels in its colours; ignored, 255, in one that no class has."""
    table = np.full((256, 3), 77, np.uint8)
    table[:11] = list(COLOURS.values())
    return table[labels]


@pytest.fixture
def streets(tmp_path):
    """Six images with the labels of CamVid as index masks, and as masks in colours."""
    rng = np.random.default_rng(0)
    for i in range(6):
        labels = rng.permuted(np.repeat(np.array([*range(11), 255], np.uint8), 64)).reshape(24, 32)
        contents = {
            f"images/{i}.png": noise(i),
            f"masks/{i}.png": Image.fromarray(labels),
            f"colours/{i}.png": Image.fromarray(colour_masks(labels)),
        }
        for name, image in contents.items():
            (tmp_path / "streets" / name).parent.mkdir(parents=True, exist_ok=True)
            image.save(tmp_path / "streets" / name)
    return tmp_path / "streets"


@pytest.fixture
def folder(streets):
    return ["data=folder", f"data.root={streets}", "data.num_classes=11"]


def report(done) -> list[dict]:
    return json.loads((done.folder / "check.json").read_text())["faults"]


def refused(done, *words):
    assert done.code == 2, done.out + done.err
    (line,) = [line for line in done.err.splitlines() if line.startswith("segdata:")]
    assert "Traceback" not in done.err + done.out
    for word in words:
        assert word in line


def test_a_good_data_set_passes_and_says_how_much_was_read(run, folder):
    done = run("segdata", *folder)
    assert done.code == 0, done.out + done.err
    assert "no fault" in done.out
    assert "4 in train and 2 in val" in " ".join(done.out.split())
    assert report(done) == []


def test_all_faults_are_in_the_report_and_the_first_of_each_kind_on_the_terminal(run, tmp_path):
    root = tmp_path / "photos"
    for i, split in enumerate(("train", "val")):
        add(root, f"good{i}.png", encoded(noise(i)), encoded(labels()), split=split)
    expected = add_broken_files(root)
    positions = ["data.train_split=train", "data.val_split=val", f"data.num_classes={CLASSES}"]
    done = run("segdata", "data=folder", f"data.root={root}", *positions)
    found = report(done)
    refused(done, f"data=folder: {len(found)} faults", "check.json")
    said = {fault["where"].rpartition("/")[2]: fault["what"] for fault in found}
    assert said.keys() == expected.keys()
    assert all(why in said[name] for name, why in expected.items())
    unreadable = sum(fault["kind"] == "unreadable" for fault in found)
    assert f"files that cannot be read: {unreadable}" in done.out
    assert f"and {unreadable - data.SHOWN} more, in the report" in done.out


def test_masks_in_colours_pass_by_the_label_map_that_is_proposed(run, folder, streets):
    coloured = [*folder, "data.masks=colours"]
    done = run("segdata", *coloured)
    refused(done, "6 faults")
    path = done.folder / "label_map.yaml"
    assert f"data.label_map={path.relative_to(path.parent.parent)}" in done.out
    assert '"128,0,0": 1' in path.read_text()
    mapped = run("segdata", *coloured, f"data.label_map={path}")
    assert mapped.code == 0, mapped.out + mapped.err
    for split in ("train", "val"):
        index = getattr(Folder(root=str(streets), num_classes=11), split)
        colour = getattr(
            Folder(root=str(streets), num_classes=11, masks="colours", label_map=str(path)), split
        )
        for i in range(len(index)):
            assert index[i].name == colour[i].name
            assert np.array_equal(index[i].mask, colour[i].mask)
    trained = run("segtrain", *coloured, f"data.label_map={path}", "width=0.0625", *FAST)
    assert trained.code == 0, trained.err


def test_black_and_white_masks_are_asked_about(run, folder, streets):
    for i in range(6):
        white = np.zeros((24, 32), np.uint8)
        white[i:, 4:] = 255
        Image.fromarray(white).save(streets / f"masks/{i}.png")
    folder[-1] = "data.num_classes=2"
    done = run("segdata", *folder)
    refused(done)
    path = done.folder / "label_map.yaml"
    assert '"255": 1' in path.read_text()
    assert run("segdata", *folder, f"data.label_map={path}").code == 0
    assert f"segtrain data={done.folder.name}/data.yaml" in done.out
    assert run("segdata", f"data={done.folder}/data.yaml").code == 0


def test_smooth_masks_are_explained_and_pass_as_it_is_proposed(run, streets):
    for i in range(6):
        white = Image.fromarray(np.kron(np.eye(2, dtype=np.uint8) * 255, np.ones((12, 16), np.uint8)))
        white.save(streets / f"masks/{i}.jpg", quality=70)
        (streets / f"masks/{i}.png").unlink()
    done = run("segdata", "data=folder", f"data.root={streets}")
    refused(done)
    said = " ".join(done.out.split())
    assert "of which 2 fill areas (0; 255): JPEG changes colours" in said
    assert "data.snap=true" in said
    again = run("segdata", f"data={done.folder}/data.yaml")
    assert again.code == 0, again.out
    assert adopt_data_files([f"data={done.folder}/data.yaml"])[0].startswith(f"data={streets.name}")


def test_more_colours_than_classes_are_proposed_as_classes(run, streets):
    done = run("segdata", "data=folder", f"data.root={streets}", "data.masks=colours", "data.num_classes=2")
    refused(done)
    assert "data.num_classes=11" in done.out
    assert run("segdata", f"data={done.folder}/data.yaml", "accept=[unseen]").code == 0


def test_a_data_set_that_takes_no_label_map_is_said_which_does(run, streets):
    for split in ("train", "val"):
        lines = [f"images/{i}.png colours/{i}.png" for i in ("012" if split == "train" else "345")]
        (streets / f"{split}.txt").write_text("\n".join(lines))
    done = run("segdata", "data=camvid", f"data.root={streets}")
    refused(done, "6 faults")
    assert "data=folder does" in done.out


def test_kinds_of_faults_can_be_accepted(run, folder, streets):
    folder[-1] = "data.num_classes=12"
    refused(run("segdata", *folder), "1 fault;")
    done = run("segdata", *folder, "accept=[unseen]")
    assert done.code == 0
    assert "no pixel is 11" in done.out
    assert "accepted" in done.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["action=chek"], ["action=chek", "check or stats or preview"]),
        (["accept=[all]"], ["accept=all", "unseen"]),
        (["images=0"], ["images"]),
        (["images=many"], ["images=many", "an integer"]),
        (["acton=stats"], ["acton", "did you mean action?"]),
        (["data=fodler"], ["data=fodler", "did you mean data=folder?"]),
        (["data=folder", "data.root=nowhere"], ["data=folder", "fault"]),
        (["data=folder", "data.root=nowhere", "action=stats"], ["nowhere"]),
        (["data=folder", "data.root=nowhere", "action=preview"], ["nowhere"]),
        (["data=shapes", "data.sise=3"], ["data.sise"]),
        (["data=shapes", "data.size=big"], ["data=shapes"]),
    ],
)
def test_a_wrong_argument_is_one_line(run, arguments, words):
    refused(run("segdata", *arguments), *words)


def test_statistics_are_a_table_a_plot_and_metrics(run):
    done = run("segdata", *SHAPES, "action=stats")
    assert done.code == 0, done.err
    metrics = json.loads((done.folder / "stats.json").read_text())
    assert metrics["train"]["images"] == 40
    assert sum(c["pixels"] for c in metrics["train"]["per_class"].values()) <= 40 * 32 * 32
    with Image.open(done.folder / "stats.png") as plot:
        assert plot.width == 1500
    for words in ("median-frequency weight", "triangle", "RGB mean", "32×32: 40", "stats.png"):
        assert words in done.out


def test_a_preview_is_what_training_with_this_seed_sees(run):
    arguments = [*SHAPES, "action=preview", "augment=scale_crop", "augment.crop.height=40"]
    pages = [run("segdata", *arguments, f"seed={seed}") for seed in (0, 0, 1)]
    assert all(page.code == 0 for page in pages)
    first, again, other = ((page.folder / "preview.png").read_bytes() for page in pages)
    assert first == again
    assert first != other
    assert "12 augmented samples" in pages[0].out


def test_a_preview_of_windows_around_objects(run):
    done = run("segdata", *SHAPES, "action=preview", "crops=objects", "crops.min_area=20", "images=2")
    assert done.code == 0, done.err


def test_several_data_sets_are_looked_at_in_a_sweep(run, folder):
    done = run("segdata", "-m", *folder, "data.seed=0,1")
    assert done.code == 0, done.err
    assert (done.folder / "1" / "check.json").is_file()

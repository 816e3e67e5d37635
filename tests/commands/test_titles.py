"""What is written above all that a run draws."""

from pathlib import Path

from segtrain.commands.titles import data_title, formats_of, title_of

CONFIG = {
    "model": {"_target_": "segtrain.models.unet.UNet"},
    "data": {"_target_": "segtrain.data.datasets.camvid.CamVid", "root": "data"},
}
FOLDER = {"_target_": "segtrain.data.datasets.folder.Folder", "root": "my/photos"}


def test_a_title_has_model_data_and_run():
    assert title_of(CONFIG, Path("outputs/unet_camvid/DATE")) == "UNet on CamVid: unet_camvid/DATE"


def test_an_evaluations_title_has_the_networks_run_and_the_split():
    config = CONFIG | {"split": "test", "ckpt": "outputs/a/b/checkpoints/best.ckpt"}
    assert title_of(config, Path("outputs/eval/DATE")) == "UNet on CamVid, test split: a/b"
    several = title_of(config | {"ckpt": ["a/b", "a/c"]}, Path("outputs/eval/DATE"))
    assert several == "2 networks on CamVid, test split: eval/DATE"
    stored = CONFIG | {"split": "val", "ckpt": None, "predictions": "theirs/labels"}
    assert title_of(stored, Path("outputs/eval/DATE")) == "labels on CamVid, val split"


def test_ones_own_data_are_named_by_their_folder_and_fold():
    assert data_title(FOLDER) == "photos"
    assert data_title(FOLDER | {"folds": 5, "fold": 2}) == "photos, fold 2 of 5"
    assert data_title({"_target_": "mine.Leaves", "root": "/x/leaves"}) == "leaves"


def test_plots_names_formats():
    assert [formats_of(plots) for plots in (True, False, None, "svg", ["pdf"])] == [
        (),
        (),
        (),
        ("svg",),
        ("pdf",),
    ]

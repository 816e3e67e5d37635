"""A crafted checkpoint cannot make a network that is larger than itself."""

import resource

import pytest
import torch
from torch import nn

from segtrain.api import load_model
from segtrain.engine.building import SMALL, BuildingFor
from segtrain.engine.checkpoint import load, save
from segtrain.errors import InputError


def test_only_what_the_checkpoint_could_hold_is_made():
    with BuildingFor(50 * 40 * 9):
        assert nn.Conv2d(40, 50, 3).weight.shape == (50, 40, 3, 3)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for make in (lambda n: nn.Conv2d(n, n, 3), lambda n: torch.rand(n, n), lambda n: torch.zeros([n, n])):
        with pytest.raises(InputError, match="which has more than its 7 numbers"), BuildingFor(7):
            make(SMALL)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 10_000  # KB


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    from segtrain.commands.train import run_training
    from segtrain.config.compose import compose_config, plain

    folder = tmp_path_factory.mktemp("trained")
    words = "model=fcn32s width=0.0625 data.size=32 data.train_images=2 data.val_images=1 batch_size=1"
    words += " max_steps=1 num_workers=0 device=cpu precision=32"
    config = plain(compose_config("train", words.split()))
    for key in ("experiment", "replay"):
        config.pop(key, None)
    run_training(config, {}, folder)
    return load(folder / "checkpoints/last.ckpt")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"num_classes": 10**9}, r"its config\.model\.num_classes must be at most 1,000,000"),
        ({"num_classes": 900_000}, "does not fit this model, which has more than its"),
        ({"backbone": {"width": 1000.0}}, "does not fit this model, which has more than its"),
        ({"backbone": {"width": float("inf")}}, r"its config\.model\.backbone\.width must be at most"),
    ],
)
def test_metadata_that_ask_for_a_huge_network_are_refused(saved, tmp_path, change, words):
    model = saved.meta["config"]["model"]
    nested = {key: model[key] | value for key, value in change.items() if isinstance(value, dict)}
    config = saved.meta["config"] | {"model": model | change | nested}
    save(saved._replace(meta=saved.meta | {"config": config}), tmp_path / "crafted.ckpt")
    with pytest.raises(InputError, match=words):
        load_model(tmp_path / "crafted.ckpt")

"""segimport for images of other channels than RGB: published for them, or fitted to them."""

import numpy as np
import pytest
import torch

from segtrain import load_model
from segtrain.engine.checkpoint import load
from tests.commands.test_any_image import draw, trained
from tests.commands.test_segimport import SMALL, segimport
from tests.converters.test_fcn import IMAGES, pytorch_fcn


@pytest.fixture
def weights(tmp_path):
    """A file of pytorch-fcn's FCN-32s."""
    path = tmp_path / "fcn32s.pth"
    torch.save(pytorch_fcn(32), path)
    return path


def logits(done, images):
    assert done.code == 0, done.err
    with torch.no_grad():
        return load_model(done.folder)(images)["out"]


def test_kernels_over_rgb_give_a_grey_image_in_six_channels_the_logits_that_it_had_in_three(run, weights):
    grey = IMAGES[:, :1]
    rgb, six = segimport(run, weights), segimport(run, weights, "in_channels=6")
    assert "images: 6 channels of uint8" in six.out
    expected = logits(rgb, grey.repeat(1, 3, 1, 1))
    torch.testing.assert_close(logits(six, grey.repeat(1, 6, 1, 1)), expected, rtol=1e-4, atol=1e-4)


def test_weights_that_were_published_for_other_channels_say_so_themselves(run, weights, tmp_path):
    state = pytorch_fcn(32)
    kernels = state["conv1_1.weight"]
    own = torch.cat([kernels, kernels[:, :1]], 1)
    torch.save(state | {"conv1_1.weight": own}, tmp_path / "four.pth")
    numbers = ("mean=[1,2,3,4]", "std=[1,1,2,2]")
    done = segimport(run, tmp_path / "four.pth", *numbers)
    assert done.code == 0, done.err
    first = load_model(done.folder).backbone
    assert torch.equal(first.block1[0].weight, own)
    assert first.normalize.mean.flatten().tolist() == [1, 2, 3, 4]
    refused = segimport(run, tmp_path / "four.pth", "in_channels=5", *numbers)
    assert refused.code == 2
    assert "in_channels must be 4 as in the weights, got 5" in refused.err
    assert (
        "std must be a list of 4, got [1]"
        in segimport(run, tmp_path / "four.pth", "mean=[1,2,3,4]", "std=[1]").err
    )


def test_data_on_this_machine_say_channels_and_range(run, weights, tmp_path):
    draw(tmp_path / "own", 4, "uint16", ".tif")
    data = ("data=folder", f"data.root={tmp_path}/own", "data.num_classes=21")
    done = segimport(run, weights, *data, "data.range=[0,4095]")
    assert done.code == 0, done.err
    spec = load(done.folder / "checkpoints/best.ckpt").meta["input"]
    assert (spec["channels"], spec["dtype"], spec["high"]) == (4, "uint16", [4095.0] * 4)
    bright = torch.full((1, 4, 40, 40), 4095, dtype=torch.int32)
    as_bytes = segimport(run, weights, "in_channels=4")
    expected = logits(as_bytes, torch.full((1, 4, 40, 40), 255, dtype=torch.uint8))
    torch.testing.assert_close(logits(done, bright), expected, rtol=1e-4, atol=1e-3)


def test_an_rgb_checkpoint_starts_a_training_on_other_channels(run, weights, tmp_path):
    rgb = segimport(run, weights)
    draw(tmp_path / "own", 4, "uint8", ".png")
    done = trained(run, tmp_path / "own", 1, "model=fcn32s", SMALL, f"init_from={rgb.folder}")
    assert done.code == 0, done.err
    assert "fitted to 4 channels: backbone.block1.0.weight" in done.out
    theirs = load(rgb.folder / "checkpoints/best.ckpt").weights()["backbone.block1.0.weight"]
    ours = load(done.folder / "checkpoints/best.ckpt").weights()["backbone.block1.0.weight"]
    np.testing.assert_allclose(ours, theirs[:, [0, 1, 2, 0]] * 0.75, atol=0.05)

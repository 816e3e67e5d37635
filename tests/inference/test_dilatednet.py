"""DilatedNet's tiles against its released predict.py, computed plainly."""

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from segtrain import build_model
from segtrain.contracts import Sample
from segtrain.engine.device import Compute
from segtrain.errors import InputError
from segtrain.evaluation.predictor import Predictor
from segtrain.inference import DilatedNetTiles, MultiScale, Whole

CPU = Compute(torch.device("cpu"), "32")
MARGIN = 186


def net(name, **overrides):
    torch.manual_seed(0)
    model = build_model(name, num_classes=3, width=1 / 32, **overrides).eval()
    torch.nn.init.normal_(model.score.weight, std=0.3)
    return model


def sample(height, width):
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (height, width, 3), generator=generator).to(torch.uint8).numpy()
    return Sample(image, np.zeros((height, width), np.uint8), "image")


def released(model, tile):
    """What the deploy network gives of a tile h×w×3: no layer of the front end pads."""
    x = model.backbone.normalize(torch.from_numpy(tile.copy()).permute(2, 0, 1)[None])
    for number in range(1, 6):
        block = model.backbone.get_submodule(f"block{number}")
        for layer in block:
            if isinstance(layer, torch.nn.Conv2d):
                x = F.conv2d(x, layer.weight, layer.bias, dilation=2 if number == 5 else 1).relu()
        x = F.max_pool2d(x, 2, 2) if number < 4 else x
    for layer, kernel, dilation in ((model.backbone.fc6, 7, 4), (model.backbone.fc7, 1, 1)):
        weight = layer.weight.view(len(layer.weight), -1, kernel, kernel)
        x = F.conv2d(x, weight, layer.bias, dilation=dilation).relu()
    return model.context(model.score(x))


def predict(model, image, height, width):
    """predict.py's probabilities of an image, C×H×W."""
    mirror = cv2.BORDER_REFLECT_101
    around = cv2.copyMakeBorder(image, MARGIN, MARGIN, MARGIN, MARGIN, mirror)
    out_size, rows = (height - 2 * MARGIN, width - 2 * MARGIN), []
    for top in range(0, image.shape[0], out_size[0]):
        row = []
        for left in range(0, image.shape[1], out_size[1]):
            tile = around[top : top + height, left : left + width]
            tile = cv2.copyMakeBorder(tile, 0, height - tile.shape[0], 0, width - tile.shape[1], mirror)
            row.append(released(model, tile).softmax(1)[0].numpy())
        rows.append(np.concatenate(row, 2))
    cells = np.concatenate(rows, 1)
    out = np.zeros((len(cells), *image.shape[:2]), np.float32)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            (r, t), (c, u) = divmod(y, 8), divmod(x, 8)
            t, u = t / 8, u / 8
            left = t * cells[:, r + 1, c] + (1 - t) * cells[:, r, c]
            right = t * cells[:, r + 1, c + 1] + (1 - t) * cells[:, r, c + 1]
            out[:, y, x] = (1 - u) * left + u * right
    return out


@pytest.mark.parametrize("name", ["dilatednet_frontend", "dilatednet", "dilation8"])
def test_probabilities_are_those_of_the_authors_script(name):
    model, one = net(name), sample(100, 70)  # two tiles of 80×88 pixels
    with torch.inference_mode():
        expected = predict(model, one.image, 452, 460)
        seen = Predictor(model, DilatedNetTiles(height=452, width=460), CPU)([one])[0].numpy()
        alone = Predictor(model, Whole(), CPU)([one])[0].numpy()
    assert np.abs(seen - expected).max() < 1e-5
    assert expected.std() > 0.01
    assert np.abs(alone - expected).max() > 1e-3


def test_a_network_that_enlarges_its_logits_needs_no_interpolation():
    model, one = net("dilation10", upsampling="deconv"), sample(100, 70)
    tiles = DilatedNetTiles(height=452, width=460)
    seen = Predictor(model, tiles, CPU)([one])[0]
    around = cv2.copyMakeBorder(one.image, MARGIN, MARGIN, MARGIN, MARGIN, cv2.BORDER_REFLECT_101)
    with torch.inference_mode():
        for top in (0, 80):
            tile = around[top : top + 452]
            tile = cv2.copyMakeBorder(tile, 0, 452 - len(tile), 0, 18, cv2.BORDER_REFLECT_101)
            large = model.upsample(released(model, tile))[..., 4:-4, 4:-4].softmax(1)[0]
            height = min(100 - top, 80)
            assert torch.allclose(seen[:, top : top + height], large[:, :height, :70], atol=1e-6)


def test_the_last_cell_is_repeated_where_a_side_is_a_multiple_of_the_tiles():
    model, one = net("dilatednet_frontend"), sample(80, 30)
    seen = Predictor(model, DilatedNetTiles(height=452, width=452), CPU)([one])[0]
    assert seen.shape == (3, 80, 30)
    assert torch.allclose(seen[:, 72:], seen[:, 72:73].expand(-1, 8, -1))
    assert not torch.allclose(seen[:, 64:72], seen[:, 64:65].expand(-1, 8, -1), atol=1e-3)


def test_other_sides_and_other_networks_are_refused():
    with pytest.raises(InputError, match=r"inference\.width must be 372 \+ 8k pixels, got 901"):
        DilatedNetTiles(height=900, width=901)
    with pytest.raises(InputError, match=r"inference\.height must be 372 \+ 8k pixels, got 372"):
        DilatedNetTiles(height=372)
    tiles = DilatedNetTiles(height=452, width=452)
    with pytest.raises(InputError, match="a border of their own, got DeepLabV1"):
        Predictor(net_of_another_kind(), tiles, CPU)([sample(20, 20)])
    zeros = net("dilatednet_frontend", backbone={"padding": "zeros"})
    with pytest.raises(InputError, match=r"model\.backbone\.padding must be reflect"):
        Predictor(zeros, tiles, CPU)([sample(20, 20)])
    with pytest.raises(InputError, match="must be applied to a DilatedNet itself"):
        Predictor(zeros, MultiScale(scales=[1.0], base=tiles), CPU)([sample(20, 20)])


def net_of_another_kind():
    return build_model("deeplabv1", num_classes=3, width=1 / 32).eval()

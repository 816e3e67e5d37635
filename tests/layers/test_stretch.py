import pytest
import torch

from segtrain import build_model
from segtrain.errors import InputError
from segtrain.layers.stretch import stretch


def test_cells_lie_on_pixels_in_the_middle_of_their_shares_or_from_corner_to_corner():
    cells = {"out": torch.tensor([[[[0.0, 1.0]]]])}
    assert stretch(cells, (1, 4), "none") is cells
    assert stretch(cells, (1, 4), "centres")["out"].flatten().tolist() == [0, 0.25, 0.75, 1]
    corners = stretch(cells, (1, 4), "corners")["out"].flatten()
    assert torch.allclose(corners, torch.tensor([0, 1 / 3, 2 / 3, 1]))


@pytest.mark.parametrize("model", ["deeplabv3", "pspnet50", "deeplabv2"])
def test_a_network_that_stretches_gives_logits_of_every_images_size(model):
    net = build_model(model, num_classes=3, width=1 / 32, upsampling="centres").eval()
    for height, width in ((64, 64), (33, 70), (1, 2)):
        with torch.inference_mode():
            assert net(torch.zeros(1, 3, height, width))["out"].shape == (1, 3, height, width)


def test_a_backbone_that_always_pads_to_whole_cells_is_refused():
    words = "model.upsampling=centres: Xception65 pads images to whole cells, which DeepLabV3 cannot stretch"
    with pytest.raises(InputError, match=words):
        build_model("deeplabv3", num_classes=3, width=1 / 32, backbone="xception65", upsampling="centres")

import pytest
import torch

from segtrain import build_model
from segtrain.backbones.resnet import ResNet
from segtrain.backbones.xception import Xception65
from segtrain.converters.stretched import StretchedDeepLabV2, StretchedDeepLabV3, stretch
from segtrain.errors import InputError
from segtrain.models.deeplab_v3 import DeepLabV3


def test_cells_lie_on_pixels_in_the_middle_of_their_shares_or_from_corner_to_corner():
    cells = {"out": torch.tensor([[[[0.0, 1.0]]]])}
    assert stretch(cells, (1, 4), align_corners=False)["out"].flatten().tolist() == [0, 0.25, 0.75, 1]
    corners = stretch(cells, (1, 4), align_corners=True)["out"].flatten()
    assert torch.allclose(corners, torch.tensor([0, 1 / 3, 2 / 3, 1]))


def resnet():
    return ResNet(depth=50, width=1 / 32, output_stride=8)


@pytest.mark.parametrize(
    "network",
    [
        lambda: StretchedDeepLabV3(backbone=resnet(), num_classes=3, width=1 / 32),
        lambda: StretchedDeepLabV2(backbone=resnet(), num_classes=3, scales=(0.5, 1.0)),
        lambda: build_model("fcn_resnet50", num_classes=3, width=1 / 32),
    ],
)
def test_a_network_that_stretches_gives_logits_of_every_images_size(network):
    net = network().eval()
    for height, width in ((64, 64), (33, 70), (1, 2)):
        with torch.inference_mode():
            assert net(torch.zeros(1, 3, height, width))["out"].shape == (1, 3, height, width)


def test_its_weights_are_those_of_the_papers_network():
    keys = {"num_classes": 3, "width": 1 / 32}
    ours = DeepLabV3(backbone=resnet(), **keys).state_dict()
    assert ours.keys() == StretchedDeepLabV3(backbone=resnet(), **keys).state_dict().keys()


def test_a_backbone_that_always_pads_to_whole_cells_is_refused():
    words = "Xception65 has no choice of leaving images unpadded, which StretchedDeepLabV3 needs"
    with pytest.raises(InputError, match=words):
        StretchedDeepLabV3(backbone=Xception65(width=1 / 32), num_classes=3, width=1 / 32)

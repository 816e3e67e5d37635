import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segtrain.errors import InputError
from segtrain.models.unet import MARGIN, UNet


def unet(**keys):
    torch.manual_seed(0)
    return UNet(num_classes=3, width=keys.pop("width", 1 / 32), **keys).eval()


def seen(net, side, output):
    """Rows and columns of a side×side image on which `output` of the network depends, at most."""
    for parameter in net.parameters():
        parameter.data.abs_()  # no gradient is cut by a ReLU, nor by another maximum
    net.pool = nn.AvgPool2d(2, ceil_mode=True)
    net.normalize = nn.Identity()
    images = torch.ones(1, 3, side, side, requires_grad=True)
    output(net, images).sum().backward()
    rows = images.grad[0].sum((0, 2)).nonzero()
    return (rows.max() - rows.min() + 1).item()


@pytest.mark.parametrize(
    ("channels", "classes", "keys", "count"),
    [
        (1, 2, {"padding": "valid"}, 31_030_658),
        (1, 1, {"padding": "valid"}, 31_030_593),
        (3, 21, {"padding": "valid"}, 31_033_045),
        (1, 2, {}, 31_030_658),
        (3, 1, {"batch_norm": True}, 31_037_633),
        (3, 2, {"batch_norm": True}, 31_037_698),
        (3, 21, {"batch_norm": True}, 31_038_933),
    ],
)
def test_parameters_are_as_many_as_figure_1_makes(channels, classes, keys, count):
    with torch.device("meta"):
        net = UNet(num_classes=classes, in_channels=channels, **keys)
    assert sum(p.numel() for p in net.parameters()) == count


def test_there_are_23_convolutions_as_the_paper_says():
    assert sum(isinstance(m, nn.Conv2d | nn.ConvTranspose2d) for m in unet().modules()) == 23


def test_sizes_and_channels_are_those_of_figure_1():
    net, shapes = unet(padding="valid"), []  # a 32nd of the channels
    convolutions = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    for module in convolutions:
        module.register_forward_hook(lambda _m, _i, out: shapes.append((32 * out.shape[1], out.shape[2])))
    with torch.inference_mode():
        assert net.logits(torch.zeros(1, 3, 572, 188)).shape == (1, 3, 388, 4)
    down = [(64, 570), (64, 568), (128, 282), (128, 280), (256, 138), (256, 136), (512, 66), (512, 64)]
    bottom = [(1024, 30), (1024, 28)]
    up = [(512, 56), (512, 54), (512, 52), (256, 104), (256, 102), (256, 100)]
    up += [(128, 200), (128, 198), (128, 196), (64, 392), (64, 390), (64, 388)]
    assert shapes[:-1] == [*down, *bottom, *up]


@pytest.mark.parametrize("side", [188, 204, 220, 588])
def test_valid_convolutions_take_92_pixels_from_every_side(side):
    with torch.inference_mode():
        out = unet(padding="valid").logits(torch.zeros(1, 3, side, 188))
    assert out.shape == (1, 3, side - 184, 4)


def test_a_cell_of_the_deepest_stage_sees_140_pixels():
    def cell(net, images):
        for i, stage in enumerate(net.down):
            images = stage(net.pool(images) if i else images)
        return images[..., 0, 0]

    assert seen(unet(padding="valid"), 188, cell) == 140


def test_a_pixel_sees_188_or_204_pixels_depending_on_where_it_lies():
    def pixel(i):
        return lambda net, images: net.logits(images)[..., i, i]

    sides = [seen(unet(padding="valid"), 220, pixel(i)) for i in range(16)]
    assert sides == 4 * [188] + 12 * [204]


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_the_output_has_the_images_size_for_every_size(padding):
    net = unet(padding=padding)
    with torch.inference_mode():
        for height in range(1, 36):
            images = torch.zeros(1, 3, height, 41 - height, dtype=torch.uint8)
            assert net(images)["out"].shape == (1, 3, height, 41 - height)


def test_what_lies_around_the_image_is_its_mirror_image():
    net = unet(padding="valid")
    images = torch.rand(1, 3, 100, 116) * 255
    with torch.inference_mode():
        expected = net.logits(F.pad(images, (92, 92, 92, 92), mode="reflect"))
        assert torch.equal(net(images)["out"], expected)


@pytest.mark.parametrize(("tile", "size"), [(20, (70, 45)), (36, (33, 100)), (52, (52, 53))])
def test_tiles_give_the_logits_of_one_pass(tile, size):
    whole, tiled = unet(padding="valid"), unet(padding="valid", tile=tile)
    images = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
    sides = []
    tiled.down[0].register_forward_hook(lambda _m, inputs, _o: sides.append(max(inputs[0].shape[-2:])))
    with torch.inference_mode():
        assert torch.allclose(tiled(images)["out"], whole(images)["out"], atol=1e-5)
    assert len(sides) > 1
    assert max(sides) == tile + 184


def test_training_makes_one_pass_whatever_the_tile():
    net = unet(padding="valid", tile=20).train()
    passes = []
    net.down[0].register_forward_hook(lambda *_: passes.append(1))
    net(torch.rand(1, 3, 70, 45))
    assert len(passes) == 1


def test_exported_for_any_size_it_makes_one_pass_whatever_the_tile():
    """The layers themselves, of which an exporter thinks for a while, are left out."""
    net, calls = unet(padding="valid", tile=20), []

    def cropped(images):
        calls.append(images)
        return images[..., MARGIN:-MARGIN, MARGIN:-MARGIN].float()

    net.logits = cropped
    any_size = {"images": {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}}
    program = torch.export.export(net, (torch.zeros(1, 3, 64, 96),), dynamic_shapes=any_size, strict=False)
    assert len(calls) == 1
    images = torch.rand(1, 3, 81, 77)
    assert torch.equal(program.module()(images)["out"], images)


@pytest.mark.parametrize(("padding", "tile"), [("same", 388), ("valid", 384), ("valid", 4)])
def test_tiles_that_would_not_be_exact_are_refused(padding, tile):
    with pytest.raises(InputError, match=rf"model\.tile={tile} with model\.padding={padding}"):
        unet(padding=padding, tile=tile)


def test_padding_changes_nothing_92_pixels_from_the_border():
    same, valid = unet(), unet(padding="valid")
    valid.load_state_dict(same.state_dict())
    images = torch.rand(1, 3, 220, 204) * 255
    with torch.inference_mode():
        # Unpadded convolutions move the deepest pooling to pixel 14 of 16: two more make it 0.
        shifted = same.logits(F.pad(images, (2, 2, 2, 2)))
        assert torch.allclose(shifted[..., 94:-94, 94:-94], valid.logits(images), atol=1e-4)


def test_rounding_poolings_up_changes_nothing_on_multiples_of_16():
    net, images = unet(), torch.rand(1, 3, 48, 64) * 255
    with torch.inference_mode():
        rounded_up = net(images)["out"]
        net.pool = nn.MaxPool2d(2)
        assert torch.equal(net(images)["out"], rounded_up)


def test_initial_weights_have_the_papers_std():
    net = unet(width=1 / 4)
    over_64_maps = net.down[2][2].weight  # 3×3: the paper's own example, N = 576
    assert over_64_maps.shape[1:] == (64, 3, 3)
    assert over_64_maps.std().item() == pytest.approx(0.0589, rel=0.02)
    up = net.up[0][0].weight  # of an up-convolution one tap meets a pixel: N = 256 channels
    assert up.std().item() == pytest.approx((2 / 256) ** 0.5, rel=0.02)
    assert all(p.eq(0).all() for name, p in net.named_parameters() if name.endswith("bias"))


def test_dropout_ends_the_two_deepest_stages_and_their_skip():
    net, shapes = unet(), []
    net.dropout.register_forward_hook(lambda _m, _i, out: shapes.append(tuple(out.shape[1:])))
    merged = []
    net.merge[0].register_forward_hook(lambda _m, inputs, _o: merged.append(inputs[0][:, 16:]))
    net.dropout.p = 1.0
    net.train()(torch.rand(1, 3, 64, 64))
    assert shapes == [(16, 8, 8), (32, 4, 4)]
    assert merged[0].eq(0).all()


def test_a_grey_net_sees_the_same_in_one_channel_and_in_three():
    net = unet(in_channels=1)
    grey = torch.randint(0, 256, (1, 1, 32, 32), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(net(grey)["out"], net(grey.expand(-1, 3, -1, -1))["out"])

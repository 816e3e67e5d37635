import pytest
import torch
from torch.nn import functional as F

from segtrain.layers.multi_scale import over_scales, resample


def every_8th(images):
    """A network of stride 8 that gives the image's own values on its cells: 8·⌈(H-1)/8⌉ pixels."""
    height, width = images.shape[-2:]
    x = F.pad(images.float(), (0, (1 - width) % 8, 0, (1 - height) % 8), mode="replicate")
    return {"out": x[..., ::8, ::8]}


def ramp(height, width):
    """An image whose values are its coordinates."""
    rows, columns = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    return torch.stack([rows, columns, rows + columns])[None]


def test_resampling_by_one_half_takes_every_second_pixel_and_by_two_comes_back():
    x = torch.rand(2, 3, 9, 13)
    half = resample(x, (5, 7), 2)
    assert torch.equal(half, x[..., ::2, ::2])
    assert torch.equal(resample(half, (9, 13), 0.5)[..., ::2, ::2], half)


def test_resampling_is_bilinear_with_corners_aligned():
    x = torch.randint(0, 256, (1, 3, 33, 17), dtype=torch.uint8)
    expected = F.interpolate(x.float(), (25, 13), mode="bilinear", align_corners=True)
    assert torch.allclose(resample(x, (25, 13), 32 / 24), expected, atol=1e-3)


def test_resampled_positions_beyond_the_last_cell_take_its_value():
    assert resample(torch.tensor([[[[1.0, 2.0]]]]), (1, 4), 0.75).tolist() == [[[[1.0, 1.75, 2.0, 2.0]]]]


@pytest.mark.parametrize("scale", [0.5, 0.75, 1.25, 2])
@pytest.mark.parametrize("size", [(321, 97), (320, 47), (61, 90), (1, 9)])
def test_every_scale_has_its_cells_on_the_same_pixels(scale, size):
    image = ramp(*size)
    outputs = over_scales(every_8th, image, [scale, 1])
    seen = outputs[f"scale_{round(100 * scale)}"]
    stride = 16 if scale == 0.5 else 8
    pixels = [stride * torch.arange(float(n)) for n in seen.shape[-2:]]
    # The last cells may lie beyond the image, where this network sees its border's values.
    rows, columns = (p[p < side - 8 / scale] for p, side in zip(pixels, size, strict=True))
    seen = seen[0, :2, : len(rows), : len(columns)]
    assert torch.allclose(seen[0], rows[:, None].expand(seen.shape[1:]), atol=1e-2)
    assert torch.allclose(seen[1], columns.expand(seen.shape[1:]), atol=1e-2)


def test_the_maps_are_fused_by_their_maximum():
    torch.manual_seed(0)
    image = torch.rand(1, 3, 65, 97)
    outputs = over_scales(every_8th, image, [0.75, 1.0, 1.5])
    expected = torch.maximum(outputs["scale_75"], outputs["scale_100"])
    assert torch.equal(outputs["out"], torch.maximum(expected, outputs["scale_150"]))
    assert not torch.equal(outputs["out"], outputs["scale_100"])


def test_one_scale_repeated_is_that_scale():
    image = torch.rand(1, 3, 65, 97)
    outputs = over_scales(every_8th, image, [1, 1.0, 1])
    assert torch.equal(outputs["out"], every_8th(image)["out"])
    assert torch.equal(outputs["scale_100"], outputs["out"])


def test_half_the_scale_is_given_with_cells_on_every_16th_pixel():
    outputs = over_scales(every_8th, ramp(321, 321), [0.5, 0.75, 1])
    assert outputs["out"].shape[-2:] == outputs["scale_75"].shape[-2:] == (41, 41)
    assert outputs["scale_50"].shape[-2:] == (21, 21)
    assert torch.allclose(outputs["scale_50"][0, 0, :, 0], 16.0 * torch.arange(21), atol=1e-3)


def test_maps_are_fused_in_float32_under_autocast():
    image = torch.randint(0, 256, (1, 3, 33, 33), dtype=torch.uint8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = over_scales(every_8th, image, [0.75, 1])
    assert torch.equal(outputs["out"], over_scales(every_8th, image, [0.75, 1])["out"])

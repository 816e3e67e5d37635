"""What every model of the zoo keeps, by its YAML: a new one is covered by adding its row."""

from importlib.util import find_spec

import pytest
import torch

from segtrain import build_model
from segtrain.config.compose import CONFIG_DIR
from segtrain.sizes import stride_of, upsample_logits
from tests.fake_gpu import fake_gpu, moved

LIBRARIES = {"smp": "segmentation_models_pytorch", "transformers": "transformers"}  # extras
NAMES = sorted(path.stem for path in (CONFIG_DIR / "model").glob("*.yaml"))
ZOO = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            name in LIBRARIES and find_spec(LIBRARIES[name]) is None,
            reason=f"{LIBRARIES.get(name)} is not installed",
        ),
    )
    for name in NAMES
]
CLASSES = 21
# Learnable parameters at 21 classes; the papers' documents say where each comes from.
PARAMETERS = {
    "fcn32s": 134_346_581,
    "fcn16s": 134_357_354,
    "fcn8s": 134_362_751,
    "fcn8s_atonce": 134_362_751,
    "fcn8s_crf": 134_362_751 + 2 * 21 * 21,
    "dilatednet_frontend": 134_346_581,
    "dilatednet": 134_374_973,
    "dilation8": 141_149_720,
    "dilation10": 134_382_953,
    "deeplabv1": 20_505_429,
    "deeplabv1_7x7": 134_346_581,
    "deeplabv1_4x4": 65_140_565,
    "deeplabv1_msc_largefov": 20_505_429 + 1_192_576 + 13_545,
    "deeplabv2": 44_048_532,
    "deeplabv2_pytorch": 44_048_532,
    "deeplabv2_vgg16": 37_877_652,
    "fc_densenet56": 1_378_725,
    "fc_densenet67": 3_466_133,
    "fc_densenet103": 9_324_661,
    "unet": 31_033_045,
    "unet_valid": 31_033_045,
    "unet_mmseg": 28_987_925,
    "fusionnet": 78_544_341,
    "fusionnet_keras": 62_806_997,
    "dcn": 10_899_854,
    "frrn_a": 17_746_901,
    "frrn_b": 24_755_797,
    "deconvnet": 251_805_653,
    "segnet": 29_455_125,
    "segnet_basic": 1_417_237,
    "pspnet50": 49_081_578,
    "pspnet101": 68_073_706,
    "pspnet50_mmseg": 49_081_578 - 104_544,  # a narrower stem
    "fcn_resnet50": 35_322_218,
    "deeplabv3": 39_048_533,
    "deeplabv3_resnet101": 58_040_661,
    "deeplabv3_torchvision": 39_638_869,
    "deeplabv3_mmseg": 65_749_365,
    "deeplabv3plus": 40_352_181,
    "deeplabv3plus_resnet101": 59_344_309,
    "deeplabv3plus_xception65": 41_055_413,
    "deeplabv3plus_mmseg": 41_226_213,
    "unet_encoder": 23_508_032 + 9_006_645,
    "smp": 26_078_609 + 20 * 145,  # as published for one class, and 16·9 + 1 for each other
    "transformers": 3_752_694 - 129 * 257,  # SegFormer-B0 of 150 classes, 256 + 1 for each
    "linear": 23_508_032 + 2 * 2048 + 2049 * 21,
}


def small(name, classes=3, **overrides):
    torch.manual_seed(0)
    return build_model(name, num_classes=classes, width=1 / 32, **overrides)


def with_scores(model):
    """The model with scores that are not the zeros that they start as."""
    for name, parameter in model.named_parameters():
        if any(part.startswith("score") for part in name.split(".")):
            torch.nn.init.normal_(parameter)
    return model


@pytest.mark.parametrize("name", ZOO)
def test_parameters_are_as_many_as_in_the_paper(name):
    with torch.device("meta"):
        model = build_model(name, num_classes=CLASSES)
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("name", ZOO)
def test_the_output_covers_the_image_at_every_size(name):
    model = small(name).eval()
    with torch.inference_mode():
        for height, width in ((64, 64), (33, 65), (1, 47), (97, 2), (130, 71)):
            out = model(torch.zeros(2, 3, height, width, dtype=torch.uint8))["out"]
            for cells, pixels in zip(out.shape[-2:], (height, width), strict=True):
                stride = stride_of(cells, pixels)
                assert stride * (cells - 1) + 1 >= pixels
                assert stride * (cells - 2) + 1 < pixels
            assert upsample_logits(out, (height, width)).shape == (2, 3, height, width)


@pytest.mark.parametrize("name", ZOO)
def test_backward_reaches_every_parameter(device, name):
    model = with_scores(small(name)).train().to(device)  # auxiliary heads take part in training alone
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d) and module.num_features == 1:
            # Without a bias the next normalization takes the one weight out: its gradient is rounding alone.
            torch.nn.init.constant_(module.bias, 0.5)
    images = (torch.rand(3, 3, 64, 64) * 255).to(device)
    sum(out.square().sum() for out in model(images).values()).backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


SOON = ("deeplabv3", "deconvnet", "fc_densenet56", "fcn8s", "unet_valid")
FAKED = [
    entry if entry.values[0] in SOON else pytest.param(*entry.values, marks=[*entry.marks, pytest.mark.slow])
    for entry in ZOO
    if entry.values[0] != "fcn8s_crf"  # its lattice reads one number: how many vertices it has
]


@pytest.mark.parametrize("name", FAKED)
def test_a_forward_pass_needs_nothing_of_the_host(name):
    model = small(name).train()
    with fake_gpu() as gpu, torch.no_grad():
        outputs = moved(model)(torch.zeros(2, 3, 97, 65, dtype=torch.uint8, device=gpu))
    assert {x.device.type for x in outputs.values()} == {"cuda"}


@pytest.mark.parametrize("name", ZOO)
def test_a_state_dict_goes_around(name):
    one, other = with_scores(small(name)).eval(), small(name).eval()
    other.load_state_dict(one.state_dict())
    images = torch.randint(0, 256, (1, 3, 40, 56), dtype=torch.uint8)
    assert torch.equal(one(images)["out"], other(images)["out"])


@pytest.mark.parametrize("name", ZOO)
def test_images_are_taken_as_bytes_and_as_floats(name):
    model = with_scores(small(name)).eval()
    images = torch.randint(0, 256, (1, 3, 40, 56), dtype=torch.uint8)
    assert torch.equal(model(images)["out"], model(images.float())["out"])


@pytest.mark.parametrize("name", ZOO)
def test_images_of_any_number_of_channels_are_taken(name):
    parameters, shapes = {}, set()
    for channels in (1, 4, 13):
        model = small(name, in_channels=channels).eval()
        parameters[channels] = sum(p.numel() for p in model.parameters())
        with torch.inference_mode():
            shapes.add(model(torch.rand(1, channels, 40, 56) * 255)["out"].shape)
    assert len(shapes) == 1
    # Another channel costs the same kernels of the first convolution, whichever it is.
    assert parameters[13] > parameters[4] > parameters[1]
    assert 3 * (parameters[13] - parameters[4]) == 9 * (parameters[4] - parameters[1])

"""What every model of the zoo keeps, by its YAML: a new one is covered by adding its row."""

import pytest
import torch

from segtrain import build_model
from segtrain.cli.compose import CONFIG_DIR
from segtrain.sizes import stride_of, upsample_logits

ZOO = sorted(path.stem for path in (CONFIG_DIR / "model").glob("*.yaml"))
CLASSES = 21
# Learnable parameters at 21 classes; the papers' documents say where each comes from.
PARAMETERS = {
    "fcn32s": 134_346_581,
    "fcn16s": 134_357_354,
    "fcn8s": 134_362_751,
    "fcn8s_atonce": 134_362_751,
    "deeplabv1": 20_505_429,
}


def small(name, classes=3, **overrides):
    torch.manual_seed(0)
    return build_model(name, num_classes=classes, width=1 / 32, **overrides)


def with_scores(model):
    """The model with scores that are not the zeros that they start as."""
    for name, parameter in model.named_parameters():
        if name.startswith("score"):
            torch.nn.init.normal_(parameter)
    return model


@pytest.mark.parametrize("name", ZOO)
def test_parameters_are_as_many_as_in_the_paper(name):
    with torch.device("meta"):
        model = build_model(name, num_classes=CLASSES)
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("name", ZOO)
def test_the_output_covers_the_picture_at_every_size(name):
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
def test_backward_reaches_every_parameter(name):
    model = with_scores(small(name)).eval()
    model(torch.rand(1, 3, 64, 64) * 255)["out"].square().sum().backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("name", ZOO)
def test_a_state_dict_goes_around(name):
    one, other = with_scores(small(name)).eval(), small(name).eval()
    other.load_state_dict(one.state_dict())
    images = torch.randint(0, 256, (1, 3, 40, 56), dtype=torch.uint8)
    assert torch.equal(one(images)["out"], other(images)["out"])


@pytest.mark.parametrize("name", ZOO)
def test_pictures_are_taken_as_bytes_and_as_floats(name):
    model = with_scores(small(name)).eval()
    images = torch.randint(0, 256, (1, 3, 40, 56), dtype=torch.uint8)
    assert torch.equal(model(images)["out"], model(images.float())["out"])

import pytest
import torch

from segtrain import build_model
from segtrain.engine.checkpoint import initialise


def net(name, **overrides):
    torch.manual_seed(0)
    return build_model(name, num_classes=3, width=1 / 32, **overrides).eval()


@pytest.fixture(scope="module")
def front_end():
    model = net("dilatednet_frontend")
    torch.nn.init.normal_(model.score.weight)
    return model


@pytest.fixture(scope="module")
def image():
    torch.manual_seed(0)
    return torch.randint(0, 256, (1, 3, 200, 120), dtype=torch.uint8)


@pytest.mark.parametrize(
    ("name", "classes", "count"),
    [
        ("dilatednet_frontend", 11, 134_305_611),
        ("dilatednet_frontend", 19, 134_338_387),
        ("dilatednet", 11, 134_313_443),
        ("dilation10", 19, 134_368_179),
    ],
)
def test_parameters_of_the_nets_of_other_data(name, classes, count):
    with torch.device("meta"):
        model = build_model(name, num_classes=classes)
    assert sum(p.numel() for p in model.parameters()) == count


def test_the_classifier_starts_from_a_gaussian_of_std_0001():
    score = build_model("dilatednet", num_classes=21, width=1 / 4, backbone={"dropout": 0.0}).score
    assert score.weight.std().item() == pytest.approx(0.001, rel=0.05)
    assert score.bias.eq(0).all()


@pytest.mark.parametrize("name", ["dilatednet", "dilation8", "dilation10"])
def test_a_trained_front_end_fits_in_whole_and_leaves_the_context_new(name, front_end):
    model = net(name)
    result = initialise(model, front_end.state_dict())
    assert not result.unused
    assert result.new
    assert all(key.startswith("context.") for key in result.new)


@pytest.mark.parametrize("name", ["dilatednet", "dilation10"])
def test_a_new_context_module_only_truncates_the_front_ends_scores(name, front_end, image):
    model = net(name)
    initialise(model, front_end.state_dict())
    with torch.inference_mode():
        scores, out = front_end(image)["out"], model(image)["out"]
    assert scores.min() < 0
    assert torch.equal(out, scores.clamp(min=0))
    positive = scores.amax(1) > 0
    assert positive.any()
    assert torch.equal(out.argmax(1)[positive], scores.argmax(1)[positive])


def test_softmax_keeps_the_largest_score_positive(image):
    # Its gradient sums to zero over the classes: so do the scores, whatever the labels are.
    torch.manual_seed(0)
    model = net("dilatednet_frontend")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    labels = torch.randint(0, 3, (1, 26, 16))
    for _ in range(5):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(image)["out"], labels).backward()
        optimizer.step()
    scores = model(image)["out"]
    assert scores.amax(1).gt(0).all()
    assert scores.amin(1).lt(0).all()


def test_a_frozen_front_end_gives_scores_without_dropout_and_only_the_context_learns(image):
    frozen, free = net("dilation8", freeze_front_end=True).train(), net("dilation8").train()
    torch.nn.init.normal_(frozen.score.weight)
    initialise(free, frozen.state_dict())
    assert torch.equal(frozen(image)["out"], frozen(image)["out"])
    assert not torch.equal(free(image)["out"], free(image)["out"])
    assert {n.split(".")[0] for n, p in frozen.named_parameters() if p.requires_grad} == {"context"}


def test_both_borders_take_the_same_weights(front_end, image):
    model = net("dilatednet_frontend", backbone={"padding": "zeros"})
    model.load_state_dict(front_end.state_dict())
    assert model(image)["out"].shape == front_end(image)["out"].shape == (1, 3, 26, 16)

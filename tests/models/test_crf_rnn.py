import torch

from segtrain import build_model
from segtrain.engine.checkpoint import initialise
from segtrain.optim import sgd


def images():
    return torch.randint(
        0, 256, (1, 3, 32, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


def test_it_starts_from_the_weights_of_the_network_alone():
    torch.manual_seed(0)
    alone = build_model("fcn8s", num_classes=3, width=1 / 32).eval()
    torch.nn.init.normal_(alone.score32.weight)
    model = build_model("fcn8s_crf", num_classes=3, width=1 / 32).eval()
    result = initialise(model, alone.state_dict())
    assert sorted(result.new) == ["mean_field.compatibility.0", "mean_field.compatibility.1"]
    assert result.unused == []
    assert torch.equal(model.network(images())["out"], alone(images())["out"])


def test_weights_of_another_number_of_classes_are_left_out():
    alone = build_model("fcn8s", num_classes=5, width=1 / 32)
    result = initialise(build_model("fcn8s_crf", num_classes=3, width=1 / 32), alone.state_dict())
    assert "score32.weight" in result.unused
    assert any(name.startswith("network.score32") for name in result.new)


def test_what_mean_field_learns_has_a_rate_of_its_own():
    model = build_model("fcn8s_crf", num_classes=3, width=1 / 32)
    optimizer = sgd(model, lr=1, multipliers={"head": 2, "crf": 10})
    rates = {name: group["lr"] for group in optimizer.param_groups for name in group["names"]}
    assert rates["mean_field.compatibility.0"] == 10
    assert rates["network.score32.weight"] == 2
    assert rates["network.backbone.block1.0.weight"] == 1


def test_mean_field_iterates_more_often_in_testing():
    model = build_model("fcn8s_crf", num_classes=3, width=1 / 32)
    logits = torch.randn(1, 3, 32, 40, generator=torch.Generator().manual_seed(1)) * 3
    crf = model.mean_field
    five, ten = crf.train()(images(), logits), crf.eval()(images(), logits)
    crf.test_iterations = 5
    assert torch.equal(crf(images(), logits), five)
    assert not torch.allclose(five, ten, atol=1e-3)

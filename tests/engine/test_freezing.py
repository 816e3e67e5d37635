import pytest
import torch
from torch import nn

from segtrain import build_model, load_model, optim
from segtrain.engine.checkpoint import load
from segtrain.engine.freezing import freeze, hold_frozen
from segtrain.errors import InputError


def resnet():
    torch.manual_seed(0)
    return build_model("deeplabv3", num_classes=3, width=1 / 32)


def test_what_is_frozen_has_no_gradient_no_optimizer_state_and_no_drift(device):
    model = resnet().to(device)
    names = ["backbone.conv1", "backbone.bn1", "backbone.layer1"]
    freeze(model, names)
    optimizer = optim.adamw(model, lr=0.1)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    hold_frozen(model.train(), names)
    model(torch.rand(2, 3, 33, 33, device=device) * 255)["out"].square().sum().backward()
    optimizer.step()
    changed = {k.rpartition(".")[0] for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert not any(name.startswith((*names, "normalize")) for name in changed)
    assert {"backbone.layer2.0.bn1", "backbone.layer2.0.conv1", "score"} <= changed
    assert all(p.requires_grad for n, p in model.named_parameters() if not n.startswith(tuple(names)))
    trained = [name for group in optimizer.param_groups for name in group["names"]]
    assert len(trained) == sum(p.requires_grad for p in model.parameters())


def test_a_frozen_encoder_keeps_no_activations():
    def kept(model):
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x: sizes.append(x.nbytes) or x, lambda x: x):
            model(torch.rand(2, 3, 65, 65) * 255)
        return sum(sizes)

    model = resnet().train()
    whole = kept(model)
    freeze(model, ["backbone"])
    hold_frozen(model, ["backbone"])
    assert kept(model) < 0.5 * whole


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("backbone.layr1", "did you mean backbone.layer1"),
        ("backbone.layer", "did you mean backbone.layer"),
        ("encoder", "the model has backbone, aspp"),
        ("backbone.layer1.5.conv1", r"did you mean .*backbone\.layer1\.2\.conv1"),
        ("layer1", r"did you mean backbone\.layer1\?"),
    ],
)
def test_a_name_that_nothing_has_is_refused_with_those_near(name, hint):
    with pytest.raises(InputError, match=f"freeze: no parameter's name begins with {name}; .*{hint}"):
        freeze(resnet(), [name])


def test_a_name_is_whole_words():
    model = nn.ModuleDict({"layer1": nn.Linear(1, 1), "layer10": nn.Linear(1, 1)})
    freeze(model, ["layer1"])
    assert not model["layer1"].weight.requires_grad
    assert model["layer10"].weight.requires_grad


def test_freezing_everything_is_refused():
    with pytest.raises(InputError, match="leaves no parameter to train"):
        freeze(nn.ModuleDict({"a": nn.Linear(1, 1)}), ["a"])


def test_a_run_with_a_frozen_encoder_trains_the_head_alone_and_is_resumed(tiny):
    options = ["model=fcn8s", "model/backbone=vgg16_bn", "freeze=[backbone]", "checkpoint_every=1"]
    whole = tiny(*options)
    assert whole.code == 0, whole.err
    half = tiny(*options, "max_steps=1")
    again = tiny(*options, f"resume={half.folder}")
    assert again.code == 0, again.err
    last = load(whole.folder / "checkpoints/last.ckpt")
    assert not any(name.startswith("optimizer.backbone") for name in last.tensors)
    assert any(name.startswith("optimizer.score") for name in last.tensors)
    for name, value in load(again.folder / "checkpoints/last.ckpt").tensors.items():
        if not name.startswith("optimizer"):
            continue
        assert torch.equal(value, last.tensors[name]), name
    first, trained = load_model(half.folder), load_model(whole.folder)
    for (name, a), b in zip(first.state_dict().items(), trained.state_dict().values(), strict=True):
        assert torch.equal(a, b) == name.startswith("backbone"), name


def test_a_frozen_name_that_is_not_there_ends_in_one_line(tiny):
    refused = tiny("model=fcn8s", "freeze=[backbone.block9]")
    assert refused.code == 2
    assert (
        "freeze: no parameter's name begins with backbone.block9; did you mean backbone.block" in refused.err
    )

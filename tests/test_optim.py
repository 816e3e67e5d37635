import copy

import pytest
import torch
from torch import nn

from segtrain import build_model, optim
from segtrain.config.compose import compose_config, plain
from segtrain.config.instantiate import instantiate
from segtrain.engine.checkpoint import load_optimizer, optimizer_tensors
from segtrain.errors import InputError


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.score = nn.Conv2d(4, 2, 1)

    def forward(self, x):
        return self.score(self.backbone(x))


DEEPLAB = {"head": 10.0, "bias": 2.0, "bias_decay": 0.0, "norm_decay": 0.5}


def test_rates_and_decays_of_the_groups_follow_the_multipliers():
    groups = {
        g["name"]: g for g in optim.sgd(Net(), lr=1.0, weight_decay=0.1, multipliers=DEEPLAB).param_groups
    }
    rates = {name: (g["lr"], g["weight_decay"]) for name, g in groups.items()}
    assert rates == {
        "backbone weights": (1.0, 0.1),
        "backbone biases": (2.0, 0.0),
        "backbone normalisation": (1.0, 0.05),
        "head weights": (10.0, 0.1),
        "head biases": (20.0, 0.0),
    }


def test_every_trainable_parameter_is_in_one_group_and_no_frozen_one():
    net = Net()
    net.backbone[0].weight.requires_grad = False
    names = [n for g in optim.adamw(net, lr=1.0).param_groups for n in g["names"]]
    assert sorted(names) == sorted(n for n, p in net.named_parameters() if p.requires_grad)


EVERY = [optim.sgd, optim.adam, optim.adamw, optim.rmsprop, optim.nadam]


@pytest.mark.parametrize("make", EVERY)
def test_each_optimizer_lowers_a_loss(make):
    torch.manual_seed(0)
    net, x = Net(), torch.rand(4, 3, 5, 5)
    optimizer = make(net, lr=0.01)
    losses = []
    for _ in range(20):
        loss = (net(x) - 1).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("make", EVERY)
def test_each_optimizer_goes_on_from_its_saved_state(make):
    torch.manual_seed(0)
    net, x = Net(), torch.rand(4, 3, 5, 5)

    def step(net, optimizer):
        optimizer.zero_grad()
        (net(x) - 1).square().mean().backward()
        optimizer.step()

    optimizer = make(net, lr=0.01)
    step(net, optimizer)
    other = copy.deepcopy(net)
    resumed = make(other, lr=0.01)
    load_optimizer(resumed, optimizer_tensors(optimizer))
    step(net, optimizer)
    step(other, resumed)
    for own, again in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(own, again)


class Deep(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.ModuleDict(
            {"stem": nn.Conv2d(3, 4, 1), "layer1": nn.Sequential(nn.Conv2d(4, 4, 1))}
        )
        self.backbone["layer2"] = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1))
        self.backbone["norm"] = nn.BatchNorm2d(4)
        self.backbone["pyramid"] = nn.Sequential(nn.Conv2d(4, 4, 1))
        self.score = nn.Conv2d(4, 2, 1)


def test_encoder_decoder_and_layers_have_rates_of_their_own():
    factors = {"backbone": 0.1, "head": 2.0, "layer_decay": 0.5}
    optimizer = optim.sgd(Deep(), lr=1.0, multipliers=factors)
    rates = {name: g["lr"] for g in optimizer.param_groups for name in g["names"] if name.endswith("weight")}
    assert rates == {
        "backbone.stem.weight": pytest.approx(0.1 / 16),
        "backbone.layer1.0.weight": pytest.approx(0.1 / 8),
        "backbone.layer2.0.weight": pytest.approx(0.1 / 4),
        "backbone.layer2.1.weight": pytest.approx(0.1 / 2),
        "backbone.norm.weight": pytest.approx(0.1 / 2),
        "backbone.pyramid.0.weight": 2.0,  # new layers, though inside the backbone
        "score.weight": 2.0,
    }


def test_without_layer_decay_the_groups_are_as_many_as_before():
    names = [g["name"] for g in optim.sgd(Deep(), lr=1.0).param_groups]
    assert names == [
        "backbone weights",
        "backbone biases",
        "backbone normalisation",
        "head weights",
        "head biases",
    ]


class Parts(nn.Module):
    """Every kind of parameter, in an encoder and outside of it."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, groups=4, bias=False)
        )
        self.decoder = nn.Sequential(nn.Conv2d(4, 4, 3, groups=2), nn.BatchNorm2d(4))
        self.score = nn.Conv2d(4, 2, 1)


def rules(factors):
    """Each parameter's rate and decay at a rate of 1 and a decay of 1."""
    groups = optim.sgd(Parts(), lr=1.0, weight_decay=1.0, multipliers=factors).param_groups
    names = [name for g in groups for name in g["names"]]
    assert sorted(names) == sorted(name for name, _ in Parts().named_parameters())
    return {name: (g["lr"], g["weight_decay"]) for g in groups for name in g["names"]}


def test_rules_that_hold_for_one_kind_or_part_alone():
    plain = dict.fromkeys(rules({}), (1.0, 1.0))
    assert rules({}) == plain
    assert rules({"depthwise_decay": 0.0}) == plain | {"backbone.2.weight": (1.0, 0.0)}
    head = {"head_bias": 2.0, "head_bias_decay": 0.0}
    assert rules(head) == plain | {"score.bias": (2.0, 0.0), "decoder.0.bias": (2.0, 0.0)}
    shifts = {"backbone.1.bias": (1.0, 0.0), "decoder.1.bias": (1.0, 0.0)}
    assert rules({"norm_shift_decay": 0.0}) == plain | shifts
    every = {"norm_decay": 0.0, "norm_shift_decay": None, "head_bias": None, "head_bias_decay": None}
    scales = {"backbone.1.weight": (1.0, 0.0), "decoder.1.weight": (1.0, 0.0)}
    assert rules(every) == plain | shifts | scales


def test_a_rule_that_must_be_a_number_is_refused_without_one():
    with pytest.raises(InputError, match=r"optimizer\.multipliers\.norm_decay=None; give a number"):
        optim.sgd(Parts(), lr=1.0, multipliers={"norm_decay": None})


# The released training code of each: (model, recipe) to the rules of some of its parameters, as factors
# of the recipe's rate and decay.
RECIPES = {
    # Lasagne's BatchNormLayer: gamma regularizable, beta not; biases not.
    ("fc_densenet56", "fc_densenet103_camvid"): {
        "first.weight": (1, 1),
        "first.bias": (1, 0),
        "score.bias": (1, 0),
        "norm scale": (1, 1),
        "norm shift": (1, 0),
    },
    # TensorFlow's research/deeplab: slim regularizes the weights of convolutions, not of depthwise ones;
    # train_utils.py doubles the gradients of biases.
    ("deeplabv3plus_xception65", "deeplabv3plus_xception65_voc"): {
        "score.weight": (1, 1),
        "score.bias": (2, 0),
        "depthwise": (1, 0),
        "pointwise": (1, 1),
        "norm scale": (1, 0),
        "norm shift": (1, 0),
    },
    ("deeplabv3", "deeplabv3_voc"): {"score.bias": (2, 0), "norm scale": (1, 0), "norm shift": (1, 0)},
    # voc-fcn-alexnet/net.py: only score_fr has parameters of its own.
    ("fcn32s", "fcn_alexnet_voc"): {
        "backbone.conv1.bias": (1, 1),
        "backbone.fc7.bias": (1, 1),
        "score32.weight": (1, 1),
        "score32.bias": (2, 0),
    },
    # segnet_train.prototxt.
    ("segnet", "segnet_camvid"): {
        "backbone.block1.0.weight": (1, 1),
        "backbone.block1.0.bias": (2, 0),
        "score.bias": (2, 0),
        "norm scale": (1, 1),
        "norm shift": (1, 0),
    },
    # DeepLab-MSc/train.prototxt: blobs_lr 1 and 2 in every branch.
    ("deeplabv1_msc_largefov", "deeplabv1_msc_largefov_voc"): {
        "mlps.data.conv.weight": (1, 1),
        "mlps.data.conv.bias": (2, 0),
        "scores.pool4.weight": (1, 1),
        "scores.pool4.bias": (2, 0),
    },
}


@pytest.mark.parametrize(("model", "recipe"), RECIPES, ids=[recipe for _, recipe in RECIPES])
def test_a_recipes_rules_are_those_of_the_released_training_code(model, recipe):
    config = plain(compose_config("train", [f"experiment={recipe}"]))
    node = config["optimizer"]
    backbone = {"backbone": "alexnet_pad100"} if "alexnet" in recipe else {}
    net = build_model(model, num_classes=3, width=1 / 32, **backbone)
    optimizer = instantiate(node, "optimizer", partial=True)(net)
    seen = {
        name: (g, p) for g in optimizer.param_groups for name, p in zip(g["names"], g["params"], strict=True)
    }
    norms = {name for name, m in net.named_modules() if isinstance(m, nn.BatchNorm2d)}
    kinds = {"norm scale": {f"{n}.weight" for n in norms}, "norm shift": {f"{n}.bias" for n in norms}}
    for part in ("depthwise", "pointwise"):
        kinds[part] = {name for name in seen if name.endswith(f".{part}.weight")}
    for what, (rate, decay) in RECIPES[model, recipe].items():
        names = kinds.get(what, {what})
        assert names
        for name in names:
            group = seen[name][0]
            assert group["base_lr"] == pytest.approx(rate * node["lr"])
            assert group["weight_decay"] == pytest.approx(decay * node["weight_decay"])

import copy

import pytest
import torch
from torch import nn

from segtrain import optim
from segtrain.engine.checkpoint import load_optimizer, optimizer_tensors


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

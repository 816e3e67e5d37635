import copy

import torch
from torch import nn

from segtrain.layers.gradient_checkpointing import checkpointed


def steps(net, run, count=2):
    """Gradients and buffers after some passes with dropout."""
    torch.manual_seed(0)
    for _ in range(count):
        run(net, torch.rand(3, 4, 5, 5)).square().sum().backward()
    return {k: p.grad for k, p in net.named_parameters()} | dict(net.named_buffers())


def pair():
    torch.manual_seed(1)
    net = nn.Sequential(
        nn.Conv2d(4, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Conv2d(8, 2, 1),
        nn.BatchNorm2d(2),
    )
    return net, copy.deepcopy(net)


def test_gradients_dropout_and_running_statistics_are_those_of_the_plain_call():
    plain, again = pair()
    expected, found = steps(plain, lambda net, x: net(x)), steps(again, checkpointed)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[k], found[k]) for k in expected)
    assert found["1.num_batches_tracked"] == 2  # once a pass, though computed twice
    assert found["1.running_mean"].abs().sum() > 0


def test_frozen_norms_stay_as_they_are():
    plain, again = pair()
    plain.eval(), again.eval()
    expected, found = steps(plain, lambda net, x: net(x)), steps(again, checkpointed)
    assert all(torch.equal(expected[k], found[k]) for k in expected)
    assert found["1.num_batches_tracked"] == 0


def test_nothing_but_the_inputs_waits_for_the_backward_pass():
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        net, x = pair()[0], torch.rand(3, 4, 5, 5, requires_grad=True)
        checkpointed(net, x)
        assert [k is x for k in kept if k.numel()] == [True]  # torch 2.11 keeps an empty one too
        net(x)
    assert len(kept) > 6


def test_calls_without_gradients_give_the_plain_output():
    net = pair()[0].eval()
    x = torch.rand(1, 4, 5, 5)
    with torch.inference_mode():
        assert torch.equal(checkpointed(net, x), net(x))

import copy

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from segtrain.engine.averaging import RunningAverage


def test_it_is_torchs_own_average_with_a_decay_that_grows():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))

    def average(averages, values, taken):
        decay = min(0.6, (1 + float(taken)) / (10 + float(taken)))
        for one, other in zip(averages, values, strict=True):
            one.copy_(decay * one + (1 - decay) * other)

    ours, torchs = RunningAverage(model, 0.6), AveragedModel(model, multi_avg_fn=average, use_buffers=True)
    for step in range(12):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        model(torch.randn(2, 1, 5, 5))
        ours.update(model, taken=step)
        torchs.update_parameters(model)
    expected = copy.deepcopy(torchs.module.state_dict())
    del expected["1.num_batches_tracked"]  # which torch averages too, rounded down
    for name, value in expected.items():
        assert torch.allclose(ours.module.state_dict()[name], value, atol=1e-6), name
    assert ours.module[1].num_batches_tracked == 12

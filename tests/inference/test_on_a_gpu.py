"""Every inference on a fake GPU: nothing of it lies on the host, and the host waits for nothing."""

import numpy as np
import pytest
import torch
from torch import nn

from segtrain.config.compose import CONFIG_DIR, compose_config, plain
from segtrain.config.instantiate import instantiate
from segtrain.contracts import Sample
from segtrain.engine.device import Compute
from segtrain.evaluation import predictor
from segtrain.evaluation.predictor import Predictor
from tests.fake_gpu import fake_gpu, moved

HOSTS = {"watershed", "dilatednet"}  # SciPy's; and that of one family of networks
OPTIONS = sorted({path.stem for path in (CONFIG_DIR / "inference").glob("*.yaml")} - HOSTS)


class Coarse(nn.Module):
    """A network whose logits have a stride of 8."""

    def __init__(self):
        super().__init__()
        self.score = nn.Conv2d(3, 2, 8, stride=8, padding=4)

    def forward(self, images):
        return {"out": self.score(images.float())}


def inference_of(option: str):
    keys = ["inference.scales=[0.5]"] if option in ("multi_scale", "pspnet") else []  # one of many
    config = plain(compose_config("train", [f"inference={option}", *keys]))
    return instantiate(config["inference"], "inference")


@pytest.mark.parametrize("option", OPTIONS)
def test_labels_and_confidence_stay_on_the_gpu(option, monkeypatch):
    monkeypatch.setattr(predictor, "to_device", lambda x, device: x.to(device))
    samples = [Sample(np.zeros((70, 90, 3), np.uint8), np.zeros((70, 90), np.uint8), "image")] * 2
    with fake_gpu() as gpu:
        predict = Predictor(moved(Coarse().eval()), inference_of(option), Compute(gpu, "32"))
        labels, confidence = predict.confident_labels(samples)
        alone = predict.labels(samples)
    for x in (labels, confidence, alone):
        assert (x.device.type, x.shape) == ("cuda", (2, 70, 90))
    assert labels.dtype == alone.dtype == torch.uint8

"""A network followed by the exporter, against itself."""

import warnings

import torch

from segtrain.export.network import FullSize, trace
from segtrain.input_spec import RGB8


def check_export(model, *, dynamic=True):
    whole = FullSize(model.eval(), (64, 96), RGB8).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = trace(whole, (64, 96), dynamic).module()
    for size in ((64, 96), (97, 130)) if dynamic else ((64, 96),):
        images = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8)
        with torch.inference_mode():
            ours, read = whole(images), program(images)
        assert torch.allclose(ours, read, atol=1e-4 * max(ours.abs().max().item(), 1e-9))

"""Initial values of BatchNorm."""

from torch import nn


def batch_norm_shift(module: nn.Module, shift: float = 0.001) -> None:
    """Starts the shift of every BatchNorm at 0.001, as the prototxts of DeconvNet and SegNet do."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.constant_(layer.bias, shift)

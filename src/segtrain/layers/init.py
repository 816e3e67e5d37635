"""Initial values for networks trained from scratch."""

from torch import nn


def he_normal(module: nn.Module) -> None:
    """He-normal weights and zero biases for every convolution and fully connected layer (He et al. 2015)."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def he_uniform(module: nn.Module) -> None:
    """U(-a, a), a = √(6 / fan-in), and zero biases for every convolution, transposed too (He et al. 2015)."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def batch_norm_shift(module: nn.Module, shift: float = 0.001) -> None:
    """Starts the shift of every BatchNorm at 0.001, as the prototxts of DeconvNet and SegNet do."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.constant_(layer.bias, shift)

"""The head of dilated ResNets: a 3×3 convolution, dropout and scores (PSPNet's released networks)."""

from torch import nn

from segtrain.layers.conv_bn_relu import ConvBNReLU
from segtrain.layers.init import he_normal
from segtrain.layers.score import Score

DROPOUT = 0.1


def fcn_head(channels: int, hidden_channels: int, num_classes: int) -> nn.Sequential:
    """N×channels×h×w to scores N×C×h×w, with BatchNorm and ReLU after the convolution.

    Args:
        hidden_channels: of the convolution.
        num_classes: C.
    """
    layers = nn.Sequential(
        ConvBNReLU(channels, hidden_channels, 3), nn.Dropout(DROPOUT), Score(hidden_channels, num_classes)
    )
    he_normal(layers)
    return layers

"""A classifier's fully connected layer, applied at every position of a feature map, and its mirror."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class _Fully(nn.Linear):
    """Zeros until its network gives it values: to draw 100 million numbers twice takes half a second."""

    def reset_parameters(self) -> None:
        for parameter in self.parameters(recurse=False):
            nn.init.zeros_(parameter)


class FCConv(_Fully):
    """A fully connected layer over a k×k window as a convolution of stride 1 (FCN, section 3.1).

    Equal to a k×k convolution whose weight is this one's, reshaped to outputs × channels × k × k,
    and computed as one matrix product: oneDNN's convolution repacks the 103 million weights of
    VGG16's fc6 at every call, the product reads them where they lie. A training step of FCN-8s takes
    7.0 s instead of 8.2 s, a prediction 2.5 s instead of 2.6 s (two cores, float32, `scripts/bench/fcn.py`).
    With dilation wider than the map (k = 7, dilation 4, 9×9 cells) the convolution's backward took 40 times
    as long.

    Args:
        channels: of the input; outputs: of the output; kernel: k; padding: zeros on every side;
        dilation: distance of the taps.
    """

    def __init__(self, channels: int, outputs: int, kernel: int, *, padding: int = 0, dilation: int = 1):
        super().__init__(channels * kernel * kernel, outputs)
        self.kernel, self.padding, self.dilation = kernel, padding, dilation

    def forward(self, x: Tensor) -> Tensor:
        # N × C·k·k × positions
        columns = F.unfold(x, self.kernel, dilation=self.dilation, padding=self.padding)
        rows = super().forward(columns.transpose(1, 2).flatten(0, 1))
        height = x.shape[-2] + 2 * self.padding - self.dilation * (self.kernel - 1)
        return rows.unflatten(0, (len(x), height, -1)).permute(0, 3, 1, 2)


class FCDeconv(_Fully):
    """N×channels×h×w to N×outputs×(h+k-1)×(w+k-1): every cell adds a k×k window (DeconvNet's fc6-deconv).

    Equal to a k×k transposed convolution of stride 1 without padding, whose weight is this one's,
    transposed and reshaped to channels × outputs × k × k, and computed as one matrix product: with
    4096 channels, 512 outputs and k = 7 in less than half of the time.

    Args:
        channels: of the input; outputs: of the output; kernel: k.
    """

    def __init__(self, channels: int, outputs: int, kernel: int):
        super().__init__(channels, outputs * kernel * kernel, bias=False)
        self.kernel = kernel
        self.bias = nn.Parameter(torch.zeros(outputs))  # one a channel, not one a tap

    def forward(self, x: Tensor) -> Tensor:
        rows = F.linear(x.flatten(2).transpose(1, 2), self.weight)  # N × positions × outputs·k·k
        height, width = (side + self.kernel - 1 for side in x.shape[-2:])
        return F.fold(rows.transpose(1, 2), (height, width), self.kernel) + self.bias[:, None, None]

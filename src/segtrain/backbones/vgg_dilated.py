"""VGG16 at stride 8 without its last two poolings: DilatedNet's front end.

"Multi-Scale Context Aggregation by Dilated Convolutions", Yu and Koltun, ICLR 2016,
https://arxiv.org/abs/1511.07122, section 4; the layers are the released network.py's.

pool4 and pool5 are gone, conv5 is dilated by 2 and fc6, 7×7, by 4; nothing is padded, but the
image has a mirrored border of 186 pixels. As in the authors' code cell i stands for pixel 8·i:
its receptive field's centre lies 3.5 pixels further right and down. There is a cell also for the
last pixels, so 8k pixels get k+1 cells, where the authors' crops have k; for it the border on the
right and below is 193 to 200 wide. `whole_cells=False` gives k. Input
normalisation is torchvision's, as its weights want it.
"""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from segtrain.backbones.vgg import BLOCKS, FC, block_weights, convolutions
from segtrain.errors import InputError
from segtrain.layers.backbone import FeatureInfo
from segtrain.layers.fc_conv import FCConv
from segtrain.layers.frozen import keep_frozen
from segtrain.layers.grid import Grid
from segtrain.layers.init import he_normal
from segtrain.layers.normalize import normalization
from segtrain.layers.reflect import reflect_pad
from segtrain.layers.width import scaled
from segtrain.weights import Pretrained, load_pretrained, torchvision_state

DILATIONS = (1, 1, 1, 1, 2)
FC6_DILATION = 4
POOLED = 3  # blocks that end in a pooling
STRIDE = 8
MARGIN = 186  # half of what the unpadded layers take away


class DilatedVGG16(nn.Module):
    """Features of an N×3×H×W image by stage: 32 (fc7), of stride 8, cell i on pixel 8·i.

    Args:
        padding: `reflect` is the paper's border around the image. `zeros` pads every convolution
            instead: other borders for the same cells, without 372 more rows and columns.
        dropout: after fc6 and fc7.
        in_channels: of the images; 1 takes RGB too, by its luminance.
        frozen: it is not trained, and always in eval mode.
        width: multiplies every number of channels; below 1 for tests only.
        pretrained: false, true (torchvision's ImageNet weights) or a local file of them.

    Attributes:
        feature_info: the channels and the cells of each stage.
    """

    block1: nn.Sequential
    block2: nn.Sequential
    block3: nn.Sequential
    block4: nn.Sequential
    block5: nn.Sequential

    def __init__(
        self,
        *,
        padding: Literal["reflect", "zeros"] = "reflect",
        dropout: float = 0.5,
        in_channels: int = 3,
        frozen: bool = False,
        width: float = 1.0,
        pretrained: Pretrained = False,
    ):
        super().__init__()
        self.feature_info = FeatureInfo(optional_padding=True)
        self.normalize = normalization(in_channels)
        same = padding == "zeros"
        self.margin = 0 if same else MARGIN
        channels = in_channels
        for i, (block, dilation) in enumerate(zip(BLOCKS, DILATIONS, strict=True)):
            out_channels = [scaled(out, width) for out in block]
            layers = convolutions(channels, out_channels, padding=dilation if same else 0, dilation=dilation)
            pool = [nn.MaxPool2d(2, 2)] if i < POOLED else []
            self.add_module(f"block{i + 1}", nn.Sequential(*layers, *pool))
            channels = out_channels[-1]
        fc, pad = scaled(FC, width), 3 * FC6_DILATION if same else 0
        self.fc6 = FCConv(channels, fc, 7, padding=pad, dilation=FC6_DILATION)
        self.fc7 = FCConv(fc, fc, 1)
        self.dropout = nn.Dropout(dropout)
        self.feature_info.add(32, fc, Grid(STRIDE))
        he_normal(self)
        if pretrained:
            load_pretrained(self, self.from_torchvision(torchvision_state("vgg16", pretrained)))
        keep_frozen(self, frozen)

    def forward(self, images: Tensor, *, whole_cells: bool = True) -> dict[int, Tensor]:
        height, width = images.shape[-2:]
        # To 8h pixels, h = ⌈(H-1)/8⌉+1 the cells (or ⌈H/8⌉), and the margin around them.
        below, right = (self._beyond(pixels, whole_cells) + self.margin for pixels in (height, width))
        return self._features(reflect_pad(self.normalize(images), (self.margin, right, self.margin, below)))

    def on_bordered(self, images: Tensor) -> dict[int, Tensor]:
        """Features of images that bring their border of 186 pixels: N×3×(372+8h)×(372+8w) to h×w cells.

        Raises:
            InputError: the convolutions pad with zeros.
        """
        if not self.margin:
            raise InputError(
                "model.backbone.padding must be reflect for images with a border, got zeros",
                do="add model.backbone.padding=reflect",
            )
        return self._features(self.normalize(images))

    def _features(self, x: Tensor) -> dict[int, Tensor]:
        x = self.block3(self.block2(self.block1(x)))
        x = self.block5(self.block4(x))
        x = self.dropout(F.relu(self.fc6(x), inplace=True))
        return {32: self.dropout(F.relu(self.fc7(x), inplace=True))}

    def _beyond(self, pixels: int, whole_cells: bool) -> int:
        """Pixels from the image's end to that of its last cell's 8."""
        cells = -(-(pixels - 1) // STRIDE) + 1 if whole_cells else -(-pixels // STRIDE)
        return STRIDE * cells - pixels

    def from_torchvision(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """torchvision's vgg16 under our names."""
        converted = block_weights(self, state)
        for ours, name in (("fc6", "classifier.0"), ("fc7", "classifier.3")):
            converted[f"{ours}.weight"] = state[f"{name}.weight"]
            converted[f"{ours}.bias"] = state[f"{name}.bias"]
        return converted

"""VGG16's first four blocks, each before its pooling: the backbone of Deep Contextual Networks.

"Very Deep Convolutional Networks for Large-Scale Image Recognition", Simonyan and Zisserman,
ICLR 2015, https://arxiv.org/abs/1409.1556 (configuration D), conv1_1 to conv4_3.

Names are those of the other VGGs here, so that `init_from` takes a trained DeepLab's. Pooling rounds
up, as Caffe does; input normalisation is torchvision's, as its weights want it.
"""

from torch import Tensor, nn

from segtrain.backbones.vgg import BLOCKS, block_weights, convolutions
from segtrain.layers.backbone import FeatureInfo
from segtrain.layers.frozen import keep_frozen
from segtrain.layers.grid import Grid
from segtrain.layers.init import he_normal
from segtrain.layers.normalize import normalization
from segtrain.layers.width import scaled
from segtrain.weights import Pretrained, load_pretrained, torchvision_state

DEPTH = 4


class VGG16Blocks4(nn.Module):
    """Features of an N×3×H×W or N×1×H×W image by stage: 2 (conv2_2), 4 (conv3_3), 8 (conv4_3).

    Args:
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

    def __init__(
        self,
        *,
        in_channels: int = 3,
        frozen: bool = False,
        width: float = 1.0,
        pretrained: Pretrained = False,
    ):
        super().__init__()
        self.feature_info = FeatureInfo()
        self.normalize = normalization(in_channels)
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        grid = Grid()
        channels = in_channels
        for number, block in enumerate(BLOCKS[:DEPTH], start=1):
            out_channels = [scaled(out, width) for out in block]
            self.add_module(f"block{number}", nn.Sequential(*convolutions(channels, out_channels)))
            channels = out_channels[-1]
            if number > 1:
                grid = grid.conv(2, stride=2)
                self.feature_info.add(grid.stride, channels, grid)
        he_normal(self)
        if pretrained:
            load_pretrained(self, self.from_torchvision(torchvision_state("vgg16", pretrained)))
        keep_frozen(self, frozen)

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        conv1 = self.block1(self.normalize(images))
        conv2 = self.block2(self.pool(conv1))
        conv3 = self.block3(self.pool(conv2))
        return {2: conv2, 4: conv3, 8: self.block4(self.pool(conv3))}

    def from_torchvision(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """torchvision's vgg16 under our names."""
        return block_weights(self, dict(list(state.items())[: len(self.state_dict())]))

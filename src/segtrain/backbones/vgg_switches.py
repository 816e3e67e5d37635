"""VGG16 with BatchNorm whose poolings remember where their maxima lay: SegNet's and DeconvNet's encoder.

"SegNet: A Deep Convolutional Encoder-Decoder Architecture for Image Segmentation", Badrinarayanan,
Kendall and Cipolla, PAMI 2017, https://arxiv.org/abs/1511.00561, section 3.
"Learning Deconvolution Network for Semantic Segmentation", Noh, Hong and Han, ICCV 2015,
https://arxiv.org/abs/1505.04366; the released stage_1_train.prototxt.

SegNet drops the fully connected layers, DeconvNet keeps fc6 and fc7 and gives them BatchNorm too.
Departs: weights and input normalisation are torchvision's (vgg16_bn), and with them BatchNorm's
eps of 1e-5, for 1e-9 would amplify rounding errors where a channel is constant.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from segtrain.backbones.vgg import BLOCKS, FC, block_weights, convolutions
from segtrain.layers.backbone import FeatureInfo
from segtrain.layers.batch_statistics import require_batch_statistics
from segtrain.layers.fc_conv import FCConv
from segtrain.layers.frozen import keep_frozen
from segtrain.layers.grid import pad_to
from segtrain.layers.init import batch_norm_shift, he_normal
from segtrain.layers.normalize import normalization
from segtrain.layers.unpool import Switches, pool
from segtrain.layers.width import scaled
from segtrain.weights import Pretrained, load_pretrained, torchvision_state


class SwitchesVGG16(nn.Module):
    """Features of an N×3×H×W image, and the switches of its five poolings.

    The features are pool5, N×512×⌈H/32⌉×⌈W/32⌉, or, with fully connected layers, fc7 of every 7×7
    window of pool5, N×4096×(h-6)×(w-6); a smaller pool5 is filled up with zeros to 7×7.

    Args:
        fc_channels: of fc6 and fc7, 4096 in DeconvNet; 0 leaves them out.
        in_channels: of the images; 1 takes RGB too, by its luminance.
        frozen: it is not trained, and always in eval mode.
        width: multiplies every number of channels; below 1 for tests only.
        pretrained: false, true (torchvision's ImageNet weights) or a local file of them.

    Attributes:
        pooled: channels of pool1 to pool5.
        channels: 32 -> channels of the features.
        window: a feature sees window×window cells of pool5: 7 with fully connected layers, else 1.
        grids: none: models that know no switches are to refuse this backbone (layers/stages.py).
    """

    block1: nn.Sequential
    block2: nn.Sequential
    block3: nn.Sequential
    block4: nn.Sequential
    block5: nn.Sequential

    def __init__(
        self,
        *,
        fc_channels: int = 0,
        in_channels: int = 3,
        frozen: bool = False,
        width: float = 1.0,
        pretrained: Pretrained = False,
    ):
        super().__init__()
        self.feature_info = FeatureInfo()
        self.normalize = normalization(in_channels)

        channels = in_channels
        for number, block in enumerate(BLOCKS, start=1):
            out_channels = [scaled(out, width) for out in block]
            self.add_module(
                f"block{number}", nn.Sequential(*convolutions(channels, out_channels, batch_norm=True))
            )
            channels = out_channels[-1]
            self.feature_info.pooled.append(channels)
        self.fc = nn.ModuleList()
        self.feature_info.window = 1
        if fc_channels:
            fc, self.feature_info.window = scaled(fc_channels, width), 7
            for layer in (FCConv(channels, fc, 7), FCConv(fc, fc, 1)):
                self.fc.append(nn.Sequential(layer, nn.BatchNorm2d(fc)))
            channels = fc
        self.feature_info.channels[32] = channels
        he_normal(self)
        batch_norm_shift(self)
        if pretrained:
            load_pretrained(self, self.from_torchvision(torchvision_state("vgg16_bn", pretrained)))
        keep_frozen(self, frozen)

    def forward(self, images: Tensor) -> tuple[Tensor, list[Switches]]:
        x = self.normalize(images)
        switches: list[Switches] = []
        for block in (self.block1, self.block2, self.block3, self.block4, self.block5):
            x, where = pool(block(x))
            switches.append(where)
        x = pad_to(x, self.feature_info.window)
        for layers in self.fc:
            fc, norm = layers.children()
            x = fc(x)
            require_batch_statistics(norm, x)
            x = F.relu(norm(x), inplace=True)
        return x, switches

    def from_torchvision(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """torchvision's vgg16_bn tensors under our names, and our own where it has none that fit.

        These are the BatchNorm after fc6 and fc7, and both of them if they are narrower than 4,096.
        """
        converted = {**self.state_dict(), **block_weights(self, state)}
        if self.feature_info.channels[32] == FC:
            for ours, name in (("fc.0.0", "classifier.0"), ("fc.1.0", "classifier.3")):
                converted[f"{ours}.weight"] = state[f"{name}.weight"]
                converted[f"{ours}.bias"] = state[f"{name}.bias"]
        return converted

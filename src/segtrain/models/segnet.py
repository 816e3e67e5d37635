"""SegNet and SegNet-Basic.

"SegNet: A Deep Convolutional Encoder-Decoder Architecture for Image Segmentation", Badrinarayanan,
Kendall and Cipolla, PAMI 2017, https://arxiv.org/abs/1511.00561.

The decoder unpools by the encoder's pooling indices, so that nothing but these has to be kept, and
makes the sparse maps dense by convolutions. SegNet mirrors VGG16 without fully connected layers and
ends in a 3×3 convolution to the classes (section 3); SegNet-Basic has four 7×7 convolutions of 64
channels each way and no ReLU in the decoder (section 3.1). Layers and initial values follow the
released segnet_train.prototxt and segnet_basic_train.prototxt: convolutions before BatchNorm have
biases (not in the paper's Basic), Basic's image passes a local response normalisation (the
paper's is a local contrast normalisation), no dropout (the paper: 0.5 in the deeper layers).
Departs: any image size; BatchNorm's eps is torch's 1e-5 instead of 1e-9, and its statistics are
running means, not those of one more epoch at the end.
"""

from torch import Tensor, nn

from segtrain.layers.backbone import Backbone, require_switches
from segtrain.layers.init import batch_norm_shift, he_normal
from segtrain.layers.normalize import normalization
from segtrain.layers.score import Score
from segtrain.layers.unpool import UnpoolingDecoder, pool, unpool
from segtrain.layers.width import scaled

CONVOLUTIONS = (3, 3, 3, 2, 1)  # conv5_*_D to conv1_2_D; conv1_1_D is the score
BASIC_CHANNELS = 64
BASIC_DEPTH = 4


class SegNet(nn.Module):
    """Images N×3×H×W (uint8 or float RGB in 0..255) to {"out": logits N×C×H×W}.

    Args:
        backbone: gives pool5 and the switches of its five poolings.
        num_classes: C.

    Raises:
        InputError: the backbone gives no switches, or has fully connected layers.
    """

    backbone: Backbone

    def __init__(self, *, backbone: Backbone, num_classes: int):
        super().__init__()
        require_switches(self, backbone, window=1)
        self.backbone = backbone
        self.decoder = UnpoolingDecoder(nn.Conv2d, backbone.feature_info.pooled, CONVOLUTIONS)
        self.score = Score(backbone.feature_info.pooled[0], num_classes, kernel=3)
        he_normal(self.decoder)
        he_normal(self.score)
        batch_norm_shift(self.decoder)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"out": self.score(self.decoder(*self.backbone(images)))}


class SegNetBasic(nn.Module):
    """Images N×3×H×W (uint8 or float RGB in 0..255) to {"out": logits N×C×H×W}.

    Args:
        num_classes: C.
        in_channels: of the images; 1 takes RGB too, by its luminance.
        width: multiplies the number of channels; below 1 for tests only.
    """

    def __init__(self, *, num_classes: int, in_channels: int = 3, width: float = 1.0):
        super().__init__()
        channels = scaled(BASIC_CHANNELS, width)
        # The prototxt subtracts no mean: the grey levels as they are, each divided by its neighbours'.
        self.normalize = normalization(in_channels, (0.0,) * 3, (1.0,) * 3)
        self.contrast = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75)
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        for i in range(BASIC_DEPTH):
            conv = nn.Conv2d(channels if i else in_channels, channels, 7, padding=3)
            self.encoder.append(nn.Sequential(conv, nn.BatchNorm2d(channels), nn.ReLU(inplace=True)))
            conv = nn.Conv2d(channels, channels, 7, padding=3)
            self.decoder.append(nn.Sequential(conv, nn.BatchNorm2d(channels)))
        self.score = Score(channels, num_classes)
        he_normal(self)
        batch_norm_shift(self)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        x, switches = self.contrast(self.normalize(images)), []
        for block in self.encoder:
            x, where = pool(block(x))
            switches.append(where)
        for block, where in zip(self.decoder, reversed(switches), strict=True):
            x = block(unpool(x, where))
        return {"out": self.score(x)}

"""DeconvNet.

"Learning Deconvolution Network for Semantic Segmentation", Noh, Hong and Han, ICCV 2015,
https://arxiv.org/abs/1505.04366.

VGG16 up to fc7 shrinks a 224×224 window to one cell; a mirrored network of unpoolings, which put
values back where the encoder's maxima lay, and of deconvolutions, which fill what lies between,
brings it back to full size. Layers, channels and initial values follow the released
stage_1_train.prototxt; BatchNorm after every layer but the score, no dropout.
Departs: any image size (the paper's windows are 224×224): pool5 smaller than fc6 is filled up
with zeros, which are cut off again, larger images are scored by sliding fc6. BatchNorm's eps is
torch's 1e-5 instead of 1e-9, and its statistics are running means, not those of one more epoch at the end.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from segtrain.layers.backbone import Backbone, require_switches
from segtrain.layers.fc_conv import FCDeconv
from segtrain.layers.grid import crop
from segtrain.layers.init import batch_norm_shift
from segtrain.layers.score import Score
from segtrain.layers.unpool import UnpoolingDecoder

FC6_KERNEL = 7
DECONVOLUTIONS = (3, 3, 3, 2, 2)  # deconv5_* to deconv1_*


class DeconvNet(nn.Module):
    """Images N×3×H×W (uint8 or float RGB in 0..255) to {"out": logits N×C×H×W}.

    Args:
        backbone: gives fc7 and the switches of its five poolings.
        num_classes: C.

    Raises:
        InputError: the backbone gives no switches, or no fc7.
    """

    backbone: Backbone

    def __init__(self, *, backbone: Backbone, num_classes: int):
        super().__init__()
        require_switches(self, backbone, window=FC6_KERNEL)
        self.backbone = backbone
        pooled = backbone.feature_info.pooled
        self.fc6_deconv = FCDeconv(backbone.feature_info.channels[32], pooled[-1], FC6_KERNEL)
        self.fc6_deconv_bn = nn.BatchNorm2d(pooled[-1])
        self.decoder = UnpoolingDecoder(nn.ConvTranspose2d, pooled, DECONVOLUTIONS)
        self.score = Score(pooled[0], num_classes)
        for layer in (self.fc6_deconv, *self.decoder.modules(), self.score):
            if isinstance(layer, FCDeconv | nn.ConvTranspose2d | Score):
                nn.init.normal_(layer.weight, std=0.01)
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)
        batch_norm_shift(self.fc6_deconv_bn)
        batch_norm_shift(self.decoder)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        fc7, switches = self.backbone(images)  # N×4096×1×1 for 224×224 pixels
        x = F.relu(self.fc6_deconv_bn(self.fc6_deconv(fc7)))  # 7×7
        x = crop(x, 0, 0, switches[-1].indices.shape[-2:])  # pool5's size, if that was filled up
        return {"out": self.score(self.decoder(x, switches))}

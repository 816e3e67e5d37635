"""DeepLab v1: DeepLab-LargeFOV.

"Semantic Image Segmentation with Deep Convolutional Nets and Fully Connected CRFs", Chen,
Papandreou, Kokkinos, Murphy and Yuille, ICLR 2015, https://arxiv.org/abs/1412.7062.

One 1×1 classifier on a VGG16 whose holes keep the stride at 8. Training compares its logits with
every 8th label (`loss=deeplab`), prediction upsamples them by 8 with corners aligned, and the
dense CRF restores the borders (`crf=true`, `dense_crf=deeplabv1`). The classifier starts from a
Gaussian of deviation 0.01, and learns ten times as fast as the backbone.
"""

from torch import Tensor, nn

from segtrain.layers.score import Score
from segtrain.layers.stages import require_on_pixels


class DeepLabV1(nn.Module):
    """Images N×3×H×W (uint8 or float RGB in 0..255) to {"out": logits N×C×⌈(H-1)/8⌉+1×⌈(W-1)/8⌉+1}.

    Args:
        backbone: its last stage, of stride 8, is scored.
        num_classes: C.
    """

    def __init__(self, *, backbone: nn.Module, num_classes: int):
        super().__init__()
        self.backbone = backbone
        require_on_pixels(self, backbone, [32])
        self.score = Score(backbone.channels[32], num_classes)
        nn.init.normal_(self.score.weight, std=0.01)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"out": self.score(self.backbone(images)[32])}

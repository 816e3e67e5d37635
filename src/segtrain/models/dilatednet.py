"""DilatedNet: the front end alone, and with the context module (Dilation8, Dilation10).

"Multi-Scale Context Aggregation by Dilated Convolutions", Yu and Koltun, ICLR 2016,
https://arxiv.org/abs/1511.07122.

A 1×1 classifier on a VGG16 without pool4 and pool5, and a context module of dilated convolutions
on its scores. The front end is trained first (`init_from=` takes its checkpoint: names are the
same), then the module, alone (`freeze_front_end`: on VOC, section 5) or with it (appendix A). As
released, the module sees raw scores and its first layer truncates them. So at step 0 Basic gives
max(score, 0): it changes no label whose score is positive, and training with softmax, which leaves
the classes' scores summing to about zero, makes the largest so; Large does the same within its
noise. Departs: Dilation10's fixed deconvolution, whose cells lie 3.5 pixels further right and down, is
left to the resizing of logits with cell i on pixel 8·i, as in the other nets; `upsampling: deconv` is it.
The authors' predict.py works in tiles and interpolates probabilities: `inference=dilatednet`.
"""

from typing import Any, Literal, cast

from torch import Tensor, nn

from segtrain.layers.backbone import Backbone, require_choice_of_padding, require_on_pixels
from segtrain.layers.bilinear import BilinearDeconv
from segtrain.layers.context import ContextModule
from segtrain.layers.grid import crop
from segtrain.layers.score import Score

STRIDE = 8


class DilatedNet(nn.Module):
    """Images N×3×H×W (uint8 or float RGB in 0..255) to {"out": logits N×C×⌈(H-1)/8⌉+1×⌈(W-1)/8⌉+1}.

    Args:
        backbone: its last stage, of stride 8, is scored.
        num_classes: C.
        dilations: of the context module's 3×3 layers; none for the front end alone.
        multipliers: of the classes, the channels of those layers: ones for Basic.
        pad_once: the zeros for all layers of the context module go around its input.
        freeze_front_end: the context module learns alone, on scores without dropout.
        upsampling: by the network itself, as released for Cityscapes: `out` is then N×C×H×W.
    """

    backbone: Backbone

    def __init__(
        self,
        *,
        backbone: Backbone,
        num_classes: int,
        dilations: list[int],
        multipliers: list[int],
        pad_once: bool = False,
        freeze_front_end: bool = False,
        upsampling: Literal["none", "deconv"] = "none",
    ):
        super().__init__()
        self.backbone = backbone
        require_on_pixels(self, backbone, [32])
        self.score = Score(backbone.feature_info.channels[32], num_classes)
        nn.init.normal_(self.score.weight, std=0.001)
        self.context: nn.Module = nn.Identity()
        if dilations:
            self.context = ContextModule(num_classes, dilations, multipliers, pad_once=pad_once)
        deconv = upsampling == "deconv"
        if deconv:
            require_choice_of_padding(self, backbone)
        self.upsample = BilinearDeconv(num_classes, 2 * STRIDE, STRIDE) if deconv else None
        self.freeze_front_end = freeze_front_end
        if freeze_front_end:
            cast(nn.Module, self.backbone).requires_grad_(False)
            self.score.requires_grad_(False)

    def train(self, mode: bool = True) -> "DilatedNet":
        super().train(mode)
        if self.freeze_front_end:
            cast(nn.Module, self.backbone).eval()
        return self

    def _front_end(self, images: Tensor) -> Tensor:
        """The features; the authors' deconvolution takes those of images that are not padded."""
        features = (
            self.backbone(images) if self.upsample is None else self.backbone(images, whole_cells=False)
        )
        return features[32]

    @property
    def margin(self) -> int:
        """Width of the mirrored border that the backbone puts around images."""
        return cast(Any, self.backbone).margin

    def on_bordered(self, images: Tensor) -> Tensor:
        """The logits of images that bring the border of 186 pixels: those of released nets on their inputs.

        Args:
            images: N×3×(372+8h)×(372+8w), uint8 or float RGB in 0..255.

        Returns:
            N×C×h×w; N×C×8h×8w with `upsampling: deconv`.

        Raises:
            InputError: the backbone pads with zeros.
        """
        logits = self.context(self.score(cast(Any, self.backbone).on_bordered(images)[32]))
        if self.upsample is None:
            return logits
        size = [STRIDE * cells for cells in logits.shape[-2:]]
        return crop(self.upsample(logits), STRIDE // 2, STRIDE // 2, size)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        logits = self.context(self.score(self._front_end(images)))
        if self.upsample is None:
            return {"out": logits}
        return {"out": crop(self.upsample(logits), STRIDE // 2, STRIDE // 2, images.shape[-2:])}

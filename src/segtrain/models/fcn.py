"""FCN-32s, FCN-16s, FCN-8s.

"Fully Convolutional Networks for Semantic Segmentation", Long, Shelhamer and Darrell,
CVPR 2015, https://arxiv.org/abs/1411.4038; PAMI 2017, https://arxiv.org/abs/1605.06211.

A classifier turned into convolutions scores each stride-32 cell; finer scores from earlier
layers are added to the upsampled coarse ones (sum, after scoring: section 4.2); bilinear
deconvolutions bring the result to the image's size. Crops follow from the layers' coordinate
maps and are the released prototxts' own: 19, 27, 31, 5, 9 on VGG16, 18 on AlexNet.
`backbone.padding=100` is the paper's form; the default pads by 1, takes the same weights and
differs in the image's borders only. The 2× deconvolutions stay fixed as in the released code;
`learn_upsampling` learns them as in the paper (section 4.3).
"""

from collections.abc import Iterator

from torch import Tensor, nn

from segtrain.layers.backbone import Backbone, require_strides
from segtrain.layers.bilinear import BilinearDeconv
from segtrain.layers.grid import Grid, bilinear_kernel_size, crop
from segtrain.layers.score import Score

AT_ONCE_SCALES = {16: 1e-2, 8: 1e-4}  # voc-fcn8s-atonce: scale_pool4, scale_pool3


class FCN(nn.Module):
    """Images N×3×H×W (uint8 or float RGB in 0..255) to {"out": logits N×C×H×W}.

    Args:
        backbone: gives features by stride, with `channels` and `grids`.
        num_classes: C.
        stride: 32, 16 or 8: of the finest scores that take part.
        at_once: the finer scores are damped by constants, for training in one stage.
        learn_upsampling: the 2× deconvolutions are learned.
    """

    backbone: Backbone

    def __init__(
        self,
        *,
        backbone: Backbone,
        num_classes: int,
        stride: int,
        at_once: bool = False,
        learn_upsampling: bool = False,
    ):
        super().__init__()
        self.backbone = backbone
        self.strides = [s for s in (16, 8) if s >= stride]
        require_strides(self, backbone, [32, *self.strides])
        self.scales = AT_ONCE_SCALES if at_once else {}

        self.score32 = Score(backbone.feature_info.channels[32], num_classes)
        grid = backbone.feature_info.grids[32]
        for s in self.strides:
            self.add_module(f"score{s}", Score(backbone.feature_info.channels[s], num_classes))
            kernel = bilinear_kernel_size(grid, backbone.feature_info.grids[s])
            self.add_module(f"upscore{s}", BilinearDeconv(num_classes, kernel, 2, learned=learn_upsampling))
            grid = backbone.feature_info.grids[s]
        kernel = bilinear_kernel_size(grid, Grid())
        self.upscore = BilinearDeconv(num_classes, kernel, stride)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        *_, (scores, grid) = self.fused(self.backbone(images))
        grid = grid.deconv(self.upscore.kernel, self.upscore.stride)
        offset = round(grid.index_of(Grid()))
        return {"out": crop(self.upscore(scores), offset, offset, images.shape[-2:])}

    def fused(self, features: dict[int, Tensor]) -> Iterator[tuple[Tensor, Grid]]:
        """The scores of stride 32, then those with each finer stage's added: FCN-32s, -16s, -8s in one.

        Yields:
            Scores N×C×h×w and where their cells lie.
        """
        grids = self.backbone.feature_info.grids
        scores, grid = self.score32(features[32]), grids[32]
        yield scores, grid
        for s in self.strides:
            upscore = self.get_submodule(f"upscore{s}")
            assert isinstance(upscore, BilinearDeconv)
            feature = features[s] * self.scales[s] if s in self.scales else features[s]
            finer = self.get_submodule(f"score{s}")(feature)
            scores, grid = add_aligned(upscore(scores), grid.deconv(upscore.kernel, 2), finer, grids[s])
            yield scores, grid


def add_aligned(a: Tensor, a_grid: Grid, b: Tensor, b_grid: Grid) -> tuple[Tensor, Grid]:
    """The sum of two score maps of one stride where both have cells, and that region's grid."""
    shift = round(a_grid.index_of(b_grid))  # cell 0 of b lies on cell `shift` of a
    a_first, b_first = max(shift, 0), max(-shift, 0)
    height = min(a.shape[-2] - a_first, b.shape[-2] - b_first)
    width = min(a.shape[-1] - a_first, b.shape[-1] - b_first)
    size = (height, width)
    grid = Grid(a_grid.stride, a_grid.offset + a_grid.stride * a_first)
    return crop(a, a_first, a_first, size) + crop(b, b_first, b_first, size), grid

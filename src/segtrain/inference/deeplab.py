"""DeepLab's crop: the image in the corner of a square of the mean colour."""

from torch import Tensor

from segtrain.contracts import Inference, Network, Rows
from segtrain.errors import InputError
from segtrain.inference.border import bordered
from segtrain.inference.whole import Whole


class DeepLabCrop:
    """The whole image in the upper left corner of a square that the mean colour fills, whose logits
    beside the image are dropped: how DeepLab v1 and v2 (Chen et al. 2015, 2016) were evaluated.

    `crop_size: 513` of the released test.prototxt files, which is larger than any image of VOC; the
    position is that of the released data_transformer.cpp. The network sees the border: its logits near
    the image's right and lower edge differ from those of the image alone. An image side longer than the
    square is left as it is, where the authors' code would cut out the image's middle.

    Args:
        crop: side of the square in pixels; 8k+1 as the network was trained.
        colour: R, G and B of the border: the mean that the authors subtract, so that it is zero to their
            networks.
        base: the inference applied to the square.

    Raises:
        InputError: a crop without pixels, or a colour that is none.

    Example:
        >>> DeepLabCrop()(network, images, names)(0, images.shape[-2])  # N×C×H×W
    """

    def __init__(
        self,
        *,
        crop: int = 513,
        colour: tuple[float, ...] = (122.675, 116.669, 104.008),
        base: Inference | None = None,
    ):
        if crop < 1:
            raise InputError(f"inference.crop must be at least 1, got {crop}", do="513 is the authors'")
        if len(colour) != 3 or not all(0 <= value <= 255 for value in colour):
            raise InputError(
                f"inference.colour must be R, G and B from 0 to 255, got {list(colour)}",
                do="give three numbers, as [122.675,116.669,104.008]",
            )
        self.crop, self.colour, self.base = crop, tuple(colour), base or Whole()

    def __call__(self, network: Network, images: Tensor, names: list[str]) -> Rows:
        height, width = images.shape[-2:]
        square = bordered(images, (max(height, self.crop), max(width, self.crop)), colour=self.colour)
        rows = self.base(network, square, names)
        return lambda start, stop: rows(start, stop)[..., :width]

from torch import Tensor

from segtrain.inference.rows import Network, Rows, logits, rows_of, whole


class Averaged:
    """The mean of the class probabilities over the image's four right-angle turns, each mirrored too.

    U-Net (Ronneberger et al. 2015, Table 1) averages over seven turned versions of the image, which
    they are is not said; FusionNet (Quan et al. 2016) over those that it trains on. Rows of a turned
    image are columns: the scores of the whole image exist.
    """

    def __call__(self, network: Network, images: Tensor, names: list[str]) -> Rows:
        total = 0
        for turns in range(4):
            turned = images.rot90(turns, (2, 3))
            upright, mirrored = (whole(network(x), x.shape[-2], softmax) for x in (turned, turned.flip(3)))
            total = total + (upright + mirrored.flip(3)).rot90(-turns, (2, 3))
        return rows_of(logits(total / 8))


def softmax(scores: Tensor) -> Tensor:
    return scores.softmax(1)

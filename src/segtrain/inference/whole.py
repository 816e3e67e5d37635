"""The whole image at once."""

from torch import Tensor

from segtrain.contracts import Network, Rows


class Whole:
    """The whole image at once."""

    def __call__(self, network: Network, images: Tensor, names: list[str]) -> Rows:
        return network(images)

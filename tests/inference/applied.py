from torch import Tensor

from segtrain.inference.rows import rows_of, whole


def applied(way, network, images: Tensor) -> Tensor:
    """All the logits N×C×H×W that a way of inference makes of a network, images to logits of their size."""
    names = ["image"] * len(images)
    return whole(way(lambda seen: rows_of(network(seen)), images, names), images.shape[-2])

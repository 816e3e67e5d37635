from torch import Tensor

from segtrain.inference.rows import all_rows, rows_of


def applied(way, network, images: Tensor) -> Tensor:
    """All the logits N×C×H×W that a way of inference makes of a network, images to logits of their size."""
    names = ["image"] * len(images)
    return all_rows(way(lambda seen: rows_of(network(seen)), images, names), images.shape[-2])

"""VGG16's convolutions by Caffe's names, and by ours."""

CONVOLUTIONS = (2, 2, 3, 3, 3)  # of each block


def vgg16(*, norm: str | None = None) -> dict[str, str]:
    """conv1_1 to conv5_3 -> the backbone's layers.

    Args:
        norm: what the BatchNorms are called, with `{}` for 1_1 to 5_3; None if there are none.
    """
    layers, width = {}, 3 if norm else 2  # of a convolution, [BatchNorm,] ReLU
    for block, convolutions in enumerate(CONVOLUTIONS, start=1):
        for i in range(convolutions):
            number = f"{block}_{i + 1}"
            layers[f"conv{number}"] = f"backbone.block{block}.{width * i}"
            if norm:
                layers[norm.format(number)] = f"backbone.block{block}.{width * i + 1}"
    return layers

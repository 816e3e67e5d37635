"""VGG16's convolutions by Caffe's names, and by ours."""

CONVOLUTIONS = (2, 2, 3, 3, 3)  # of each block


def vgg16(*, norm: str | None = None) -> dict[str, str]:
    """Names VGG16's convolutions, conv1_1 to conv5_3.

    Args:
        norm: what the BatchNorms are called, with `{}` for 1_1 to 5_3; None if there are none.

    Returns:
        Caffe's layers -> our backbone's.

    Example:
        >>> vgg16()["conv1_2"]
        "backbone.block1.2"
    """
    layers, width = {}, 3 if norm else 2  # of a convolution, [BatchNorm,] ReLU
    for block, convolutions in enumerate(CONVOLUTIONS, start=1):
        for i in range(convolutions):
            number = f"{block}_{i + 1}"
            layers[f"conv{number}"] = f"backbone.block{block}.{width * i}"
            if norm:
                layers[norm.format(number)] = f"backbone.block{block}.{width * i + 1}"
    return layers

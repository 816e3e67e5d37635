"""DeepLab v3's head in torchvision's naming, which others took over."""


def aspp(theirs: str) -> dict[str, str]:
    """Names the layers of DeepLab v3's head in torchvision's form.

    Args:
        theirs: the layer that holds it.

    Returns:
        Their layers -> ours.

    Example:
        >>> aspp("classifier.0")["classifier.0.project"]
        "aspp.project"
    """
    layers = {f"{theirs}.convs.{i}": f"aspp.views.{i}" for i in range(4)}
    layers |= {f"{theirs}.convs.4.1": "aspp.image_pooling.0", f"{theirs}.convs.4.2": "aspp.image_pooling.1"}
    return layers | {f"{theirs}.project": "aspp.project"}

"""DeepLab v3's head in torchvision's naming, which others took over."""


def aspp(theirs: str) -> dict[str, str]:
    """Their layers below `theirs` -> ours."""
    layers = {f"{theirs}.convs.{i}": f"aspp.views.{i}" for i in range(4)}
    layers |= {f"{theirs}.convs.4.1": "aspp.image_pooling.0", f"{theirs}.convs.4.2": "aspp.image_pooling.1"}
    return layers | {f"{theirs}.project": "aspp.project"}

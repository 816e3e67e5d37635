"""The output stride: a choice of strides and dilation that leaves a backbone's weights as they are."""

from collections.abc import Iterable

from segtrain.errors import InputError
from segtrain.layers.backbone import Backbone, HasOutputStride, use_stages


def set_output_stride(user: object, backbone: Backbone, output_stride: int, stages: Iterable[int]) -> None:
    """Gives `backbone` this stride of its deepest features, for a model that reads `stages`.

    Raises:
        InputError: it has no such choice, or lacks a stage.
    """
    if not isinstance(backbone, HasOutputStride):
        raise InputError(
            f"model/backbone: {type(user).__name__} chooses the output stride, which is fixed in"
            f" {type(backbone).__name__}",
            do="choose a ResNet or Xception, or leave it out for the model's own",
        )
    backbone.set_output_stride(output_stride)
    use_stages(user, backbone, stages)

"""sadeepj/crfasrnn_pytorch: FCN-8s of pytorch-fcn with CRF-RNN's layer on top.

Their layer learns a matrix a kernel and one of compatibility for both; each of ours is their product.
The lattice of the layer sees plain RGB here and B, G, R minus the mean there: filtered values differ by
what the lattice approximates.
"""

import torch
from torch import Tensor, nn

from segtrain.converters.fcn import fcn
from segtrain.converters.network import Node, PublishedNetwork, State, require

MEAN = (123.68, 116.779, 103.939)
LAYER = "crfrnn."
KERNELS = ("spatial_ker_weights", "bilateral_ker_weights")  # in the order of ours
SHARED = f"{LAYER}compatibility_matrix"


def network(state: State, node: Node) -> PublishedNetwork:
    """Maps CRF-RNN.

    Args:
        state: the published tensors by their names.
        node: the config of our model, as its YAML composes.

    Returns:
        How the tensors go into our model; see `PublishedNetwork`.

    Raises:
        InputError: the format has no such network.
    """
    require(node, "CRFasRNN")
    below = {name: tensor for name, tensor in state.items() if not name.startswith(LAYER)}
    inside = fcn(below, node["network"], MEAN)
    product = "multiplied by the compatibility into one matrix a kernel"
    return inside._replace(
        layers={theirs: f"network.{ours}" for theirs, ours in inside.layers.items()}
        | {"mean_field.compatibility": "mean_field.compatibility"},
        form={f"network.{key}": value for key, value in inside.form.items()},
        images=tuple(f"network.{layer}" for layer in inside.images),
        dropped={
            **inside.dropped,
            "upscore2.bias": "added to score_pool4's, with which it is summed",
            **dict.fromkeys((SHARED, *(LAYER + name for name in KERNELS)), product),
        },
        prepare=_prepare,
        note="the lattice sees plain RGB, theirs B, G, R minus the mean",
    )


def _prepare(model: nn.Module, state: State) -> dict[str, Tensor]:
    """The matrices, which cost where theirs attract, and the bias of the first upsampling."""
    made = {}
    if "upscore2.bias" in state and "score_pool4.bias" in state:
        made["score_pool4.bias"] = state["score_pool4.bias"] + state["upscore2.bias"]
    for k, name in enumerate(KERNELS):
        if SHARED in state and LAYER + name in state:
            product = torch.mm(state[SHARED], state[LAYER + name])
            made[f"mean_field.compatibility.{k}"] = -product.T
    return made

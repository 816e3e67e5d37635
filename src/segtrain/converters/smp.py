"""segmentation_models.pytorch: DeepLabV3 with a ResNet-50 or 101 as encoder.

Its files do not say their `encoder_output_stride` and `decoder_atrous_rates`: its defaults, 8 and
12, 24, 36, are taken where the user says nothing; `model.output_stride=16` is another stride, with the
same rates, and `model.rates` are rates at a stride of 16, twice as large at 8.

Its other networks carry their papers' names and have another form than the papers': they are
refused, with the difference.
"""

from segtrain.converters.aspp import aspp
from segtrain.converters.network import Node, PublishedNetwork, State, require
from segtrain.converters.resnet import depth
from segtrain.errors import InputError

# The start of a tensor's name -> what it is the mark of, and how that differs from ours.
OTHERS = {
    "decoder.psp.": "PSPNet cuts the encoder off at stride 8 without dilation, and fuses by 1×1, ours by 3×3",
    "decoder.aspp.0.convs.": "DeepLabV3Plus has separable convolutions without BatchNorm inside, and one"
    " 3×3 after ASPP and one in the decoder, ours two in the decoder",
    "decoder.blocks.0.conv1.": "U-Net has a ResNet as encoder and resizes to nearest, ours is the paper's",
}
RATES = (12, 24, 36)
FIRST = {"aspp": "aspp", "conv": "head.0", "bn": "head.1"}  # of the decoder
FORMERLY = {"0": "aspp", "1": "head.0", "2": "head.1"}


def network(state: State, node: Node) -> PublishedNetwork:
    """Maps DeepLabV3 of segmentation_models.pytorch.

    Args:
        state: the published tensors by their names.
        node: the config of our model, as its YAML composes.

    Returns:
        How the tensors go into our model; see `PublishedNetwork`.

    Raises:
        InputError: one of its other networks, or tensors that are no ResNet-50 or 101.
    """
    for start, difference in OTHERS.items():
        if any(name.startswith(start) for name in state):
            raise InputError(f"format=smp: its {difference}", do="train ours, or import DeepLabV3")
    require(node, "DeepLabV3", "StretchedDeepLabV3")
    names = FORMERLY if any(name.startswith("decoder.0.") for name in state) else FIRST
    layers = {"encoder": "backbone", "segmentation_head.0": "score"}
    for theirs, ours in names.items():
        layers |= aspp(f"decoder.{theirs}") if ours == "aspp" else {f"decoder.{theirs}": ours}
    return PublishedNetwork(
        layers=layers,
        form={
            "head": "torchvision",
            "output_stride": 8,
            "_target_": "segtrain.converters.stretched.StretchedDeepLabV3",
            "align_corners": True,
            "backbone.depth": depth(state, "encoder.layer3."),
            "backbone.multi_grid": [1, 1, 1],
            "backbone.dilation": "every_block",
        },
        derived=rates,
        note="the file does not say the encoder's output stride and the rates: they are taken for smp's"
        " defaults unless model.output_stride= and model.rates= are given",
        dropped={"classification_head": "its classifier of whole images"},
    )


def rates(node: Node) -> dict[str, list[int]]:
    """smp's default rates at the model's output stride; ours are those at a stride of 16."""
    return {"rates": [rate * int(node["output_stride"]) // 16 for rate in RATES]}

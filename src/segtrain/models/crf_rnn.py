"""CRF-RNN: a network and the dense CRF's mean field on top of it, trained as one.

"Conditional Random Fields as Recurrent Neural Networks", Zheng, Jayasumana, Romera-Paredes, Vineet, Su,
Du, Huang and Torr, ICCV 2015, https://arxiv.org/abs/1502.03240.

The network is FCN-8s, trained before by itself (`init_from`); mean field has 5 iterations in training
and 10 in testing (section 6), a Potts compatibility to begin with, and the released layer's kernels:
stds 160 pixels and 3 grey levels, and 3 pixels; weights 5 and 3; filtered values are divided by the
filter of ones. Here each kernel learns one matrix, the product of theirs: they learn a matrix a kernel,
which starts as its weight times one, and a matrix of compatibility that both share.
"""

import torch
from torch import Tensor, nn

from segtrain.errors import InputError
from segtrain.input_spec import RGB_CHANNELS
from segtrain.layers.normalize import IMAGENET_MEAN, IMAGENET_STD, Normalize


class CRFasRNN(nn.Module):
    """Images N×3×H×W (uint8 or float RGB in 0..255) to {"out": logits N×C×H×W}, those after mean field.

    Args:
        network: gives logits of the images' size, as FCN does.
        mean_field: from images and logits to logits.
    """

    def __init__(self, *, network: nn.Module, mean_field: nn.Module):
        super().__init__()
        self.network, self.mean_field = network, mean_field
        self.register_load_state_dict_pre_hook(_take_the_network_alone)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        outputs = self.network(images)
        if outputs["out"].shape[-2:] != images.shape[-2:]:
            raise InputError("model.network gives coarse logits", do="give an FCN, which upsamples them")
        return outputs | {"out": self.mean_field(self._colours(images), outputs["out"])}

    def _colours(self, images: Tensor) -> Tensor:
        """What the mean field compares: RGB in 0..255; of other images the first three channels, by the
        network's own normalisation."""
        if images.shape[1] == RGB_CHANNELS and images.dtype == torch.uint8:
            return images
        own = next((layer for layer in self.network.modules() if isinstance(layer, Normalize)), None)
        if own is None or (images.shape[1] == RGB_CHANNELS and not own.changed):
            return images
        shown = own(images)
        if shown.shape[1] < RGB_CHANNELS:
            shown = shown[:, :1].expand(-1, RGB_CHANNELS, -1, -1)
        return shown[:, :RGB_CHANNELS] * IMAGENET_STD[0] + IMAGENET_MEAN[0]


def _take_the_network_alone(model: CRFasRNN, state: dict[str, Tensor], *_) -> None:
    """Weights of the network by itself are its weights here: the stage before had no CRF."""
    for name, own in model.network.state_dict().items():
        if name in state and state[name].shape == own.shape:
            state[f"network.{name}"] = state.pop(name)

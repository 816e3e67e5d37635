"""The input normalisation that a backbone owns, or a model without one."""

import torch
from torch import Tensor, nn

from segtrain.input_spec import RGB_CHANNELS, WHITE, InputSpec

IMAGENET_MEAN = (123.675, 116.28, 103.53)  # torchvision's 0.485, 0.456, 0.406 of 255
IMAGENET_STD = (58.395, 57.12, 57.375)  # 0.229, 0.224, 0.225 of 255
GREY_MEAN = (117.04,)  # their sums, weighted as in a luminance
GREY_STD = (57.53,)


class Normalize(nn.Module):
    """uint8 or float RGB in 0..255, N×3×H×W, to float32 of about zero mean and unit variance.

    Weights that were trained with other numbers bring them along: `mean` and `std` are in the
    state dict where they are not those that the network was built with, and are taken from one
    that has them.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple = IMAGENET_MEAN, std: tuple = IMAGENET_STD):
        super().__init__()
        self.built = {"mean": mean, "std": std}
        for name, values in self.built.items():
            self.register_buffer(name, torch.tensor(values).view(-1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return (images.float() - self.mean) / self.std

    @property
    def changed(self) -> bool:
        """Whether the numbers are others than the network was built with."""
        return any(_differ(self.get_buffer(name), values) for name, values in self.built.items())

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        super()._save_to_state_dict(destination, prefix, keep_vars)
        own = {name: self.get_buffer(name) for name in self.built}
        if self.changed:
            destination.update({f"{prefix}{name}": values for name, values in own.items()})

    def _load_from_state_dict(self, state_dict, prefix, *others):
        for name in self.built:
            given, own = state_dict.get(f"{prefix}{name}"), self.get_buffer(name)
            if given is not None and given.shape == own.shape:
                own.copy_(given)
                del state_dict[f"{prefix}{name}"]  # or it counts as unexpected
        super()._load_from_state_dict(state_dict, prefix, *others)


def set_input(model: nn.Module, spec: InputSpec) -> None:
    """Makes a network's input normalisation that of a data set's images.

    A spec with a mean and a std replaces the network's own; one with a range maps it to 0..255, for
    which the network's own are. RGB with 8 bits changes nothing.
    """
    if spec.is_rgb8 and not spec.mean and not spec.low:
        return
    for module in model.modules():
        if isinstance(module, Normalize) and module.mean.numel() == spec.channels:
            mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (spec.mean, spec.std))
            if not spec.mean:
                low, high = (torch.tensor(bound).view(-1, 1, 1) for bound in spec.range)
                scale = ((high - low) / WHITE).to(module.mean)
                mean, std = low.to(module.mean) + module.mean * scale, module.std * scale
            module.mean.copy_(mean)
            module.std.copy_(std)


def _differ(own: Tensor, built: tuple) -> bool:
    # On the meta device there are no numbers to differ.
    return not own.is_meta and own.flatten().tolist() != torch.tensor(built, device="cpu").tolist()


class NormalizeGrey(Normalize):
    """uint8 or float images in 0..255, grey N×1×H×W or RGB N×3×H×W, to float32 N×1×H×W.

    RGB is turned into its luminance (ITU-R BT.601); grey that is stored as RGB keeps its values exactly.
    """

    def __init__(self, mean: tuple = GREY_MEAN, std: tuple = GREY_STD):
        super().__init__(mean, std)

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[1] == 3:
            red, green, blue = images.float().split(1, dim=1)
            images = green + 0.299 * (red - green) + 0.114 * (blue - green)
        return super().forward(images)


def normalization(channels: int, mean: tuple = IMAGENET_MEAN, std: tuple = IMAGENET_STD) -> Normalize:
    """The normalisation of a network that sees images of so many channels.

    Args:
        channels: 1 takes RGB too, by its luminance; those past RGB start with the numbers of grey.
        mean, std: of RGB, in 0..255.
    """
    if channels == RGB_CHANNELS:
        return Normalize(mean, std)
    imagenet = mean == IMAGENET_MEAN
    grey_mean, grey_std = (GREY_MEAN, GREY_STD) if imagenet else (mean[:1], std[:1])
    if channels == 1:
        return NormalizeGrey(grey_mean, grey_std)
    rgb = RGB_CHANNELS if channels > RGB_CHANNELS else 0  # two channels are no colours
    numbers = (own[:rgb] + grey * (channels - rgb) for own, grey in ((mean, grey_mean), (std, grey_std)))
    return Normalize(*numbers)

"""What images a network with published weights takes: how many channels, and their mean and std."""

from dataclasses import replace
from typing import Any

from segtrain.commands.build import build_network
from segtrain.config.instantiate import fits
from segtrain.contracts import Dataset
from segtrain.converters.network import Input, PublishedNetwork, State, image_channels
from segtrain.data.checks.input import measure_input
from segtrain.errors import InputError
from segtrain.input_spec import MOST_CHANNELS, RGB8, RGB_CHANNELS, InputSpec, default_rgb


def input_of(
    config: dict[str, Any], network: PublishedNetwork, state: State, data: Dataset | None
) -> InputSpec:
    """The images that an imported network takes.

    Their channels are those of `in_channels=`, else of the published first convolution, else of the
    data; their range is the data's where these are on this machine, else 0 to 255.

    Args:
        config: the model's in its published form.
        network: how the published tensors become ours.
        state: the published tensors by their names.
        data: the data set, where it is on this machine.

    Raises:
        InputError: weights for other channels than RGB, and than those that are asked for.
    """
    seen = measure_input(data, lambda line: None) if data is not None else None
    theirs = image_channels(build_network(config["model"], RGB8), network, state) or RGB_CHANNELS
    asked = config["in_channels"]
    if asked is not None and not (fits(asked, int) and 1 <= asked <= MOST_CHANNELS):
        raise InputError(f"in_channels must be 1 to {MOST_CHANNELS}, got {asked!r}", do="give a number")
    channels = asked or (theirs if theirs != RGB_CHANNELS or seen is None else seen.channels)
    if theirs not in (RGB_CHANNELS, channels):
        raise InputError(
            f"in_channels must be {theirs} as in the weights, got {channels}",
            do="leave it out: only kernels over RGB are fitted to other channels",
        )
    if seen is None or seen.channels != channels:
        return InputSpec(channels, rgb=default_rgb(channels))
    return replace(seen, mean=(), std=())  # the published network's are kept, by the range


def with_input(
    network: PublishedNetwork,
    mean: list[float] | None,
    std: list[float] | None,
    bgr: bool | None,
    channels: int,
) -> PublishedNetwork:
    """The network with the user's mean, std and order of channels instead of the format's.

    Raises:
        InputError: neither says the mean, or the weights take images as the model does.
    """
    seen = network.input
    for key, values in (("mean", mean), ("std", std)):
        if values is not None and not (len(values) == channels and all(fits(v, float) for v in values)):
            wanted = "[R,G,B] of 0..255" if channels == RGB_CHANNELS else f"a list of {channels}"
            raise InputError(f"{key} must be {wanted}, got {values}", do="give a number a channel")
    if seen is None and channels != RGB_CHANNELS and mean is not None and std is not None:
        seen = Input(tuple(mean), tuple(std), bgr=False)
    if seen is None:
        for key, value in (("mean", mean), ("std", std), ("bgr", bgr)):
            if value is not None:
                raise InputError(f"{key}=: the weights take images as the model does", do="leave it out")
        return network
    seen = seen._replace(
        mean=seen.mean if mean is None else tuple(mean),
        std=seen.std if std is None else tuple(std),
        bgr=seen.bgr if bgr is None else bgr,
    )
    if seen.mean is None:
        choices = " or ".join(f"{keys} for {what}" for what, keys in seen.candidates.items())
        raise InputError(
            "mean= is missing: it differs from data set to data set", do=f"add {choices or 'mean=[R,G,B]'}"
        )
    return network._replace(input=seen)

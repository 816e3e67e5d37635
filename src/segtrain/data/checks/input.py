"""What images a network is to be built for: measured once, on the training split."""

from collections.abc import Callable

import numpy as np

from segtrain.contracts import Dataset, HasInputHints, InputHints, Sample, Split
from segtrain.data.checks.scan import map_indices
from segtrain.data.checks.stats import channel_moments
from segtrain.input_spec import InputSpec, default_rgb

MOST_IMAGES = 256  # that the statistics are of, evenly spread over the split
PIXELS = 4096  # of each image, for what is shown as black and white
SHOWN = (1, 99)  # percentiles that are


def measure_input(
    data: Dataset,
    say: Callable[[str], object] = print,
    check: Callable[[InputSpec], object] = lambda _: None,
) -> InputSpec:
    """What the images of a data set are, by its first training image; of other numbers than bytes, also
    the mean and the std over the split, unless their range is known.

    Args:
        data: may have input hints.
        say: gets a line for each thing that files hold and no network gets, and one for what is measured.
        check: may refuse the images, by all but their statistics, before all of them are read.

    Raises:
        InputError: an image cannot be read.
    """
    image = data.train[0].image
    hints = data.input_hints() if isinstance(data, HasInputHints) else InputHints()
    for line in hints.unused:
        say(line)
    channels, dtype = image.shape[2], str(image.dtype)
    spec = InputSpec(channels, dtype, rgb=hints.rgb or default_rgb(channels))
    if hints.range is not None:
        low, high = hints.range
        return _replace(spec, low=(float(low),) * channels, high=(float(high),) * channels)
    check(spec)
    if dtype == "uint8":
        return spec
    indices = np.linspace(0, len(data.train) - 1, min(len(data.train), MOST_IMAGES)).round().astype(int)
    say(f"measuring mean and std of {len(indices)} of {len(data.train)} training images, once")
    return _measured(spec, data.train, indices.tolist())


def _measured(spec: InputSpec, split: Split, indices: list[int]) -> InputSpec:
    seen = map_indices(len(indices), lambda i: _moments(split[indices[i]].of(spec)))
    means, stds, pixels, some = zip(*seen, strict=True)
    weights = np.array(pixels, float)[:, None] / sum(pixels)
    mean = (np.array(means) * weights).sum(0)
    variance = ((np.square(stds) + np.square(means)) * weights).sum(0) - mean**2
    std = np.sqrt(variance.clip(min=0))
    std[std < 1e-6 * np.maximum(np.abs(mean), 1e-6)] = 1.0  # a constant channel
    low, high = np.percentile(np.concatenate(some), SHOWN, axis=0)
    high = np.where(high > low, high, low + 1)
    numbers = {"mean": mean, "std": std, "low": low, "high": high}
    return _replace(spec, **{name: tuple(values.tolist()) for name, values in numbers.items()})


def _moments(sample: Sample) -> tuple[np.ndarray, np.ndarray, int, np.ndarray]:
    """Mean and std a channel, the number of pixels, and some of them, N×C."""
    flat = sample.image.reshape(-1, sample.image.shape[2])
    some = flat[:: max(len(flat) // PIXELS, 1)].astype(np.float64)
    return *channel_moments(sample.image), len(flat), some


def _replace(spec: InputSpec, **numbers: tuple[float, ...]) -> InputSpec:
    return InputSpec(spec.channels, spec.dtype, rgb=spec.rgb, **numbers)

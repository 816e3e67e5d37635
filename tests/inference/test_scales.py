"""Several sizes of the image, on networks whose scores are known."""

import pytest
import torch
from torch.nn import functional as F

from segtrain.errors import InputError
from segtrain.inference import MultiScale, Sliding, Whole
from tests.inference.applied import applied

SIX = [0.5, 0.75, 1.0, 1.25, 1.5, 1.75]


def brightness(images):
    """Two classes: the first channel, and 0."""
    return torch.cat([images[:, :1].float(), torch.zeros_like(images[:, :1], dtype=torch.float32)], 1)


def constant(images):
    """Three classes with the same scores everywhere."""
    return torch.tensor([1.0, 2.0, -1.0]).view(1, 3, 1, 1).expand(len(images), -1, *images.shape[-2:])


def noise(*size):
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("average", ["probabilities", "logits"])
@pytest.mark.parametrize("base", [Whole(), Sliding(window=8, stride=5)])
def test_constant_scores_stay_what_they_are(average, base):
    scores = applied(MultiScale(scales=SIX, average=average, base=base), constant, noise(21, 30))
    expected = constant(noise(21, 30)).softmax(1)
    assert torch.allclose(scores.softmax(1), expected, atol=1e-5)


def test_the_network_sees_every_size_of_the_image_and_bytes():
    seen = []

    def network(images):
        seen.append((images.dtype, *images.shape[-2:]))
        return brightness(images)

    images = torch.zeros(1, 3, 20, 30, dtype=torch.uint8)
    applied(MultiScale(scales=[0.5, 1.0], flip=True), network, images)
    assert seen == [(torch.uint8, 10, 15)] * 2 + [(torch.uint8, 20, 30)] * 2
    seen.clear()
    applied(MultiScale(scales=[0.5, 1.0], flip=False, base_size=60), network, images)
    assert seen == [(torch.uint8, 20, 30), (torch.uint8, 40, 60)]


def test_images_are_resized_as_in_training():
    import cv2

    image = torch.randint(
        0, 256, (1, 3, 20, 30), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    seen = []

    def network(images):
        seen.append(images)
        return brightness(images)

    applied(MultiScale(scales=[1.5], flip=False), network, image)
    expected = cv2.resize(image[0].permute(1, 2, 0).numpy(), (45, 30), interpolation=cv2.INTER_LINEAR)
    assert (seen[0][0].permute(1, 2, 0).int() - torch.from_numpy(expected).int()).abs().max() <= 1


@pytest.mark.parametrize("base", [Whole(), Sliding(window=8, stride=4)])
def test_a_mirrored_image_has_mirrored_scores(base):
    """The network looks at the pixel on the left; its mean with the mirrored one does so on both sides."""
    way = MultiScale(scales=[0.5, 1.0, 2.0], flip=True, base=base)
    images = noise(16, 20)  # windows lie as in the mirrored image at all three sizes

    def left(seen):
        return brightness(seen.roll(1, -1))

    assert torch.allclose(applied(way, left, images.flip(-1)), applied(way, left, images).flip(-1), atol=1e-4)
    assert not torch.allclose(left(images.flip(-1)), left(images).flip(-1))


def test_probabilities_or_logits_are_averaged():
    answers = [4.0, -1.0]

    def network():
        left = iter(answers)
        return lambda images: torch.stack(
            [torch.full((1, *images.shape[-2:]), next(left)), torch.zeros(1, *images.shape[-2:])], 1
        )

    images, once = torch.zeros(1, 3, 4, 4), torch.tensor(answers)
    for average, expected in (("probabilities", once.sigmoid().mean()), ("logits", once.mean().sigmoid())):
        for way in (
            MultiScale(scales=[1.0], flip=True, average=average),
            MultiScale(scales=[0.5, 1.0], flip=False, average=average),
        ):
            seen = applied(way, network(), images).softmax(1)[:, 0]
            assert torch.allclose(seen, expected.expand(1, 4, 4))


def test_scores_of_every_size_are_brought_back_before_they_are_averaged():
    images = noise(12, 18)
    scores = applied(MultiScale(scales=[0.5, 1.0], flip=False), brightness, images)
    smaller = F.interpolate(images, (6, 9), mode="bilinear")
    parts = [
        F.interpolate(brightness(smaller).softmax(1), (12, 18), mode="bilinear"),
        brightness(images).softmax(1),
    ]
    assert torch.allclose(scores.softmax(1), sum(parts) / 2, atol=1e-5)


def test_windows_can_be_seen_at_several_sizes_too():
    way = Sliding(window=8, stride=8, base=MultiScale(scales=[1.0, 2.0]))
    assert torch.allclose(
        applied(way, constant, noise(16, 16)).softmax(1), constant(noise(16, 16)).softmax(1)
    )


@pytest.mark.parametrize("scales", [[], [0.5, 0.0], [-1]])
def test_scales_that_are_none_are_refused(scales):
    with pytest.raises(InputError, match=r"inference\.scales"):
        MultiScale(scales=scales)

import numpy as np
import pytest
import torch
from torch import nn

from segtrain.data.sample import Sample
from segtrain.engine.device import Compute
from segtrain.engine.evaluate import Settings, evaluate, predict

CPU = Compute(torch.device("cpu"), "32")
NAMES = ("dark", "bright", "never")


class Pictures(torch.utils.data.Dataset):
    """Pictures of two sizes, whose right half is bright and labelled so, one column void."""

    sizes = ((4, 6), (4, 6), (3, 8))

    def __len__(self):
        return len(self.sizes)

    def __getitem__(self, index):
        height, width = self.sizes[index]
        mask = np.zeros((height, width), np.uint8)
        mask[:, width // 2 :] = 1
        image = np.repeat(mask[..., None] * 255, 3, 2)
        mask[:, 0] = 255
        return Sample(image, mask, str(index))


class Threshold(nn.Module):
    """Predicts `bright` where the picture is; at half the size, as coarse networks do."""

    def __init__(self, stride=1):
        super().__init__()
        self.stride = stride

    def forward(self, images):
        bright = images[:, :1, :: self.stride, :: self.stride].float() / 255
        return {"out": torch.cat([1 - bright, bright, torch.full_like(bright, -9)], 1)}


def test_a_perfect_model_has_perfect_figures_and_void_counts_nowhere():
    figures = evaluate(Threshold(), Pictures(), NAMES, CPU, Settings(batch_size=2))
    assert figures["mean_iou"] == figures["pixel_accuracy"] == 1
    assert figures["per_class"]["never"] == {"iou": None, "accuracy": None}
    assert figures["images"] == 3
    assert np.sum(figures["confusion_matrix"]) == 4 * 5 * 2 + 3 * 7


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_the_figures_do_not_depend_on_the_batch_size(batch_size):
    figures = evaluate(Threshold(2), Pictures(), NAMES, CPU, Settings(batch_size=batch_size))
    one = evaluate(Threshold(2), Pictures(), NAMES, CPU, Settings())
    assert figures["confusion_matrix"] == one["confusion_matrix"]


def test_coarse_logits_are_brought_to_the_pictures_size():
    probabilities = predict(Threshold(2), [np.zeros((5, 7, 3), np.uint8)], CPU)
    assert probabilities.shape == (1, 3, 5, 7)
    assert torch.allclose(probabilities.sum(1), torch.ones(1, 5, 7))


def test_with_a_crf_both_figures_are_there():
    def spoil(image, probabilities):
        return probabilities[[1, 0, 2]]

    watched = []
    figures = evaluate(
        Threshold(), Pictures(), NAMES, CPU, Settings(), crf=spoil, watch=lambda *seen: watched.append(seen)
    )
    assert figures["mean_iou"] == 0
    assert figures["without_crf"]["mean_iou"] == 1
    assert [index for index, *_ in watched] == [0, 1, 2]
    assert (watched[0][2] != watched[0][3]).any()


def test_evaluation_gives_the_model_back_in_the_mode_it_came():
    model = Threshold().train()
    evaluate(model, Pictures(), NAMES, CPU, Settings())
    assert model.training

import pytest
import torch

from segtrain.errors import InputError
from segtrain.losses.cldice import CLDiceLoss, soft_skeleton

ONE = {"out": 1.0}


def tube(width: int) -> torch.Tensor:
    """A level tube across 15×21 pixels, uint8 1×15×21."""
    mask = torch.zeros(1, 15, 21, dtype=torch.uint8)
    mask[:, 7 - width // 2 : 8 + width // 2] = 1
    return mask


def sure_of(mask: torch.Tensor) -> dict[str, torch.Tensor]:
    one = 40.0 * (2 * mask.float() - 1)
    return {"out": torch.stack([-one, one], 1)}


@pytest.mark.parametrize("width", [1, 3, 5, 7])
def test_the_soft_skeleton_of_a_tube_is_its_centre_line(width):
    skeleton = soft_skeleton(tube(width).float()[:, None], iterations=3)[0, 0]
    assert (skeleton[:, 4:-4].sum(0) == 1).all()
    assert (skeleton[7, 4:-4] == 1).all()


def test_a_perfect_tube_costs_nothing_and_a_gap_costs_what_is_missing():
    mask = tube(3)
    assert CLDiceLoss(weights=ONE)(sure_of(mask), mask).item() == pytest.approx(0, abs=1e-5)
    gap = mask.clone()
    gap[..., 8:12] = 0
    given = CLDiceLoss(weights=ONE)(sure_of(gap), mask).item()
    assert 0.05 < given < 0.2  # 4 of 21 columns of the centre line are not predicted
    thick = CLDiceLoss(weights=ONE)(sure_of(tube(5)), mask).item()
    assert thick == pytest.approx(0, abs=0.02)  # its centre line lies in the mask's: width costs nothing


def test_an_even_prediction_has_a_gradient():
    logits = torch.zeros(1, 2, 15, 21, requires_grad=True)
    CLDiceLoss(weights=ONE)({"out": logits}, tube(3)).backward()
    assert logits.grad[0, 1].min() < 0


def test_no_iterations_are_refused():
    with pytest.raises(InputError, match=r"loss\.cldice\.iterations must be at least 1, got 0"):
        CLDiceLoss(weights=ONE, iterations=0)

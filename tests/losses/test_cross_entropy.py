import math

import pytest
import torch
from torch.nn import functional as F

from segtrain.config.instantiate import instantiate
from segtrain.data.datasets.camvid import CamVid
from segtrain.errors import InputError
from segtrain.losses.cross_entropy import CrossEntropy


def test_the_loss_is_a_sum_over_valid_pixels_and_counts_them():
    loss = CrossEntropy(weights={"out": 1.0})
    logits = torch.zeros(1, 2, 1, 3)
    masks = torch.tensor([[[0, 1, 255]]], dtype=torch.uint8)
    assert loss({"out": logits}, masks).item() == pytest.approx(2 * math.log(2))
    assert loss.count(masks).item() == 2


def test_ignored_pixels_do_not_count():
    loss = CrossEntropy(weights={"out": 1.0})
    logits = torch.tensor([[[[5.0, -3.0]], [[0.0, 7.0]]]])
    one = loss({"out": logits[..., :1]}, torch.tensor([[[1]]], dtype=torch.uint8))
    both = loss({"out": logits}, torch.tensor([[[1, 255]]], dtype=torch.uint8))
    assert both.item() == one.item()


def test_a_batch_of_ignored_alone_gives_zero_and_finite_gradients():
    loss = CrossEntropy(weights={"out": 1.0})
    logits = torch.rand(1, 2, 2, 2, requires_grad=True)
    masks = torch.full((1, 2, 2), 255, dtype=torch.uint8)
    value = loss({"out": logits}, masks) / loss.count(masks).clamp(min=1)
    value.backward()
    assert value.item() == 0
    assert logits.grad.eq(0).all()


def test_auxiliary_outputs_enter_with_their_weights():
    out, masks = torch.zeros(1, 2, 1, 1), torch.zeros(1, 1, 1, dtype=torch.uint8)
    loss = CrossEntropy(weights={"out": 1.0, "aux": 0.4})
    assert loss({"out": out, "aux": out}, masks).item() == pytest.approx(1.4 * math.log(2))


def test_the_unnormalised_loss_is_divided_by_images():
    loss = CrossEntropy(weights={"out": 1.0}, normalize="images")
    assert loss.count(torch.zeros(3, 4, 4, dtype=torch.uint8)).item() == 3


def test_labels_are_taken_at_the_cells_of_coarse_logits_and_counted_there():
    loss = CrossEntropy(weights={"out": 1.0}, label_stride=8)
    masks = torch.full((1, 17, 9), 255, dtype=torch.uint8)
    masks[0, ::8, ::8] = 1  # all that is seen
    logits = torch.zeros(1, 2, 3, 2)
    logits[:, 1] = 5
    assert loss.count(masks).item() == 6
    assert loss({"out": logits}, masks).item() == pytest.approx(6 * math.log(1 + math.exp(-5)), rel=1e-5)


def random_case(normalize, class_weights):
    """A loss as the engine divides it, and its logits and labels, with ignored among them."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 5, 4, generator=generator)
    masks = torch.randint(0, 3, (2, 5, 4), generator=generator).to(torch.uint8)
    masks[0, 0] = 255
    keys = {"weights": {"out": 1.0}, "normalize": normalize, "class_weights": class_weights}
    loss = instantiate({"_target_": "segtrain.losses.cross_entropy.CrossEntropy", **keys}, "loss")
    return loss({"out": logits}, masks) / loss.count(masks), logits, masks.long()


def test_normalised_by_weights_the_loss_is_pytorchs_weighted_mean():
    value, logits, masks = random_case("weights", [0.5, 2.0, 3.0])
    expected = F.cross_entropy(logits, masks, torch.tensor([0.5, 2.0, 3.0]), ignore_index=255)
    assert value.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize(("normalize", "divisor"), [("pixels", 2 * 5 * 4 - 4), ("images", 2)])
def test_otherwise_class_weights_do_not_enter_the_divisor(normalize, divisor):
    value, logits, masks = random_case(normalize, [0.5, 2.0, 3.0])
    total = F.cross_entropy(logits, masks, torch.tensor([0.5, 2.0, 3.0]), ignore_index=255, reduction="sum")
    assert value.item() == pytest.approx(total.item() / divisor, rel=1e-6)


def test_class_weights_by_hand():
    # Equal scores: every pixel costs log 2, those of class 1 three times that.
    logits, masks = torch.zeros(1, 2, 1, 4), torch.tensor([[[0, 0, 1, 255]]], dtype=torch.uint8)
    divisors = {"pixels": 3, "images": 1, "weights": 5}
    for normalize, divisor in divisors.items():
        loss = CrossEntropy(weights={"out": 1.0}, normalize=normalize, class_weights=[1.0, 3.0])
        assert loss({"out": logits}, masks).item() == pytest.approx(5 * math.log(2))
        assert loss.count(masks).item() == divisor


def test_without_class_weights_every_pixel_weighs_one():
    value, logits, masks = random_case("weights", None)
    assert value.item() == pytest.approx(F.cross_entropy(logits, masks, ignore_index=255).item())


def test_weights_are_counted_at_the_cells_of_coarse_logits():
    loss = CrossEntropy(weights={"out": 1.0}, normalize="weights", label_stride=8, class_weights=[1.0, 3.0])
    masks = torch.zeros(1, 17, 9, dtype=torch.uint8)
    masks[0, 8, 8] = 1
    assert loss.count(masks).item() == 5 * 1 + 3


def test_a_weight_of_0_leaves_a_class_out():
    loss = CrossEntropy(weights={"out": 1.0}, normalize="weights", class_weights=[0, 1])
    masks = torch.tensor([[[0, 1]]], dtype=torch.uint8)
    assert loss({"out": torch.zeros(1, 2, 1, 2)}, masks).item() == pytest.approx(math.log(2))
    assert loss.count(masks).item() == 1


def test_computed_weights_are_wanted_until_they_are_given():
    loss = CrossEntropy(weights={"out": 1.0}, class_weights="median_frequency")
    logits, masks = torch.zeros(1, 2, 1, 1), torch.ones(1, 1, 1, dtype=torch.uint8)
    assert loss.wants_frequencies
    for use in (lambda: loss.count(masks), lambda: loss({"out": logits}, masks)):
        with pytest.raises(InputError, match=r"loss\.class_weights=median_frequency: not computed yet"):
            use()
    loss.balance([1.0, 2.5])
    assert not loss.wants_frequencies
    assert loss({"out": logits}, masks).item() == pytest.approx(2.5 * math.log(2))


def test_segnets_weights_stand_in_the_order_of_camvids_labels():
    loss = CrossEntropy(weights={"out": 1.0}, class_weights="camvid_segnet")
    by_name = dict(zip(CamVid.class_names, loss.class_weights.tolist(), strict=True))
    assert by_name["SignSymbol"] == pytest.approx(9.6446)  # the largest, of the smallest objects
    assert by_name["Road"] == pytest.approx(0.1417)
    assert by_name["Sky"] == pytest.approx(0.2595)
    assert by_name["Bicyclist"] == pytest.approx(7.3614)
    loss.check(11)


def test_another_number_of_weights_than_classes_is_refused():
    CrossEntropy(weights={"out": 1.0}).check(7)
    with pytest.raises(InputError, match=r"loss\.class_weights: 11 weights for 7 classes"):
        CrossEntropy(weights={"out": 1.0}, class_weights="camvid_segnet").check(7)


@pytest.mark.parametrize("weight", [-1, float("nan"), float("inf"), "a"])
def test_a_weight_that_is_no_weight_is_refused(weight):
    with pytest.raises(InputError, match=r"loss\.class_weights"):
        CrossEntropy(weights={"out": 1.0}, class_weights=[1.0, weight])


def test_class_weights_follow_the_labels_to_their_device():
    loss = CrossEntropy(weights={"out": 1.0}, normalize="weights", class_weights=[1.0, 2.0])
    masks = torch.zeros(1, 4, 4, dtype=torch.uint8, device="meta")
    assert loss.count(masks).device.type == "meta"
    assert loss({"out": torch.zeros(1, 2, 4, 4, device="meta")}, masks).device.type == "meta"


def test_the_weights_of_auxiliaries_fall_geometrically_and_that_of_the_output_stays():
    loss = CrossEntropy(weights={"out": 1.0, "aux": 0.5}, auxiliary_final=0.01)
    outputs = {name: torch.zeros(1, 2, 1, 1) for name in ("out", "aux")}
    masks = torch.zeros(1, 1, 1, dtype=torch.uint8)
    for progress, factor in ((0.0, 1.0), (0.5, 0.1), (1.0, 0.01)):
        loss.progress = progress
        assert loss(outputs, masks).item() == pytest.approx(math.log(2) * (1 + 0.5 * factor))


def test_an_output_that_the_model_does_not_give_is_named():
    loss = CrossEntropy(weights={"out": 1.0, "aux": 0.4})
    with pytest.raises(InputError, match=r"loss\.weights\.aux: the model gives out"):
        loss({"out": torch.zeros(1, 2, 1, 1)}, torch.zeros(1, 1, 1, dtype=torch.uint8))

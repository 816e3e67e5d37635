"""A sum of losses: each term is divided by its own count."""

import pytest
import torch

from segtrain.commands.build import build_loss
from segtrain.config.compose import compose_config, plain
from segtrain.errors import InputError
from segtrain.losses.composite import CompositeLoss
from segtrain.losses.cross_entropy import CrossEntropy
from segtrain.losses.dice import Dice

OUT = {"out": 1.0}


def batch(images: int = 3):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(images, 4, 6, 5, generator=generator)
    masks = torch.randint(0, 4, (images, 6, 5), generator=generator).to(torch.uint8)
    masks[0, :4] = 255  # unevenly ignored
    return logits, masks


def value_of(loss: CompositeLoss, logits, masks, parts: int = 1) -> torch.Tensor:
    """The loss of a step that takes its images in `parts` batches."""
    batches = list(zip(logits.chunk(parts), masks.chunk(parts), strict=True))
    count = torch.stack([loss.count(m) for _, m in batches]).sum(0)
    return sum((loss({"out": x}, m) / count).sum() for x, m in batches)


def test_it_is_the_weighted_sum_of_its_terms_each_by_its_own_count():
    logits, masks = batch()
    terms = {"cross_entropy": CrossEntropy(weights=OUT), "dice": Dice(weights=OUT)}
    both = CompositeLoss(terms, {"dice": 0.5})
    expected = torch.nn.functional.cross_entropy(logits, masks.long(), ignore_index=255)
    expected = expected + 0.5 * terms["dice"]({"out": logits}, masks) / len(masks)
    assert value_of(both, logits, masks).item() == pytest.approx(expected.item(), rel=1e-6)


def test_accumulated_batches_give_the_gradient_of_one():
    logits, masks = batch()
    both = CompositeLoss({"cross_entropy": CrossEntropy(weights=OUT), "dice": Dice(weights=OUT)})
    gradients = []
    for parts in (1, 3):
        x = logits.clone().requires_grad_()
        value_of(both, x, masks, parts).backward()
        gradients.append(x.grad)
    assert torch.allclose(*gradients, atol=1e-7)


def test_one_term_is_that_loss_to_the_bit():
    logits, masks = batch()
    alone = CrossEntropy(weights=OUT)
    one = CompositeLoss({"cross_entropy": alone})
    assert torch.equal(one({"out": logits}, masks)[0], alone({"out": logits}, masks))
    assert torch.equal(one.count(masks)[0], alone.count(masks))


@pytest.mark.parametrize(
    ("overrides", "names", "factors"),
    [
        ([], ("cross_entropy",), (1.0,)),
        (["loss=[cross_entropy,dice]", "loss.dice.weight=0.5"], ("cross_entropy", "dice"), (1.0, 0.5)),
        (["loss=ce_lovasz"], ("cross_entropy", "lovasz"), (1.0, 1.0)),
        (["loss=[dcn,focal]"], ("cross_entropy", "focal"), (1.0, 1.0)),
    ],
)
def test_the_command_line_composes_losses(overrides, names, factors):
    loss = build_loss(plain(compose_config("train", overrides)))
    assert (loss.names, loss.factors) == (names, factors)


def test_a_weight_that_is_no_number_is_named():
    config = plain(compose_config("train", ["loss.cross_entropy.weight=much"]))
    with pytest.raises(InputError, match=r"loss.cross_entropy.weight must be a number, got 'much'"):
        build_loss(config)


def test_terms_learn_of_the_progress_and_of_class_weights():
    cross_entropy = CrossEntropy(weights=OUT, class_weights="median_frequency")
    loss = CompositeLoss({"dice": Dice(weights=OUT), "cross_entropy": cross_entropy})
    assert loss.wants_frequencies
    loss.balance([1.0, 2.0])
    loss.set_progress(0.25)
    assert not loss.wants_frequencies
    assert cross_entropy.progress == 0.25
    with pytest.raises(InputError, match="2 weights for 3 classes"):
        loss.check(3)

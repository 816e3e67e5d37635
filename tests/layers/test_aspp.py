import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segtrain.layers.aspp import ASPP, BranchScores


def test_aspp_at_rates_of_1_is_one_3x3_classifier_of_the_summed_weights():
    torch.manual_seed(0)
    aspp, x = ASPP(8, 3, [1, 1]), torch.rand(2, 8, 7, 9)
    for score in aspp.scores:
        nn.init.normal_(score.bias)
    weight = sum(score.weight for score in aspp.scores)
    bias = sum(score.bias for score in aspp.scores)
    assert torch.allclose(aspp(x), F.conv2d(x, weight, bias, padding=1), atol=1e-5)


def test_aspp_sums_classifiers_with_dilation_of_its_rates():
    torch.manual_seed(0)
    aspp, x = ASPP(8, 3, [2, 5]), torch.rand(1, 8, 12, 12)
    one, other = aspp.scores
    expected = F.conv2d(x, one.weight, padding=2, dilation=2) + F.conv2d(
        x, other.weight, padding=5, dilation=5
    )
    assert torch.allclose(aspp(x), expected, atol=1e-5)


def test_aspp_with_dilation_wider_than_the_map_sees_its_own_cell_only():
    aspp, x = ASPP(4, 3, [24]), torch.rand(1, 4, 20, 20)
    assert torch.allclose(aspp(x), F.conv2d(x, aspp.scores[0].weight[..., 1:2, 1:2]), atol=1e-6)


def test_summed_scores_of_branches_are_one_classifier_over_all_their_channels():
    torch.manual_seed(0)
    scores, x = BranchScores(12, 3, 4), torch.rand(2, 12, 5, 5)
    weight = torch.cat([score.weight for score in scores.scores], 1)
    assert torch.allclose(scores(x), F.conv2d(x, weight), atol=1e-6)


@pytest.mark.parametrize("layer", [ASPP(2048, 21, (6, 12, 18, 24)), BranchScores(4096, 21, 4)])
def test_classifiers_start_from_a_gaussian_of_std_001(layer):
    for score in layer.scores:
        assert score.weight.std().item() == pytest.approx(0.01, rel=0.05)
        assert score.bias.eq(0).all()


def test_parameters_are_as_many_as_in_the_papers_document():
    assert sum(p.numel() for p in ASPP(2048, 21, (6, 12, 18, 24)).parameters()) == 1_548_372
    assert sum(p.numel() for p in ASPP(2048, 21, (12,)).parameters()) == 387_093

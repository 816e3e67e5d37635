"""timm's families of encoders under every head: slow; a handful of tiny ones are in test_timm.py."""

import pytest
import torch

from segtrain.backbones.timm import TimmBackbone
from tests.backbones.timm_checks import (
    HEADS,
    SWIN,
    check_alignment,
    check_features_are_timms_own,
    check_gradients,
    check_sizes,
    with_head,
)
from tests.export_checks import check_export

pytest.importorskip("timm", reason="timm is not installed")

# A network of each family, made thin where timm lets it be.
CNNS = """
resnet18 resnet18d resnetblur18 skresnet18 resnest14d resnetv2_50 regnetx_002 regnety_002 efficientnet_b0
tf_efficientnet_b0 tinynet_e mobilenetv2_050 mobilenetv3_small_050 mobilenetv4_conv_small_050 lcnet_050
ghostnet_050 mnasnet_small mobileone_s0 mobilevit_xxs densenet121 vgg11_bn dla46_c hrnet_w18_small dpn48b
selecsls42b convnext_atto convnextv2_atto inception_next_atto edgenext_xx_small nf_regnet_b0 repvgg_a0
cspresnet50 ese_vovnet19b_dw hgnetv2_b0 fastvit_t8 poolformer_s12 starnet_s050 repvit_m0_9 xception41
pvt_v2_b0 efficientvit_b0 tiny_vit_5m_224 davit_tiny focalnet_tiny_srf
""".split()
PLAIN = """
vit_tiny_patch16_224 deit_tiny_patch16_224 eva02_tiny_patch14_224 vit_small_patch14_dinov2
vit_small_patch14_reg4_dinov2 vit_small_patch16_dinov3 vit_small_patch8_224
""".split()
WINDOWS = (SWIN, "swinv2_tiny_window8_256")
FAMILIES = {name: {} for name in CNNS} | {name: {"depth": 3} for name in PLAIN}
FAMILIES |= {name: {"embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [2, 2, 2, 2]} for name in WINDOWS}
# With random weights their windows answer as a whole: a dot's traces lie around the window's middle.
SPREAD = ("tiny_vit_5m_224", "swinv2_tiny_window8_256")
FINEST = {"hrnet_w18_small": 16}  # finer ones get coarse features that were enlarged to nearest
UNUSED = ("hrnet_w18_small",)  # has layers for each stage, which other heads do not read
pytestmark = pytest.mark.slow
each = pytest.mark.parametrize("name", FAMILIES)


@each
def test_features_are_timms_own_and_lie_where_feature_info_says(name):
    backbones = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        backbones.append(TimmBackbone(name=name, options=FAMILIES[name]).eval())
    check_features_are_timms_own(backbones[0])
    if name not in SPREAD:
        check_alignment(*backbones, positions=4, finest=FINEST.get(name, 2))


@each
@pytest.mark.parametrize("head", HEADS)
def test_every_head_takes_odd_sizes_and_trains_every_parameter(name, head):
    model = with_head(head, name, FAMILIES[name])
    check_sizes(model)
    if name not in UNUSED or head == "unet_encoder":
        check_gradients(model)


@each
def test_they_are_exported(name):
    check_export(with_head("linear", name, FAMILIES[name]), dynamic=False)

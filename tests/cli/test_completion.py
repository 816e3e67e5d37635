"""Tab completion: Hydra's own, and the names of other libraries' networks."""

import pytest

from segtrain.cli.completion import complete


def test_names_of_timm_and_their_weights():
    pytest.importorskip("timm")
    assert "model.backbone.name=convnext_tiny" in complete("segtrain model.backbone.name=convnext_ti")
    assert complete("segtrain model.backbone.name=convnext_tiny.fb_in22k ") is None  # the word is done
    found = complete("segtrain model=unet_encoder model.backbone.name=convnext_tiny.fb_in22")
    assert "model.backbone.name=convnext_tiny.fb_in22k" in found
    assert all(word.startswith("model.backbone.name=convnext_tiny.fb_in22") for word in found)


def test_encoders_of_smp():
    pytest.importorskip("segmentation_models_pytorch")
    found = complete("segtrain model=smp model.encoder_name=resnet")
    assert {"model.encoder_name=resnet18", "model.encoder_name=resnet50"} <= set(found)


def test_other_words_are_hydras():
    assert complete("segtrain model=fcn") is None
    assert complete("") is None

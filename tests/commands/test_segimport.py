"""segimport as a command: what it refuses, what it says, and what its checkpoint is good for."""

import csv
import hashlib
import os

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from segtrain import build_model, load_model
from segtrain.commands.import_weights import weights_file
from segtrain.converters.caffe import dilatednet
from segtrain.converters.network import PublishedNetwork, take
from segtrain.engine.checkpoint import load
from segtrain.errors import InputError
from tests import miniatures
from tests.conftest import FAST
from tests.converters.reference import blobs
from tests.converters.test_fcn import IMAGES, pytorch_fcn
from tests.hub_server import hub

SMALL = "width=0.03125"


@pytest.fixture
def fcn32s(tmp_path):
    """A file of pytorch-fcn's FCN-32s."""
    path = tmp_path / "fcn32s.pth"
    torch.save(pytorch_fcn(32), path)
    return path


def segimport(run, weights, *more, format="pytorch-fcn", model="fcn32s"):
    return run("segimport", f"format={format}", f"weights={weights}", f"model={model}", SMALL, *more)


def test_every_tensor_stands_in_a_table_of_the_run(run, fcn32s):
    done = segimport(run, fcn32s)
    assert done.code == 0, done.err
    with open(done.folder / "tensors.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    theirs = pytorch_fcn(32)
    assert [row["published"] for row in rows] == list(theirs)
    assert rows[0]["ours"] == "backbone.block1.0.weight"
    assert rows[-1]["not taken"] == "bilinear, as ours is without weights"
    assert "loaded: backbone (30 tensors), score32 (2 tensors)" in done.out
    assert "B, G, R minus a mean of 122.679, 116.669, 104.007 (R, G, B)" in done.out


def test_the_checkpoint_is_evaluated_and_starts_a_fine_tuning_on_other_classes(run, fcn32s, tmp_path):
    trained = segimport(run, fcn32s)
    miniatures.voc(tmp_path / "data")
    done = run("segeval", f"ckpt={trained.folder}", "device=cpu", "precision=32", "num_workers=0")
    assert done.code == 0, done.err
    tiny = ["data.size=32", "data.train_images=4", "data.val_images=2", SMALL, *FAST]
    tuned = run("segtrain", "model=fcn32s", f"init_from={trained.folder}", *tiny, "ema=0.9")
    assert tuned.code == 0, tuned.err
    assert "new: score32.bias, score32.weight" in tuned.out
    # The means came along, into the running average too, from which this is restored.
    mean = load_model(tuned.folder).backbone.normalize.mean.flatten()
    assert mean.tolist() == pytest.approx([122.67891434, 116.66876762, 104.00698793])
    assert load(tuned.folder / "checkpoints/best.ckpt").weights().keys() >= {"backbone.normalize.mean"}


def test_safetensors_and_npz_are_read_as_well(run, tmp_path):
    theirs = pytorch_fcn(32)
    save_file(theirs, tmp_path / "a.safetensors")
    np.savez(tmp_path / "b.npz", **{name: value.numpy() for name, value in theirs.items()})
    first, second = (segimport(run, tmp_path / name) for name in ("a.safetensors", "b.npz"))
    one, other = (load_model(done.folder) for done in (first, second))
    assert torch.equal(one(IMAGES)["out"], other(IMAGES)["out"])


def test_weights_come_from_a_url_with_their_sha256(run, fcn32s, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sha256 = hashlib.sha256(fcn32s.read_bytes()).hexdigest()
    with hub() as (address, files):
        url = f"{address}/a/b/resolve/main/fcn32s.pth"
        files["a/b/fcn32s.pth"] = fcn32s.read_bytes()
        done = segimport(run, url, f"sha256={sha256}")
        assert done.code == 0, done.err
        assert load(done.folder / "checkpoints/best.ckpt").meta["imported"]["sha256"] == sha256
        refused = segimport(run, url)
        assert refused.code == 2
        assert f"weights={url}: its sha256 must be 64 digits, or its first 8" in refused.err
    with pytest.raises(InputError, match=f"sha256 must be 00000000, got {sha256}"):
        weights_file({"weights": str(fcn32s), "sha256": "00000000"})


def test_where_no_home_is_known_a_download_is_refused_in_a_line(run, homeless):
    done = segimport(run, "http://127.0.0.1:9/fcn32s.pth", f"sha256={'0' * 64}")
    refused(done, "no HOME is set; set XDG_CACHE_HOME to a folder that can be written")
    refused(segimport(run, "~/a.pth"), "~/a.pth: the folder that ~ stands for is not known; set HOME")


class Bomb:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def test_nothing_is_unpickled(run, tmp_path):
    mark = tmp_path / "exploded"
    torch.save({"conv1_1.weight": Bomb(mark)}, tmp_path / "a.pth")
    np.savez(tmp_path / "b.npz", conv1_1=np.array([Bomb(mark)], dtype=object))
    (tmp_path / "c.safetensors").write_bytes((tmp_path / "a.pth").read_bytes())
    (tmp_path / "d.pth").write_text("<html>404</html>")
    torch.save({"epoch": 3}, tmp_path / "e.pth")
    refused(
        segimport(run, tmp_path / "a.pth"), "a.pth: has code in it (posix.mkdir), which is not run; store"
    )
    refused(segimport(run, tmp_path / "b.npz"), "b.npz: has arrays of objects, which are not unpickled")
    refused(segimport(run, tmp_path / "c.safetensors"), "not a file of tensors")
    refused(segimport(run, tmp_path / "d.pth"), "not a file of tensors")
    refused(
        segimport(run, tmp_path / "e.pth"), "e.pth: epoch is no tensor; give a .safetensors, .npz or .pth"
    )
    assert not mark.exists()


def refused(done, words):
    assert done.code == 2
    assert words in done.err
    assert done.err.count("\n") == 1
    assert not (done.folder / "checkpoints").exists()


def test_help_lists_the_keys_and_what_they_mean(run):
    said = " ".join(run("segimport", "--help").out.split())
    assert said.startswith("segimport: makes a checkpoint of ours from published weights.")
    assert "format=null torchvision, pytorch-fcn, crfasrnn, deeplab-pytorch, semseg," in said
    assert "the model that takes them" in said
    assert "fcn8s_atonce" in said


def test_what_is_asked_wrongly_is_refused_in_a_line(run, fcn32s):
    refused(run("segimport", "model=fcn32s"), "format= is missing; add format=, one of torchvision")
    refused(segimport(run, fcn32s, format="keras"), "format=keras: no such format; there are torchvision")
    refused(run("segimport", "format=caffe", f"weights={fcn32s}"), "model= is missing")
    refused(run("segimport", "format=caffe", "model=fcn8s"), "weights= is missing")
    refused(segimport(run, "nothing.pth"), "weights=nothing.pth: no such file")
    refused(segimport(run, fcn32s, "mean=[1,2]"), "mean must be [R,G,B] of 0..255, got [1, 2]")
    refused(segimport(run, fcn32s, "mean=[a,b,c]"), "mean=['a', 'b', 'c']; give a list, each a number")
    refused(segimport(run, fcn32s, "allow=score_fr"), "allow=score_fr; give a list")
    refused(segimport(run, fcn32s, format="semseg"), "got FCN; choose model=pspnet101 or pspnet50")
    refused(
        segimport(run, fcn32s, format="torchvision"), "the weights are none that we know, the model has VGG16"
    )
    refused(segimport(run, fcn32s, "model/backbone=resnet50"), "has 100, ResNet has no such key; leave out")
    fcns = "choose model=fcn16s or fcn32s or fcn8s or fcn8s_atonce"
    refused(segimport(run, fcn32s, model="unet"), f"model= must be one that the format has, got UNet; {fcns}")
    refused(segimport(run, fcn32s, model="fcn33s"), "did you mean model=fcn32s")
    refused(
        segimport(run, fcn32s, model="unet", format="caffe"),
        "the format has, got UNet; choose model=deconvnet",
    )


def test_other_classes_than_the_datas_are_refused(run, fcn32s):
    words = "of another shape: score_fr.weight (21×128×1×1, here 11×128×1×1), score_fr.bias (21, here 11)"
    refused(segimport(run, fcn32s, "data=camvid"), words)
    done = segimport(run, fcn32s, "data=camvid", "allow=[score_fr]")
    assert done.code == 0, done.err
    assert "score_fr.weight and 1 more: it does not fit, which was allowed" in done.out
    assert "new: score32" in done.out


def test_what_is_left_over_or_missing_is_refused_unless_it_is_allowed(run, tmp_path):
    theirs = pytorch_fcn(16) | {"extra": torch.zeros(3)}
    torch.save(theirs, tmp_path / "a.pth")
    refused(segimport(run, tmp_path / "a.pth"), "left over: score_pool4.weight, score_pool4.bias, extra")
    allowed = "allow=[score_pool4,upscore2,extra]"
    done = segimport(run, tmp_path / "a.pth", allowed)
    assert done.code == 0, done.err
    assert "score_pool4.weight and 2 more: it does not fit, which was allowed" in done.out
    refused(
        segimport(run, tmp_path / "a.pth", "allow=[extra]", model="fcn8s"),
        "missing: score8.weight, score8.bias",
    )
    done = segimport(run, tmp_path / "a.pth", "allow=[extra,score8]", model="fcn8s")
    assert done.code == 0, done.err


def test_two_tensors_for_one_of_ours_are_one_too_many():
    state = {"a": torch.ones(2), "b": torch.ones(2)}
    with pytest.raises(InputError, match="left over: b"):
        take(torch.nn.PReLU(2), PublishedNetwork(layers={"a": "weight", "b": "weight"}), state)


def test_a_kernel_does_not_become_another_of_as_many_numbers():
    network = PublishedNetwork(layers={"a.weight": "weight"})
    with pytest.raises(InputError, match=r"of another shape: a\.weight \(8×1×1×1, here 1×8×1×1\)"):
        take(torch.nn.Conv2d(8, 1, 1, bias=False), network, {"a.weight": torch.ones(8, 1, 1, 1)})


def test_a_last_upsampling_that_was_learned_is_left_over(run, tmp_path):
    theirs = pytorch_fcn(32)
    theirs["upscore.weight"] += 0.1
    torch.save(theirs, tmp_path / "a.pth")
    refused(segimport(run, tmp_path / "a.pth"), "left over: upscore.weight")


def test_classes_are_numbered_where_the_data_are_not_here(run, tmp_path):
    torch.save(pytorch_fcn(8, classes=150), tmp_path / "a.pth")
    done = segimport(run, tmp_path / "a.pth", "data=ade20k", model="fcn8s")
    assert done.code == 0, done.err
    assert "the classes are numbered, for the data are not here" in done.out
    assert load_model(done.folder).class_names[149] == "149"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("decoder.blocks.0.conv1.0.weight", "its U-Net has a ResNet as encoder"),
        ("decoder.psp.blocks.0.pool.1.weight", "its PSPNet cuts the encoder off at stride 8"),
        ("decoder.aspp.0.convs.0.0.weight", "its DeepLabV3Plus has separable convolutions"),
    ],
)
def test_smps_other_networks_are_refused_with_the_difference(run, tmp_path, name, words):
    torch.save({name: torch.zeros(1)}, tmp_path / "a.pth")
    refused(segimport(run, tmp_path / "a.pth", format="smp", model="deeplabv3"), words)


def test_dilatednets_mean_must_be_given_for_other_data(run, tmp_path):
    arrays = {"final/0": np.zeros((40, 128, 1, 1), np.float32)}
    np.savez(tmp_path / "a.npz", **arrays)
    done = segimport(run, tmp_path / "a.npz", "data=nyudv2", format="caffe", model="dilatednet_frontend")
    refused(done, "mean= is missing: it differs from data set to data set")


def test_which_of_nyuds_two_nets_of_the_same_layers_it_is_the_user_says(run, tmp_path):
    theirs = pytorch_fcn(32, classes=40)
    np.savez(tmp_path / "a.npz", **{name: value.numpy() for name, value in blobs(theirs).items()})
    ask = (run, tmp_path / "a.npz", "data=nyudv2")
    done = segimport(*ask, format="caffe")
    hha = "mean=[132.431,94.076,118.477] bgr=false"
    refused(done, f"mean=[92.318,97.203,116.19] for NYUD's colour images or {hha} for its HHA images")
    nets = [load_model(segimport(*ask, *keys.split(), format="caffe").folder) for keys in (COLOUR, hha)]
    # nyud_layers.py: colour is turned to B, G, R, and HHA is not.
    means = torch.tensor([116.190, 97.203, 92.318]), torch.tensor([132.431, 94.076, 118.477])
    seen = [images - mean.view(3, 1, 1) for images, mean in zip((IMAGES.flip(1), IMAGES), means, strict=True)]
    for net, inputs in zip(nets, seen, strict=True):
        first = net.backbone.block1[0]
        normalised = net.backbone.normalize(IMAGES)
        ours = F.conv2d(normalised, first.weight, first.bias)
        expected = F.conv2d(inputs.float(), theirs["conv1_1.weight"], theirs["conv1_1.bias"])
        assert torch.allclose(ours, expected, atol=1e-2)


COLOUR = "mean=[92.318,97.203,116.19]"


@pytest.mark.parametrize(
    ("layer", "mean"),
    [
        ("ctx_conv5_1", (105.412, 108.778, 110.703)),
        ("ctx_conv4_1", (91.347, 95.551, 96.194)),
        ("final", None),
    ],
)
def test_camvids_and_kittis_nets_are_known_by_their_context_module_alone(layer, mean):
    state = {"final.weight": torch.zeros(11, 8, 1, 1), f"{layer}.weight": torch.zeros(11, 8, 1, 1)}
    if layer != "final":
        state["ctx_final.weight"] = torch.zeros(11, 11, 1, 1)
    seen = dilatednet(state, {}).input
    assert (seen.mean or ()) == pytest.approx(mean or (), abs=1e-3)
    assert mean or set(seen.candidates) == {"CamVid", "KITTI"}


@pytest.mark.parametrize(
    ("model", "layer"), [("segnet", "conv1_1_bn"), ("segnet_basic", "conv1_bn"), ("deconvnet", "bn1_1")]
)
def test_a_training_snapshot_is_not_taken_for_a_file_with_folded_statistics(run, tmp_path, model, layer):
    arrays = {f"{layer}/0": np.full((1, 1, 1, 2), 1.01, np.float32), f"{layer}/1": np.zeros(2, np.float32)}
    np.savez(tmp_path / "a.npz", **arrays)
    done = segimport(run, tmp_path / "a.npz", format="caffe", model=model)
    refused(done, f"look like a training snapshot, without BatchNorm's statistics: {layer} scales by 1")
    assert f"or add allow=[{layer}]" in done.err
    done = segimport(run, tmp_path / "a.npz", f"allow=[{layer}]", format="caffe", model=model)
    refused(done, "the weights do not fit the model")


def test_the_order_of_channels_belongs_to_weights_with_numbers_of_their_own(run, tmp_path):
    done = segimport(run, tmp_path / "a.npz", "bgr=maybe", format="caffe")
    refused(done, "bgr=maybe")


def test_imagenets_numbers_are_in_no_state_dict_and_others_travel(tmp_path):
    plain, other = (build_model("fcn32s", num_classes=3, width=1 / 32) for _ in range(2))
    assert not any("normalize" in name for name in plain.state_dict())
    other.load_state_dict(plain.state_dict() | {"backbone.normalize.mean": torch.full((3, 1, 1), 7.0)})
    state = other.state_dict()
    assert state["backbone.normalize.mean"].flatten().tolist() == [7, 7, 7]
    assert torch.equal(state["backbone.normalize.std"], plain.backbone.normalize.std)
    plain.load_state_dict(state)
    assert torch.equal(plain(IMAGES)["out"], other(IMAGES)["out"])

"""segexport: what is written is read back and gives the same logits."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from torch import nn

from segtrain import load_model
from segtrain.commands.build import saved_config
from segtrain.config.compose import compose_config, plain
from segtrain.config.instantiate import instantiate
from segtrain.engine.checkpoint import Checkpoint, save
from segtrain.export import formats
from segtrain.export.network import FullSize
from segtrain.input_spec import InputSpec
from segtrain.layers.grid import SLICES_ARE_LOST
from segtrain.sizes import upsample_logits
from segtrain.tasks import Task

SIZE = "size=[64,96]"
FAMILIES = ["fcn8s", "deconvnet", "segnet", "deeplabv1", "deeplabv3", "deeplabv3plus", "dilatednet", "unet"]
FAMILIES += ["unet_valid", "deeplabv2", "fc_densenet56", "frrn_a", "dcn", "fusionnet", "pspnet50"]
needs_torch_2_12 = pytest.mark.skipif(
    (2, 8) <= tuple(map(int, torch.__version__.split(".")[:2])) < (2, 12),
    reason="torch 2.11 exports strided layers for even sizes alone; segexport proposes dynamic=false",
)
needs_onnx = pytest.mark.skipif(
    SLICES_ARE_LOST or not all(map(find_spec, formats.NEEDED)),
    reason="onnx, onnxscript or onnxruntime is not installed, or torch 2.6 knows no ONNX for any size",
)


@pytest.fixture
def untrained(tmp_path):
    """A checkpoint of a model with random scores."""

    def make(name, *more):
        config = plain(compose_config("train", [f"model={name}", "width=0.03125", *more]))
        torch.manual_seed(0)
        model = instantiate(config["model"], "model")
        for module in model.modules():
            if isinstance(module, nn.Conv2d) and module.out_channels == 7:
                nn.init.normal_(module.weight)
        tensors = {f"model.{key}": value for key, value in model.state_dict().items()}
        meta = {"config": saved_config(config), "class_names": list("abcdefg"), "palette": [[0, 0, 0]] * 7}
        save(Checkpoint(tensors, meta | {"step": 0}), tmp_path / f"{name}.ckpt")
        return tmp_path / f"{name}.ckpt"

    return make


def image(height, width):
    return torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8)


@pytest.mark.parametrize(
    "model",
    [
        pytest.param("deeplabv1", marks=needs_torch_2_12),
        pytest.param("segnet_basic", marks=pytest.mark.slow),
        pytest.param("unet_valid model.tile=20", marks=pytest.mark.slow),
    ],
)
def test_a_program_of_torch_export_takes_images_of_any_size(model, untrained, run):
    path = untrained(*model.split())
    done = run("segexport", f"ckpt={path}", "format=torch_export", SIZE)
    assert done.code == 0, done.err
    assert "takes images of any size" in done.out
    program, model = torch.export.load(done.folder / "model.pt2").module(), load_model(path)
    for height, width in ((64, 96), (81, 77), (128, 65)):
        images = image(height, width)
        with torch.inference_mode():
            expected = upsample_logits(model(images)["out"], (height, width))
            assert expected.std() > 0
            assert torch.allclose(program(images), expected, atol=1e-4)


def test_a_program_for_one_size_says_so(untrained, run):
    done = run("segexport", f"ckpt={untrained('deeplabv1')}", "format=torch_export", "dynamic=false", SIZE)
    assert done.code == 0, done.err
    assert "takes images of 64×96 alone: uint8 RGB 1×3×H×W to logits 1×7×H×W" in done.out
    program = torch.export.load(done.folder / "model.pt2").module()
    assert program(image(64, 96)).shape == (1, 7, 64, 96)
    with pytest.raises(AssertionError, match="Guard failed"):
        program(image(64, 97))


@pytest.mark.slow
@pytest.mark.parametrize("form", ["torch_export", pytest.param("onnx", marks=needs_onnx)])
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_exported_for_images_of_any_size(name, form, untrained, run):
    """segexport itself compares three sizes, to 1e-3 of the logits."""
    done = run("segexport", f"ckpt={untrained(name)}", f"format={form}", SIZE)
    assert done.code == 0, done.err
    assert "takes images of any size" in done.out


@pytest.mark.slow
@pytest.mark.parametrize("form", ["torch_export", pytest.param("onnx", marks=needs_onnx)])
def test_the_unpadded_unet_is_exported_for_one_size(form, untrained, run):
    done = run("segexport", f"ckpt={untrained('unet_valid')}", f"format={form}", "dynamic=false", SIZE)
    assert done.code == 0, done.err
    assert "takes images of 64×96 alone" in done.out


def test_safetensors_hold_the_state_dict_and_the_classes(untrained, run, tmp_path):
    path, out = untrained("fcn8s"), tmp_path / "plain.safetensors"
    done = run("segexport", f"ckpt={path}", "format=safetensors", f"out={out}", SIZE)
    assert done.code == 0, done.err
    assert "0.00e+00" in done.out
    with safe_open(out, "pt") as file:
        about = json.loads(file.metadata()["segtrain"])
        assert set(file.keys()) == set(load_model(path).state_dict())
    assert about["class_names"] == list("abcdefg")
    assert about["model"]["_target_"] == "segtrain.models.fcn.FCN"


@needs_onnx
@pytest.mark.parametrize("name", ["deeplabv1", pytest.param("segnet", marks=pytest.mark.slow)])
def test_onnxruntime_gives_the_same_logits(name, untrained, run):
    import onnxruntime

    path = untrained(name)
    done = run("segexport", f"ckpt={path}", SIZE)
    assert done.code == 0, done.err
    session, model = onnxruntime.InferenceSession(done.folder / "model.onnx"), load_model(path)
    for height, width in ((64, 96), (81, 77)):
        images = image(height, width)
        with torch.inference_mode():
            expected = upsample_logits(model(images)["out"], (height, width))
        logits = torch.from_numpy(session.run(None, {"images": images.numpy()})[0])
        assert (logits - expected).abs().max() < 1e-4 * expected.abs().max()
    assert json.loads(session.get_modelmeta().custom_metadata_map["segtrain"])["class_names"] == list(
        "abcdefg"
    )


SCRIPT = Path(__file__).parents[2] / "scripts/run_onnx.py"
WITHOUT_TORCH = (
    "import sys, runpy; sys.modules['torch'] = sys.modules['segtrain'] = None; sys.argv = sys.argv[1:];"
    " runpy.run_path(sys.argv[0], run_name='__main__')"
)


@needs_onnx
@pytest.mark.slow
def test_labels_come_from_numpy_and_onnxruntime_alone_and_from_8_bits(untrained, run, tmp_path):
    path = untrained("deeplabv1")
    one = ["output=labels", "dynamic=false", "quantize=int8", "calibration=2", "size=[64,64]"]
    of_64 = ["data.size=64", "data.train_images=2", "data.val_images=2"]
    done = run("segexport", f"ckpt={path}", *one, *of_64)
    assert done.code == 0, done.err
    assert "to labels uint8 1×H×W" in done.out
    pixels = image(64, 64)
    cv2.imwrite(f"{tmp_path}/image.png", pixels[0].permute(1, 2, 0).numpy()[..., ::-1])
    with torch.inference_mode():
        own = upsample_logits(load_model(path)(pixels)["out"], (64, 64)).argmax(1)[0].numpy()
    for name, least in (("model.onnx", 0.999), ("model.int8.onnx", 0.6)):
        files = [str(done.folder / name), f"{tmp_path}/image.png", f"{tmp_path}/labels.png"]
        shell = [sys.executable, "-c", WITHOUT_TORCH, str(SCRIPT), *files]
        said = subprocess.run(shell, capture_output=True, text=True, check=True).stdout
        labels = np.array(Image.open(tmp_path / "labels.png"))
        assert (labels == own).mean() > least
        assert said.splitlines()[0].split(":")[0] == "abcdefg"[np.unique(labels)[0]]
    assert len(SCRIPT.read_text().splitlines()) <= 25
    scores = json.loads((done.folder / "model.int8.json").read_text())["scores"]
    assert scores["torch"]["mean_iou"] == pytest.approx(scores["onnx"]["mean_iou"], abs=0.01)
    assert scores["int8"].keys() == {"mean_iou", "latency", "file"}


@pytest.mark.parametrize("name", ["binary", "multilabel"])
def test_labels_inside_a_file_are_those_of_the_task(name):
    class Same(nn.Module):
        def forward(self, images):
            return {"out": images.float()}

    task = Task(name, 0.7)
    spec = InputSpec(channels=task.channels(3), dtype="float32")
    logits = torch.randn(1, spec.channels, 8, 8)
    inside = FullSize(Same(), (8, 8), spec, "labels", task)(logits)
    expected = task.labels(task.unfolded(task.class_logits(logits).softmax(1), 1))
    assert 0 < expected.sum() < expected.numel()
    assert torch.equal(inside, expected)


@needs_onnx
@pytest.mark.slow
@pytest.mark.skipif(not find_spec("openvino"), reason="openvino is not installed")
def test_openvino_gives_the_same_labels(untrained, run):
    one = [
        "output=labels",
        "dynamic=false",
        "evaluate=true",
        "size=[64,64]",
        "data.size=64",
        "data.val_images=2",
    ]
    done = run("segexport", f"ckpt={untrained('deeplabv1')}", "format=openvino", *one)
    assert done.code == 0, done.err
    assert {p.name for p in done.folder.iterdir()} == {"model.xml", "model.bin", "model.json"}
    scores = json.loads((done.folder / "model.json").read_text())["scores"]
    assert scores["openvino"]["mean_iou"] == pytest.approx(scores["torch"]["mean_iou"], abs=0.01)


def refused(done, words):
    assert done.code == 2
    assert words in done.err
    assert done.err.count("\n") == 1


def test_what_is_asked_wrongly_is_refused_in_a_line(untrained, run, monkeypatch):
    path = untrained("deeplabv1")
    refused(run("segexport"), "ckpt= is missing")
    refused(
        run("segexport", f"ckpt={path}", "format=tflite"),
        "there are onnx, openvino, torch_export, safetensors",
    )
    refused(
        run("segexport", f"ckpt={path}", "output=mask"), "output=mask: no such output; give logits or labels"
    )
    wrong = ("format=torch_export", "quantize=int8")
    refused(run("segexport", f"ckpt={path}", *wrong), "only ONNX is quantised; use format=onnx")
    wrong = ("format=openvino", "out=model.bin")
    refused(run("segexport", f"ckpt={path}", *wrong), "out=model.bin; give a name that ends in .xml")
    refused(run("segexport", f"ckpt={path}", "size=[32,64]"), "size=[32, 64]; give height and width")
    refused(run("segexport", f"ckpt=[{path},{path}]"), "an ensemble")
    monkeypatch.setattr(formats, "find_spec", lambda name: None if name == "onnxscript" else name)
    words = "format=onnx: onnxscript is not installed; do: make install EXTRAS=export"
    refused(run("segexport", f"ckpt={path}", SIZE), words)


def test_what_differs_when_it_is_read_back_is_a_failure(untrained, run, monkeypatch):
    def damaged(network, path, *_):
        path.write_bytes(b"")
        return lambda images: network(images) + 1

    monkeypatch.setitem(formats.WRITERS, "safetensors", damaged)
    done = run("segexport", f"ckpt={untrained('deeplabv1')}", "format=safetensors", SIZE)
    assert done.code == 1
    assert "differ by 1; use another format" in done.err
    assert not list(done.folder.glob("*.safetensors"))


def test_a_network_that_no_exporter_follows_is_refused(untrained, run, monkeypatch):
    def failing(*arguments):
        raise NotImplementedError("no such operator\nand a page of graph")

    monkeypatch.setitem(formats.WRITERS, "torch_export", failing)
    done = run("segexport", f"ckpt={untrained('deeplabv1')}", "format=torch_export", SIZE)
    words = (
        "format=torch_export: DeepLabV1 cannot be exported for images of any size (NotImplementedError: no"
    )
    refused(done, words)
    assert done.err.endswith("; add dynamic=false size=[HEIGHT,WIDTH], for images of that size alone\n")

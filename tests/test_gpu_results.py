"""The results of scripts/gpu/run.sh as one file and as the README's tables."""

import json
import os
import subprocess
import sys
from pathlib import Path

from PIL import Image

GPU = Path(__file__).parent.parent / "scripts" / "gpu"


def script(name: str, *arguments) -> str:
    source = str(GPU.parent.parent / "src")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([source, *sys.path])}
    command = [sys.executable, GPU / name, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout


def test_what_is_there_becomes_one_file_and_its_tables(tmp_path):
    (tmp_path / "tests.xml").write_text(
        '<testsuites><testsuite tests="5" failures="1" errors="0" skipped="2" time="61.4">'
        '<testcase classname="tests.test_gpu" name="test_a"><failure/></testcase></testsuite></testsuites>'
    )
    row = {
        "what": "training",
        "against": "theirs",
        "measured": "3.10 ×",
        "wanted": "≥ 3 ×",
        "details": "a | b",
    }
    (tmp_path / "bench.json").write_text(json.dumps({"about": "torch 2.11, H200", "rows": [row]}))
    trained = {"model": "fc_densenet56", "steps": 9000, "minutes": 5.04, "val": 51.23, "paper_test": 58.9}
    stopped = {"model": "unet", "steps": 900, "done": 40, "paper_test": None, "failed": "stopped"}
    (tmp_path / "reproduce.json").write_text(json.dumps([trained, stopped]))
    printed = script("results.py", "collect", tmp_path, "--ended", "test=1 after 70 s", "bench=0 after 9 s")
    assert printed == script("results.py", "table", tmp_path / "gpu.json")
    assert json.loads((tmp_path / "gpu.json").read_text())["tests"]["failed"] == ["tests.test_gpu::test_a"]
    lines = printed.splitlines()
    assert lines[0] == "`make test-gpu`: 2 passed, 1 failed, 2 skipped, 61 s"
    assert r"| training | theirs | 3.10 × | ≥ 3 × | a \| b |" in lines
    assert lines[1] == "- failed: `tests.test_gpu::test_a`"
    assert "| fc_densenet56 | 9000 | 5.0 | 51.2 | - | 58.9 |  |" in lines
    assert "| unet | 40 of 900 | - | - | - | - | stopped |" in lines
    assert lines[-1] == "- test: exit code 1 after 70 s"


def test_two_calls_make_one_file(tmp_path):
    for name, ended in (("first", "test=124 after 190 s"), ("second", "reproduce=0 after 300 s")):
        (tmp_path / name).mkdir()
        script("results.py", "collect", tmp_path / name, "--ended", ended)
    (tmp_path / "second/bench.json").write_text(json.dumps({"about": "H200", "rows": []}))
    printed = script("results.py", "collect", tmp_path / "first", tmp_path / "second")
    found = json.loads((tmp_path / "first/gpu.json").read_text())
    assert found["ended"] == {"test": "124 after 190 s", "reproduce": "0 after 300 s"}
    assert found["bench"]["about"] == "H200"
    assert printed.splitlines()[-1] == "- test: stopped by its limit after 190 s"


def test_camvid_travels_as_jpeg_with_the_masks_that_it_has(tmp_path):
    for part in ("train", "trainannot"):
        (tmp_path / "png" / part).mkdir(parents=True)
    Image.new("RGB", (9, 7), (200, 30, 30)).save(tmp_path / "png/train/a.png")
    Image.new("L", (9, 7), 11).save(tmp_path / "png/trainannot/a.png")
    (tmp_path / "png/train.txt").write_text("/SegNet/CamVid/train/a.png /SegNet/CamVid/trainannot/a.png\n")
    script("as_jpeg.py", tmp_path / "png", tmp_path / "jpg")
    assert (tmp_path / "jpg/train.txt").read_text() == "train/a.jpg trainannot/a.png\n"
    masks = [(tmp_path / folder / "trainannot/a.png").read_bytes() for folder in ("png", "jpg")]
    assert masks[0] == masks[1]
    red, green, blue = Image.open(tmp_path / "jpg/train/a.jpg").getpixel((4, 3))
    assert max(abs(red - 200), abs(green - 30), abs(blue - 30)) <= 3

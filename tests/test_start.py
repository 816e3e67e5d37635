"""What a command loads before it does something."""

import subprocess
import sys

FIRST_STEP = """
import sys
import torch
from segtrain.commands import train
from segtrain.engine import train

step = train.train_step

def step_and_leave(*arguments):
    step(*arguments)
    unneeded = ["torchvision", "matplotlib", "tensorboard"]
    if hasattr(torch.compiler, "nested_compile_region"):  # the optimizers of torch before 2.8 import it
        unneeded.append("torch._dynamo")
    print("loaded:", *(name for name in unneeded if name in sys.modules))
    sys.exit(0)

train.train_step = step_and_leave
from segtrain.cli.entry import segtrain
segtrain()
"""


def test_the_first_step_is_taken_without_what_it_does_not_need(tmp_path):
    keys = ["width=0.0625", "data.size=32", "batch_size=2", "num_workers=0", "device=cpu"]
    command = [sys.executable, "-c", FIRST_STEP, *keys, f"hydra.run.dir={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].split() == ["loaded:"]


def test_help_is_given_without_torch():
    code = "import sys; from segtrain.cli.entry import segtrain; segtrain(); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True)
    assert "model=fcn8s" in done.stdout

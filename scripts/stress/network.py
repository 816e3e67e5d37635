"""An audit hook that counts every socket, over import, training, evaluation and prediction.

From Python first: what is imported there is imported anew, and by other ways than a command's.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from scripts.stress._command import TINY

PROMISE = "No network unless asked for: import, train, evaluate, predict, from Python too"
FULL, SAMPLE = 4, 1

COMMANDS = {
    "segtrain": [*TINY, "max_steps=2", "ema=0.9", "num_workers=1", "hydra.run.dir=run"],
    "segeval": ["ckpt=run", "crf=true", "device=cpu", "num_workers=0", "metric=[boundary]"],
    "segpredict": ["ckpt=run", "input=image.png", "output=predicted", "device=cpu"],
    "segdata": ["data=shapes", "data.train_images=4", "data.val_images=2", "action=check"],
}
# A process of its own, for what is imported first is to be seen too.
WATCHED = """
import json, sys
seen = []
def watch(event, arguments):
    if event.startswith("socket.") and event not in ("socket.gethostname", "socket.__new__"):
        # Loaders talk to their parent through a file's path.
        if event not in ("socket.bind", "socket.connect") or not isinstance(arguments[1], str):
            seen.append(f"{event} {arguments[1:]}")
sys.addaudithook(watch)
import numpy
from PIL import Image
Image.fromarray(numpy.zeros((32, 40, 3), numpy.uint8)).save("image.png")
import segtrain
segtrain.list_models()
segtrain.build_model("unet", num_classes=2, width=0.25)
from segtrain.cli import entry
codes = []
for command, *arguments in json.loads(sys.argv[1]):
    sys.argv = [command, *arguments]
    try:
        getattr(entry, command)()
        codes.append(0)
    except SystemExit as stop:
        codes.append(stop.code)
print("\\n" + json.dumps({"codes": codes, "seen": seen}))
"""


def run(count: int, seed: int, folder: Path) -> str:
    commands = [[name, *arguments] for name, arguments in list(COMMANDS.items())[:count]]
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, json.dumps(commands)],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if k != "NO_ALBUMENTATIONS_UPDATE"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["codes"] == [0] * len(commands), f"{found['codes']}: {done.stderr}"
    assert not found["seen"], f"{len(found['seen'])} calls, the first: {found['seen'][0]}"
    return f"0 calls in {len(commands)} commands: {', '.join(name for name, *_ in commands)}"

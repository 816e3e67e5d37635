"""The last lines of `make train`: what was reached and what to try next. summary.py RUN"""

import json
import sys
from pathlib import Path

run = Path(sys.argv[1])
metrics = json.loads((run / "metrics.json").read_text())
without, with_crf = metrics["without_crf"]["mean_iou"], metrics["mean_iou"]

print(f"\nmean IoU on the validation split of shapes: {without:.3f} without the CRF, {with_crf:.3f} with it")
print(f"""
look at it:    .venv/bin/tensorboard --logdir {run.parent}
real data:     .venv/bin/segtrain model=fcn8s data=voc data.root=data data.download=true max_steps=20000
a sweep:       .venv/bin/segtrain -m model=fcn32s,fcn16s,fcn8s model/backbone=vgg16_bn""")

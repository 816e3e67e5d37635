"""An evaluation of whole images, loader and confusion matrix and all, beside the bare forward passes."""

import argparse

import torch
from measure import camvid, interleaved, row, times
from torch.utils.data import Subset

from segtrain import build_model
from segtrain.engine.device import choose, keep_freed_memory
from segtrain.evaluation.evaluate import EvaluationSettings, evaluate_split
from segtrain.evaluation.predictor import Predictor
from segtrain.inference import Whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="deeplabv3plus")
    parser.add_argument("--images", type=int, default=101, help="of CamVid's validation split")
    parser.add_argument("--repetitions", type=int, default=2)
    arguments = parser.parse_args()
    keep_freed_memory()
    data, compute = camvid(), choose("cpu", "auto")
    model = build_model(arguments.model, num_classes=11).to(memory_format=torch.channels_last).eval()
    subset = Subset(data.val, range(min(arguments.images, len(data.val))))
    images = [torch.tensor(sample.image).permute(2, 0, 1)[None] for sample in subset]

    @torch.inference_mode()
    def bare() -> None:
        for image in images:
            with compute.autocast():
                model(image)

    def ours() -> None:
        predict = Predictor(model, Whole(), compute)
        evaluate_split(
            predict, subset, data.class_names, compute.device, EvaluationSettings(1, num_workers=1)
        )

    seconds = interleaved({"bare": bare, "ours": ours}, arguments.repetitions)
    row(
        f"evaluation, {arguments.model}, {len(images)} images of CamVid, 360×480, `precision=auto`",
        "the bare forward passes",
        times(seconds["ours"] / seconds["bare"]),
        "≤ 1.15 ×",
        " for ".join(f"{seconds[arm] / len(images):.3f} s an image" for arm in ("ours", "bare")),
    )


if __name__ == "__main__":
    main()

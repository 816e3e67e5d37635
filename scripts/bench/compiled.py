"""What `compile=true` gains on one network, and how many steps it takes to earn the time of compiling."""

import argparse
import time

from measure import interleaved, our_step, random_batch, row, times

from segtrain import build_model
from segtrain.engine.device import choose, keep_freed_memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="deeplabv3plus")
    parser.add_argument("--repetitions", type=int, default=5)
    arguments = parser.parse_args()
    keep_freed_memory()
    compute, batch = choose("cpu", "auto"), random_batch(2, 256)
    models = {name: build_model(arguments.model, num_classes=21) for name in ("eager", "compiled")}
    models["compiled"].compile()
    arms = {name: our_step(model, batch, compute) for name, model in models.items()}
    start = time.perf_counter()
    arms["compiled"]()
    compiling = time.perf_counter() - start
    seconds = interleaved(arms, arguments.repetitions)
    row(
        f"`compile=true`, training step of {arguments.model}, `precision=auto`",
        "without",
        times(seconds["eager"] / seconds["compiled"]),
        "reported",
        f"{seconds['compiled']:.2f} s for {seconds['eager']:.2f} s, after {compiling:.0f} s of compiling",
    )


if __name__ == "__main__":
    main()

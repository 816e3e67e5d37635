import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parent.parent / "scripts" / "bench"
TINY = "--device cpu --side 32 --batch 2 --seconds 0.1 --width 0.0625 --crf 1 16 24".split()


def test_the_gpus_benchmark_runs_from_start_to_end_on_a_cpu():
    done = subprocess.run([sys.executable, BENCH / "gpu.py", *TINY], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")][2:]
    assert len(rows) == 6
    agreement = rows[-1]
    assert float(agreement[2]) == 0  # a CPU agrees with itself
    assert agreement[4].startswith("100.00 %")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "arguments", "rows"),
    [
        ("labels.py", ["--repetitions", "1"], 6),  # and two more where torchmetrics is installed
        ("augmenting.py", ["--rounds", "1"], 5),
    ],
)
def test_a_benchmark_prints_its_rows(script, arguments, rows):
    done = subprocess.run([sys.executable, BENCH / script, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert len(lines) >= rows
    assert all(len(line.split(" | ")) == 5 for line in lines)

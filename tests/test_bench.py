import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parent.parent / "scripts" / "bench"
PARTS = {"agreement": 1, "crf": 3, "evaluation": 2}


@pytest.mark.slow
def test_the_gpus_benchmark_runs_from_start_to_end_on_a_cpu(tmp_path):
    pytest.importorskip("segmentation_models_pytorch")
    out = tmp_path / "rows.json"
    command = [sys.executable, BENCH / "gpu.py", "--device", "cpu", "--tiny", "--json", out]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text())["rows"]
    assert len(rows) == 6 + 4 + sum(PARTS.values()) + 1
    assert not [row for row in rows if row["measured"] in ("failed", "left out")]
    assert float(rows[0]["measured"]) == 0  # a CPU agrees with itself
    assert rows[0]["details"] == "100.00 % labels equal"


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

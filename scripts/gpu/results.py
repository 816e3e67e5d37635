"""What `run.sh` measured: `collect FOLDER ...` makes one gpu.json of it, `table gpu.json` the tables."""

import argparse
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from segtrain.files import write_bytes


def collect(folder: Path, ended: list[str]) -> dict:
    """The tests' counts, the benchmark's rows and the trainings' scores, each where it is there.

    Args:
        folder: of run.sh.
        ended: how each part ended, `PART=WORDS`.
    """
    found: dict = {}
    if (folder / "gpu.json").is_file():  # of parts that another call ran
        found = json.loads((folder / "gpu.json").read_text())
    found.setdefault("ended", {}).update(each.split("=", 1) for each in ended)
    if (folder / "tests.xml").is_file():
        suite = ElementTree.parse(folder / "tests.xml").getroot()
        suite = suite if suite.tag == "testsuite" else suite[0]
        counts = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
        failed = [
            f"{case.get('classname')}::{case.get('name')}"
            for case in suite.iter("testcase")
            if case.find("failure") is not None or case.find("error") is not None
        ]
        found["tests"] = counts | {"seconds": float(suite.get("time", 0)), "failed": failed}
    for name in ("bench", "reproduce"):
        if (folder / f"{name}.json").is_file():
            found[name] = json.loads((folder / f"{name}.json").read_text())
    return found


def table(found: dict) -> str:
    """The results as Markdown."""
    return "\n\n".join(
        [*_tests(found.get("tests")), *_bench(found.get("bench")), *_trained(found.get("reproduce") or []),
         *_ended(found.get("ended") or {})]
    )  # fmt: skip


def _tests(tests: dict | None) -> list[str]:
    if not tests:
        return []
    bad = tests["failures"] + tests["errors"]
    passed = tests["tests"] - tests["skipped"] - bad
    counts = f"{passed} passed, {bad} failed, {tests['skipped']} skipped, {tests['seconds']:.0f} s"
    return ["\n".join([f"`make test-gpu`: {counts}", *(f"- failed: `{name}`" for name in tests["failed"])])]


def _bench(bench: dict | None) -> list[str]:
    if not bench:
        return []
    lines = ["| what | against | measured | to reach | |", "| --- " * 5 + "|"]
    for row in bench["rows"]:
        cells = [row[name] for name in ("what", "against", "measured", "wanted", "details")]
        cells = ["" if cell == "reported" else cell.replace("|", r"\|") for cell in cells]
        lines.append(f"| {' | '.join(cells)} |")
    return [f"`make bench-gpu`: {bench['about']}", "\n".join(lines)]


def _trained(rows: list[dict]) -> list[str]:
    if not rows:
        return []
    lines = ["| CamVid | steps | minutes | val | test | the paper's test | |", "| --- " * 7 + "|"]
    for row in rows:
        scores = ["-" if row.get(key) is None else f"{row[key]:.1f}" for key in ("val", "test", "paper_test")]
        minutes = f"{row['minutes']:.1f}" if "minutes" in row else "-"
        done, planned = row.get("done", row.get("steps", "-")), row.get("steps")
        steps = f"{done} of {planned}" if planned and done != planned else f"{done}"
        note = row.get("failed", "").replace("|", r"\|")
        lines.append(f"| {row['model']} | {steps} | {minutes} | {' | '.join(scores)} | {note} |")
    about = "`make reproduce-gpu`: mean IoU in percent, trained on CamVid as JPEG of quality 95"
    return [about, "\n".join(lines)]


def _ended(ended: dict[str, str]) -> list[str]:
    """The parts that did not come to a good end; 124 is what `timeout` says."""
    lines = []
    for name, how in ended.items():
        code, _, after = how.partition(" ")
        if code == "124":
            lines.append(f"- {name}: stopped by its limit {after}")
        elif code != "0":
            lines.append(f"- {name}: exit code {how}" if code.isdecimal() else f"- {name}: {how}")
    return ["\n".join(lines)] if lines else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["collect", "table"])
    parser.add_argument(
        "paths", type=Path, nargs="+", help="folders of run.sh, the first gets gpu.json; or a gpu.json"
    )
    parser.add_argument("--ended", nargs="*", default=[], metavar="PART=WORDS", help="how the parts ended")
    arguments = parser.parse_args()
    found: dict = {}
    if arguments.action == "table":
        found = json.loads(arguments.paths[0].read_text())
    else:
        for folder in arguments.paths:
            more = collect(folder, arguments.ended)
            found = found | more | {"ended": found.get("ended", {}) | more["ended"]}
        write_bytes(arguments.paths[0] / "gpu.json", json.dumps(found, indent=1).encode())
    print(table(found))


if __name__ == "__main__":
    main()

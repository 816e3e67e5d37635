"""What `run.sh` measured: `collect FOLDER` makes one gpu.json of it, `table gpu.json` the README's tables."""

import argparse
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from segtrain.files import write_bytes


def collect(folder: Path) -> dict:
    """The tests' counts, the benchmark's rows and the trainings' scores, each where it is there."""
    found: dict = {}
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
    lines = []
    if tests := found.get("tests"):
        bad = tests["failures"] + tests["errors"]
        passed = tests["tests"] - tests["skipped"] - bad
        lines += [f"`make test-gpu`: {passed} passed, {bad} failed, {tests['skipped']} skipped, "
                  f"{tests['seconds']:.0f} s", ""]  # fmt: skip
    if bench := found.get("bench"):
        columns = ("what", "against", "measured", "wanted", "details")
        lines += [f"{bench['about']}:", "", "| what | against | measured | to reach | |", "| --- " * 5 + "|"]
        cells = [[row[column].replace("|", r"\|") for column in columns] for row in bench["rows"]]
        lines += [f"| {' | '.join(row)} |" for row in cells]
        lines.append("")
    if rows := found.get("reproduce"):
        lines += [
            "| trained on CamVid | steps | minutes | val | test | the paper's test |",
            "| --- " * 6 + "|",
        ]
        for row in rows:
            scores = [
                f"{row[key]:.1f}" if row.get(key) is not None else "-"
                for key in ("val", "test", "paper_test")
            ]
            lines.append(f"| {row['model']} | {row['steps']} | {row['minutes']:.1f} | {' | '.join(scores)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["collect", "table"])
    parser.add_argument("path", type=Path, help="the folder of run.sh, or a gpu.json")
    arguments = parser.parse_args()
    if arguments.action == "collect":
        found = collect(arguments.path)
        write_bytes(arguments.path / "gpu.json", json.dumps(found, indent=1).encode())
    else:
        found = json.loads(arguments.path.read_text())
    print(table(found))


if __name__ == "__main__":
    main()

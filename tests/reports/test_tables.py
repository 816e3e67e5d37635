"""A page's tables as files."""

import csv

from tests.reports.samples import table


def test_a_table_is_written_for_papers_and_for_programs(tmp_path):
    table().write(tmp_path)
    with open(tmp_path / "runs.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["run", "mean IoU %"]
    assert float(rows[1][1]) == 0.6123456789012345
    assert (tmp_path / "runs.md").read_text().splitlines() == [
        "| run | mean IoU % |",
        "| --- | --: |",
        "| fcn8s | 61.2 ± 0.5 |",
        "| <b>unet</b> | 9.5 |",
        "| fcn32s | - |",
    ]
    latex = (tmp_path / "runs.tex").read_text()
    assert "\\begin{tabular}{lr}" in latex
    assert "run & mean IoU \\% \\\\" in latex
    assert "fcn8s & \\textbf{61.2 $\\pm$ 0.5} \\\\" in latex

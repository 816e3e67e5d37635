"""The page of a comparison: its numbers, its files, and what it looks like in a browser."""

import csv
import json
import re
import subprocess
import sys

import pytest

from segtrain.commands.report import significance_of, write_report
from segtrain.reports.comparison import counted, duration, verdict_lines
from segtrain.reports.differences import find_differences
from segtrain.reports.page import LARGEST
from segtrain.reports.provenance import departures_table
from segtrain.reports.run_plots import pareto_front
from segtrain.reports.runs import find_runs, read_run_folder, read_runs_of
from tests.reports.made_runs import make_run, make_sweep


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A sweep's folder, its metrics by run, and its report's folder."""
    folder = tmp_path_factory.mktemp("sweep")
    metrics = make_sweep(folder / "runs")
    write_report([str(folder / "runs")], folder / "out")
    return folder / "runs", metrics, folder / "out"


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_every_number_is_that_of_metrics_json(sweep):
    _, metrics, out = sweep
    table = {row["run"]: row for row in rows(out / "report/runs.csv")}
    assert table.keys() == metrics.keys()
    titles = {"mean_iou": "mean IoU %", "pixel_accuracy": "pixel accuracy %", "parameters": "parameters"}
    html = (out / "report.html").read_text()
    for name, found in metrics.items():
        for key, title in titles.items():
            assert float(table[name][title]) == found[key]
            assert f'data-value="{found[key]}"' in html
        assert float(table[name]["latency, ms"]) == found["cost"]["latency"]
        assert float(table[name]["training time"]) == 50.0


def test_models_are_means_over_seeds_and_the_best_is_tested(sweep):
    _, metrics, out = sweep
    first, *_ = rows(out / "report/models.csv")
    assert first["model"] == "fcn8s"
    mean = (metrics["4"]["mean_iou"] + metrics["5"]["mean_iou"]) / 2
    assert float(first["mean IoU %"]) == pytest.approx(mean, abs=1e-15)
    html = (out / "report.html").read_text()
    assert re.search("of 3 differences of mean IoU (is|are) significant", html)
    assert "fcn8s is significantly better than all others." in html
    pairs = rows(out / "report/pairs.csv")
    gain = mean - (metrics["0"]["mean_iou"] + metrics["1"]["mean_iou"]) / 2
    assert float(pairs[0]["fcn32s"]) == pytest.approx(gain)


def test_failed_and_damaged_runs_appear_with_their_reason(sweep):
    out = sweep[2]
    reasons = {row["run"]: row["reason"] for row in rows(out / "report/problems.csv")}
    assert reasons.keys() == {"6", "7", "8"}
    assert reasons["6"].startswith("failed: the loss is nan")
    assert "3 of them have no metrics" in (out / "report.html").read_text()


def test_tables_and_plots_are_files_for_a_paper(sweep):
    out = sweep[2]
    names = {path.name for path in (out / "report").iterdir()}
    for table in ("models", "runs", "pairs", "classes", "origins", "configs", "problems"):
        assert {f"{table}.csv", f"{table}.md", f"{table}.tex"} <= names
    for drawn in ("curves", "cost", "class_map", "confusion_1"):
        assert {f"{drawn}.svg", f"{drawn}.pdf"} <= names
    assert "\\toprule" in (out / "report/models.tex").read_text()


def test_the_same_runs_give_the_same_page_which_asks_for_nothing(sweep, tmp_path):
    runs, _, out = sweep
    first = (out / "report.html").read_bytes()
    write_report([str(runs)], tmp_path)
    assert (tmp_path / "report.html").read_bytes() == first
    text = first.decode()
    assert not re.search(r"""(src|href)=["'](?!data:|#)|url\((?!data:|#)""", text)
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids))


def test_metrics_that_were_asked_for_have_their_plots(tmp_path):
    trimap = {"trimap_mean_iou": {"1": 0.2, "2": 0.3}, "calibration_error": 0.1}
    bins = {"calibration_bins": [[0, 0.0, 0.0], [10, 0.5, 0.4], [30, 0.9, 0.8]]}
    made = {}
    for name, quality in (("a" * 70, 0.7), ("b", 0.8)):  # a long name leaves the axes their room
        made[name] = make_run(
            tmp_path / name, f"model={name}", quality=quality, crf=True, extra=trimap | bins
        )
    write_report([str(tmp_path)], tmp_path / "out")
    names = {path.name for path in (tmp_path / "out/report").iterdir()}
    assert {"crf.svg", "trimap.svg", "reliability.svg", "confusion_difference.pdf"} <= names
    row = rows(tmp_path / "out/report/runs.csv")[0]
    assert {"with CRF %", "calibration error %"} <= row.keys()
    first, second = (made[name]["without_crf"]["mean_iou"] for name in ("b", "a" * 70))
    tested = rows(tmp_path / "out/report/pairs.csv")[0]
    assert float(tested["a" * 70]) == pytest.approx(first - second)  # the network's, as the tables' mean IoU


def test_one_run_and_runs_of_nothing_have_a_page_too(tmp_path):
    make_run(tmp_path / "one/a", "model=unet", images=1)
    write_report([str(tmp_path / "one/a")], tmp_path / "out1")
    assert "1 run, evaluated on 1 image." in (tmp_path / "out1/report.html").read_text()
    (tmp_path / "none/0").mkdir(parents=True)
    (tmp_path / "none/0/metrics.json").write_text(json.dumps({"error": "no <data>", "exit_code": 2}))
    write_report([str(tmp_path / "none")], tmp_path / "out2")
    assert "failed: no &lt;data&gt;" in (tmp_path / "out2/report.html").read_text()


def test_other_images_are_not_tested_against_one_another(tmp_path):
    for name, images in (("a", 3), ("b", 4), ("c", 4)):
        make_run(tmp_path / name, f"model={name}", images=images)
    found = find_differences(read_runs_of(find_runs([str(tmp_path)])))
    tests = significance_of(found)
    assert {found.groups[i].label for pair in tests.pairs for i in pair[:2]} == {"b", "c"}
    assert tests.left_out == 1
    assert "In no test: 1 of the models" in verdict_lines(found.groups, tests.pairs, tests.left_out)[-1]


def test_a_run_of_a_recipe_lists_what_it_does_otherwise_than_the_paper(tmp_path):
    make_run(tmp_path / "0", "experiment=fcn32s_voc", images=1)
    table = departures_table([run := read_run_folder(tmp_path / "0")], {run.name: "fcn32s"})
    rows = {row[2].text: [cell.text for cell in row] for row in table.rows}
    assert rows["batch"][:2] == ["fcn32s", "fcn32s_voc"]
    assert departures_table([read_run_folder(tmp_path)], {}) is None


def test_numbers_are_short():
    assert [counted(134_362_751), counted(2_100), counted(7)] == ["134.4 M", "2.1 k", "7"]
    assert [duration(8.14), duration(192), duration(7500)] == ["8.1 s", "3 min 12 s", "2 h 05 min"]
    assert pareto_front([(1, 0.5), (2, 0.4), (3, 0.9), (1, 0.2)]) == [(1, 0.5), (3, 0.9)]


@pytest.mark.browser
def test_the_images_change_with_the_slider_and_their_order(sweep, open_page):
    page = open_page(sweep[2] / "report.html")
    frames = page.locator(".frames").first.locator(".frame")
    shown = lambda: [i for i, f in enumerate(frames.all()) if "off" not in f.get_attribute("class")]  # noqa: E731
    assert shown() == [2]
    page.locator("#slider-layers").focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    assert shown() == [3]
    page.get_by_role("button", name="label", exact=True).click()
    assert shown() == [1]
    names = lambda: page.locator("#cards h3:visible").all_text_contents()  # noqa: E731
    before = names()
    page.get_by_role("button", name="random").click()
    assert sorted(names()) == sorted(before)
    assert names() != before
    loaded = page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    assert loaded


@pytest.mark.browser
def test_links_lead_to_sections_and_titles_sort(sweep, open_page):
    page = open_page(sweep[2] / "report.html", dark=True)
    for link in page.locator("nav a").all():
        assert page.locator(link.get_attribute("href")).count() == 1
    page.locator("#runs").get_by_role("button", name="latency, ms").click()
    values = [float(v.get_attribute("data-value")) for v in page.locator("#runs td:nth-child(12)").all()]
    assert values == sorted(values, reverse=True)


@pytest.mark.browser
def test_a_comparison_is_readable_without_javascript(sweep, open_page):
    page = open_page(sweep[2] / "report.html", javascript=False)
    frames = page.locator(".frames").first.locator(".frame")
    assert frames.count() == 5
    assert all(frame.is_visible() for frame in frames.all())
    assert page.locator("#curves svg").is_visible()


@pytest.mark.slow
def test_fifty_runs_of_a_hundred_images_are_compared_in_thirty_seconds_and_500_mb(tmp_path):
    for number in range(50):
        make_run(
            tmp_path / f"runs/{number}",
            f"optimizer.lr={number}",
            quality=0.5 + number / 120,
            seed=number,
            images=100,
            size=(180, 240),
        )
    program = (
        "import sys; from pathlib import Path; from segtrain.commands.report import write_report\n"
        "write_report([sys.argv[1]], Path(sys.argv[2]))\n"
        "print(next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1])\n"
        "import time; print(time.process_time())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "runs", tmp_path / "out"],
        capture_output=True,
        text=True,
        check=True,
    )
    kilobytes, seconds = map(float, done.stdout.split()[-2:])  # of processor time: others may run beside it
    megabytes = kilobytes / 1024
    print(f"{seconds:.1f} s, {megabytes:.0f} MB, {(tmp_path / 'out/report.html').stat().st_size:,} bytes")
    assert (tmp_path / "out/report.html").stat().st_size < LARGEST
    assert seconds < 30
    assert megabytes < 500


def said_of(folder):
    found = find_differences(read_runs_of(find_runs([str(folder)])))
    tests = significance_of(found)
    return " ".join(verdict_lines(found.groups, tests.pairs, tests.left_out))


def test_two_models_have_one_difference_and_no_all_others(tmp_path):
    make_run(tmp_path / "a", "model=a", quality=0.95, images=12)
    make_run(tmp_path / "b", "model=b", quality=0.5, images=12)
    said = said_of(tmp_path)
    assert said.startswith("The difference of mean IoU is significant at 5 %")
    assert "a is significantly better than b." in said
    make_run(tmp_path / "b", "model=b", quality=0.95, seed=1, images=12)
    assert "is not significant at 5 %" in said_of(tmp_path)


def test_a_best_model_that_was_not_tested_is_not_said_to_be_better(tmp_path):
    for name, quality, images in (("a", 0.99, 3), ("b", 0.9, 12), ("c", 0.3, 12)):
        make_run(tmp_path / name, f"model={name}", quality=quality, images=images)
    assert "significantly better" not in said_of(tmp_path)

import csv

import numpy as np
import pytest
import torch
from PIL import Image

from segtrain.contracts import IGNORE_INDEX, Sample
from segtrain.evaluation.evaluate import Seen, Settings, evaluate
from segtrain.evaluation.report import Report
from segtrain.viz.contact_sheet import GAP, KEPT, PANEL_WIDTH, WRONG, Extremes, contact_sheet, panels
from segtrain.viz.drawing import IGNORE_COLOUR
from tests.evaluation.test_evaluate import CPU, NAMES, Images, predictor

PALETTE = ((0, 0, 0), (255, 0, 0), (0, 255, 0))


def seen(index: int, predicted: np.ndarray, labels: np.ndarray | None = None) -> Seen:
    labels = np.zeros(predicted.shape, np.uint8) if labels is None else labels
    sample = Sample(np.full((*predicted.shape, 3), 100, np.uint8), labels, f"p{index}")
    return Seen(index, sample, predicted, None, [])


@pytest.fixture
def report():
    """Of an evaluation of three images whose CRF takes one class for the other in the first."""
    report, images = Report(NAMES, PALETTE), iter(range(3))

    def crf(image, probabilities):
        return probabilities if next(images) else probabilities[[1, 0, 2]]

    metrics = evaluate(predictor(), Images(), NAMES, CPU.device, Settings(), crf=crf, watch=report.watch)
    report.gather()
    report.metrics = report.with_intervals(metrics)
    return report


def rows(path) -> list[dict]:
    with open(path) as file:
        return list(csv.DictReader(file))


def test_every_image_is_a_line_with_its_figures_and_those_without_the_crf(report, tmp_path):
    report.write(tmp_path, report.metrics)
    lines = rows(tmp_path / "images.csv")
    assert [line["name"] for line in lines] == ["0", "1", "2"]
    assert [float(line["mean_iou"]) for line in lines] == [0, 1, 1]
    assert {float(line["mean_iou_without_crf"]) for line in lines} == {1}


def test_the_confusion_matrix_is_a_table_with_names(report, tmp_path):
    report.write(tmp_path, report.metrics)
    lines = rows(tmp_path / "confusion_matrix.csv")
    assert [line.pop("labelled \\ predicted") for line in lines] == list(NAMES)
    assert [[int(line[name]) for name in NAMES] for line in lines] == report.metrics["confusion_matrix"]
    with Image.open(tmp_path / "confusion_matrix.png") as image:
        assert image.width > 100


def test_the_counts_of_images_sum_to_those_of_the_matrix(report):
    matrix = torch.tensor(report.metrics["confusion_matrix"])
    expected = torch.stack([matrix.diag(), matrix.sum(1), matrix.sum(0)])
    assert report.counts().sum(0).tolist() == expected.tolist()


def test_figures_come_with_intervals_and_the_crfs_gain_with_its_own(report):
    low, high = report.metrics["mean_iou_interval"]
    assert low <= report.metrics["mean_iou"] <= high
    assert report.metrics["without_crf"]["mean_iou_interval"] == (1, 1)
    gain = report.metrics["crf_gain"]
    assert gain["mean_iou"] == pytest.approx(report.metrics["mean_iou"] - 1)
    assert gain["interval"] == pytest.approx((low - 1, high - 1))


def test_the_sheet_keeps_the_worst_and_the_best_in_order():
    extremes = Extremes(PALETTE)
    scores = np.random.default_rng(0).permutation(20) / 20
    for index, score in enumerate(scores):
        extremes.add(seen(index, np.zeros((2, 3), np.uint8)), score)
    ordered = sorted(scores)
    assert [row.mean_iou for row in extremes.rows] == ordered[:KEPT] + ordered[-KEPT:]
    assert all(row.name == f"p{np.flatnonzero(scores == row.mean_iou)[0]}" for row in extremes.rows)


def test_few_images_are_on_the_sheet_once():
    extremes = Extremes(PALETTE)
    for index in range(3):
        extremes.add(seen(index, np.zeros((2, 3), np.uint8)), 0.5)
    assert [row.index for row in extremes.rows] == [0, 1, 2]


def test_wrong_pixels_are_red_void_is_void_and_right_ones_are_dark():
    labels = np.array([[0, 0, IGNORE_INDEX, 1]], np.uint8).repeat(2, 0)
    drawn = panels(seen(0, np.array([[0, 1, 1, 1]], np.uint8).repeat(2, 0), labels), PALETTE)
    assert drawn.shape == (160, 4 * PANEL_WIDTH + 3 * GAP, 3)
    difference = drawn[:, -PANEL_WIDTH:]
    centres = [difference[80, x].tolist() for x in (40, 120, 200, 280)]
    assert centres == [[50] * 3, list(WRONG), list(IGNORE_COLOUR), [50] * 3]


def test_the_refined_labels_are_shown_where_there_are_any():
    both = seen(0, np.zeros((2, 2), np.uint8))._replace(refined=np.ones((2, 2), np.uint8))
    prediction = panels(both, PALETTE)[:, 2 * (PANEL_WIDTH + GAP) :][:, :PANEL_WIDTH]
    assert (prediction == PALETTE[1]).all()


def test_a_sheet_holds_images_of_different_shapes(report):
    sheet = contact_sheet(report.extremes.rows, NAMES, PALETTE)
    assert sheet.shape[1] > 4 * PANEL_WIDTH
    assert sheet.shape[0] > sum(len(row.panels) for row in report.extremes.rows)

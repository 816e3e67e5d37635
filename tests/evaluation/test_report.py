import csv

import numpy as np
import pytest
import torch
from PIL import Image

from segtrain.contracts import IGNORE_INDEX, Sample
from segtrain.evaluation.evaluate import EvaluationSettings, ImageResult, evaluate_split
from segtrain.evaluation.report import Report
from segtrain.viz.contact_sheet import GAP, KEPT, PANEL_WIDTH, WRONG, BestAndWorst, contact_sheet, panels
from segtrain.viz.drawing import IGNORE_COLOUR
from tests.evaluation.test_evaluate import CPU, NAMES, Images, predictor

PALETTE = ((0, 0, 0), (255, 0, 0), (0, 255, 0))


def sample_of(index: int, predicted: np.ndarray, labels: np.ndarray | None = None) -> Sample:
    labels = np.zeros(predicted.shape, np.uint8) if labels is None else labels
    return Sample(np.full((*predicted.shape, 3), 100, np.uint8), labels, f"p{index}")


@pytest.fixture
def report():
    """Of an evaluation of three images whose CRF takes one class for the other in the last."""
    report = Report(NAMES, PALETTE)

    def crf(image, probabilities):
        # By its shape: the CRF's threads take images in any order.
        return probabilities[[1, 0, 2]] if image.shape[:2] == Images.sizes[2] else probabilities

    result = evaluate_split(
        predictor(), Images(), NAMES, CPU, EvaluationSettings(), crf=crf, on_image=report.add
    )
    report.gather()
    return report, report.with_intervals(result)


def rows(path) -> list[dict]:
    with open(path) as file:
        return list(csv.DictReader(file))


def test_every_image_is_a_line_with_its_metrics_and_those_without_the_crf(report, tmp_path):
    report[0].write(tmp_path, report[1])
    lines = rows(tmp_path / "images.csv")
    assert [line["name"] for line in lines] == ["0", "1", "2"]
    assert [float(line["mean_iou"]) for line in lines] == [1, 1, 0]
    assert {float(line["mean_iou_without_crf"]) for line in lines} == {1}


def test_the_confusion_matrix_is_a_table_with_names(report, tmp_path):
    report[0].write(tmp_path, report[1])
    lines = rows(tmp_path / "confusion_matrix.csv")
    assert [line.pop("label \\ prediction") for line in lines] == list(NAMES)
    assert [[int(line[name]) for name in NAMES] for line in lines] == report[1].as_json()["confusion_matrix"]
    with Image.open(tmp_path / "confusion_matrix.png") as image:
        assert image.width > 100


def test_the_counts_of_images_sum_to_those_of_the_matrix(report):
    matrix = torch.tensor(report[1].as_json()["confusion_matrix"])
    expected = torch.stack([matrix.diag(), matrix.sum(1), matrix.sum(0)])
    assert report[0].counts().sum(0).tolist() == expected.tolist()


def test_metrics_come_with_intervals_and_the_crfs_gain_with_its_own(report):
    low, high = report[1].as_json()["mean_iou_interval"]
    assert low <= report[1].as_json()["mean_iou"] <= high
    assert report[1].as_json()["without_crf"]["mean_iou_interval"] == (1, 1)
    gain = report[1].as_json()["crf_gain"]
    assert gain["mean_iou"] == pytest.approx(report[1].as_json()["mean_iou"] - 1)
    assert gain["interval"] == pytest.approx((low - 1, high - 1))


def test_the_sheet_keeps_the_worst_and_the_best_in_order():
    extremes = BestAndWorst(PALETTE)
    scores = np.random.default_rng(0).permutation(20) / 20
    for index, score in enumerate(scores):
        prediction = np.zeros((2, 3), np.uint8)
        extremes.add(index, sample_of(index, prediction), prediction, score)
    ordered = sorted(scores)
    assert [row.mean_iou for row in extremes.rows] == ordered[:KEPT] + ordered[-KEPT:]
    assert all(row.name == f"p{np.flatnonzero(scores == row.mean_iou)[0]}" for row in extremes.rows)


def test_few_images_are_on_the_sheet_once():
    extremes = BestAndWorst(PALETTE)
    for index in range(3):
        prediction = np.zeros((2, 3), np.uint8)
        extremes.add(index, sample_of(index, prediction), prediction, 0.5)
    assert [row.position for row in extremes.rows] == [0, 1, 2]


def test_wrong_pixels_are_red_ignored_ones_are_grey_and_right_ones_are_dark():
    labels = np.array([[0, 0, IGNORE_INDEX, 1]], np.uint8).repeat(2, 0)
    prediction = np.array([[0, 1, 1, 1]], np.uint8).repeat(2, 0)
    drawn = panels(sample_of(0, prediction, labels), prediction, PALETTE)
    assert drawn.shape == (160, 4 * PANEL_WIDTH + 3 * GAP, 3)
    difference = drawn[:, -PANEL_WIDTH:]
    centres = [difference[80, x].tolist() for x in (40, 120, 200, 280)]
    assert centres == [[50] * 3, list(WRONG), list(IGNORE_COLOUR), [50] * 3]


def test_the_final_prediction_is_the_crfs_where_there_is_one():
    network, crf = np.zeros((2, 2), np.uint8), np.ones((2, 2), np.uint8)
    image = ImageResult(0, sample_of(0, network), network, crf, [])
    assert image.final is crf
    assert image._replace(crf=None).final is network


def test_a_sheet_holds_images_of_different_shapes(report):
    sheet = contact_sheet(report[0].extremes.rows, NAMES, PALETTE)
    assert sheet.shape[1] == 4 * PANEL_WIDTH + 3 * GAP
    assert sheet.shape[0] > sum(len(row.panels) for row in report[0].extremes.rows)

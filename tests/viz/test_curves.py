"""The curves of a training."""

import numpy as np
import pytest

from segtrain.viz.curves import SMOOTHED_FROM, moving_mean, results_figure


def train(step, **values):
    return {"step": step, "split": "train", "lr": 0.01, **values}


def val(step, **values):
    return {"step": step, "split": "val", **values}


def lines(axes):
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines}


def test_each_plot_shows_its_records_and_says_what_it_shows():
    records = [train(10, loss=2.0), train(20, loss=1.0, lr=0.005)]
    records += [val(10, mean_iou=0.25), val(20, mean_iou=0.5, mean_iou_crf=0.625)]
    figure = results_figure(records, "unet_camvid/run")
    loss, mean_iou, rate = figure.axes
    assert lines(loss) == {"loss": ([10, 20], [2.0, 1.0])}
    assert lines(mean_iou) == {"network": ([10, 20], [25, 50]), "with CRF": ([20], [62.5])}
    assert list(rate.lines[0].get_ydata()) == [0.01, 0.005]
    legend = [text.get_text() for text in mean_iou.get_legend().get_texts()]
    assert legend == ["network", "with CRF", "best: 50.0 % at step 20"]
    assert figure.get_suptitle() == "unet_camvid/run"
    assert [axes.get_xlabel() for axes in figure.axes] == ["step"] * 3
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "mean IoU %", "learning rate"]


def test_each_term_of_a_loss_has_a_curve_of_its_own_colour():
    terms = {f"loss/{i}": float(i) for i in range(6)}
    loss = results_figure([train(1, loss=1.0, **terms)], "").axes[0]
    assert list(lines(loss)) == ["loss", "0", "1", "2", "3", "4", "5"]
    assert len({line.get_color() for line in loss.lines}) >= 5


def test_many_points_are_drawn_with_their_moving_mean():
    loss = results_figure([train(i, loss=i % 2) for i in range(SMOOTHED_FROM)], "").axes[0]
    assert "loss, moving mean" in lines(loss)
    assert np.ptp(lines(loss)["loss, moving mean"][1]) < 0.5


def test_a_moving_mean_keeps_a_line_and_averages_what_there_is_at_the_ends():
    assert moving_mean(np.arange(60.0))[2:-2] == pytest.approx(np.arange(60.0)[2:-2])
    assert moving_mean(np.array([0.0, 3.0, 9.0])).tolist() == [1.5, 4, 6]


@pytest.mark.parametrize("records", [[train(1, loss=1.0)], [val(1, mean_iou=0.5)], [val(1, mean_iou=None)]])
def test_what_was_not_logged_leaves_its_plot_empty(records):
    figure = results_figure(records, "")
    figure.canvas.draw()
    assert len(figure.axes) == 3

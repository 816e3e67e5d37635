import heapq

import numpy as np
from scipy import ndimage

from segtrain.inference.watershed import minimum_pixels, watershed_fusion, watershed_lines


def landscape(height=40, width=50):
    rough = np.random.default_rng(0).random((height, width))
    return ndimage.gaussian_filter(rough, 2)


def test_the_line_is_on_the_crest_and_not_at_a_step():
    columns = np.arange(60)
    terrace = np.where((columns >= 8) & (columns < 30), 0.35, 0)
    profile = terrace + 0.4 * np.exp(-np.square((columns - 29) / 2))
    lines = watershed_lines(np.tile(profile, (10, 1)))
    assert np.flatnonzero(lines.all(0)).tolist() == [29]
    assert lines.sum() == 10


def test_no_basin_touches_another_and_each_keeps_its_minimum():
    heights = landscape()
    lines, minima = watershed_lines(heights), minimum_pixels(heights)
    regions = ndimage.label(~lines)[0].ravel()
    assert len(minima) > 10
    assert (regions[minima] > 0).all()
    assert len(set(regions[minima])) == len(minima)


def test_a_pixel_is_on_the_side_that_it_reaches_over_the_lowest_pass():
    heights = landscape()
    regions = ndimage.label(~watershed_lines(heights))[0].ravel()
    minima = minimum_pixels(heights)
    costs = np.stack([passes(heights, start) for start in minima])
    best, second = np.sort(costs, 0)[:2]
    certain = (best < second) & (regions > 0)
    assert certain.sum() > 300
    assert (regions[certain] == regions[minima][costs.argmin(0)][certain]).all()


def passes(heights, start):
    """The height of the lowest pass from a pixel to every other one, by Dijkstra's search."""
    rows, columns = heights.shape
    reached, queue = np.full(heights.size, np.inf), [(heights.flat[start], start)]
    while queue:
        height, pixel = heapq.heappop(queue)
        if reached[pixel] < np.inf:
            continue
        reached[pixel] = height
        y, x = divmod(pixel, columns)
        for j, i in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= j < rows and 0 <= i < columns:
                heapq.heappush(queue, (max(height, heights[j, i]), j * columns + i))
    return reached


def test_a_plateau_on_a_slope_is_no_minimum_and_a_flat_bottom_is_one():
    heights = np.tile([0.0, 0, 0, 1, 2, 2, 2, 2, 3, 1, 1, 1], (6, 1))
    assert (minimum_pixels(heights) % 12).tolist() == [0, 9]
    assert np.flatnonzero(watershed_lines(heights).any(0)).tolist() == [8]


def test_a_flat_map_and_one_pixel_have_no_line():
    assert not watershed_lines(np.ones((4, 5))).any()
    assert not watershed_lines(np.ones((1, 1))).any()


def test_lines_are_added_with_what_the_weight_leaves():
    membrane = landscape().astype(np.float32)
    fused = watershed_fusion(membrane, weight=0.8, sigma=1.0)
    lines = watershed_lines(ndimage.gaussian_filter(membrane.astype(np.float64), 1.0))
    assert fused.dtype == np.float32
    assert np.allclose(fused, 0.8 * membrane + 0.2 * lines)

"""Boxes: their arithmetic, the grid that stands in for proposals, and every fault of a file of them."""

import numpy as np
import pytest

from segtrain.data.crops.boxes import Box, grid_boxes, read_boxes
from segtrain.errors import InputError

HEADER = "name,x,y,width,height,score\n"


def test_a_box_is_extended_around_its_centre():
    assert Box(10, 20, 30, 40).extended(1.2) == Box(7, 16, 36, 48)
    assert Box(10, 20, 30, 40).extended(1) == Box(10, 20, 30, 40)


@pytest.mark.parametrize(
    ("box", "inside"),
    [
        (Box(2, 1, 3, 4), Box(2, 1, 3, 4)),
        (Box(-2, -1, 5, 4), Box(0, 0, 3, 3)),
        (Box(8, 5, 9, 9), Box(8, 5, 2, 3)),
        (Box(-9, 0, 4, 4), Box(0, 0, 0, 4)),
        (Box(11, 20, 4, 4), Box(10, 8, 0, 0)),
    ],
)
def test_a_box_is_cut_to_a_image_of_8_rows_and_10_columns(box, inside):
    assert box.inside(8, 10) == inside


@pytest.mark.parametrize("size", [(375, 500), (500, 375), (360, 480), (96, 96), (97, 2), (1, 1), (10, 300)])
def test_the_windows_of_a_grid_lie_inside_and_cover_every_pixel_from_large_to_small(size):
    boxes = grid_boxes(*size)
    assert len(set(boxes)) == len(boxes)
    assert all(box == box.inside(*size) and box.width > 0 and box.height > 0 for box in boxes)
    areas = [box.width * box.height for box in boxes]
    assert areas == sorted(areas, reverse=True)
    for area in (areas[0], areas[-1]):
        covered = np.zeros(size, bool)
        for box in boxes:
            if box.width * box.height <= area:
                covered[box.y : box.y + box.height, box.x : box.x + box.width] = True
        assert covered.all()


def test_a_grid_has_squares_and_both_oblongs_of_each_scale_overlapping_by_half():
    boxes = grid_boxes(400, 800, scales=(0.5,))
    assert {(box.width, box.height) for box in boxes} == {(200, 200), (400, 200), (200, 400)}
    assert sorted({box.x for box in boxes if box.width == 400}) == [0, 200, 400]
    assert sorted({box.x for box in boxes if box.width == 200}) == [0, 100, 200, 300, 400, 500, 600]


def test_the_grid_on_a_image_of_voc_fits_below_the_papers_limit_of_50():
    boxes = grid_boxes(375, 500)
    assert len(boxes) == 40
    assert boxes[0] == Box(0, 0, 500, 375)


def test_boxes_are_read_by_image_with_the_best_first(tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_text(
        "score,name,x,y,width,height,note\n0.5,a,0,1,2,3,\n0.25,b,4,5,6,7,x\n0.75,a,8.4,9.6,10,11,\n"
    )
    assert read_boxes(str(path)) == {
        "a": [Box(8, 10, 10, 11), Box(0, 1, 2, 3)],
        "b": [Box(4, 5, 6, 7)],
    }


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv: cannot be read"):
        read_boxes(str(tmp_path / "none.csv"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no column name; begin the file with name,x,y,width,height,score"),
        ("name,x,y,width,score\n", "no column height"),
        (
            HEADER + "a,0,0,5,5,1\na,0,zero,5,5,1\n",
            r"boxes\.csv, line 3: y must be a finite number, got 'zero'",
        ),
        (HEADER + "a,0,0,5,5\n", r"line 2: score must be a finite number, got ''"),
        (HEADER + "a,0,0,inf,5,1\n", r"line 2: width must be a finite number, got 'inf'"),
        (HEADER + "a,0,0,5,0,1\n", r"line 2: the box is 5×0 pixels; give at least 1×1"),
        (HEADER + ",0,0,5,5,1\n", r"line 2: name is empty"),
        ("\x00\n", "cannot be read|no column"),
    ],
)
def test_a_faulty_file_is_named_with_the_line(tmp_path, content, message):
    path = tmp_path / "boxes.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_boxes(str(path))


def test_a_file_that_is_no_text_is_named(tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_bytes(b"\x93NUMPY\xff\xfe")
    with pytest.raises(InputError, match=r"boxes\.csv: cannot be read"):
        read_boxes(str(path))

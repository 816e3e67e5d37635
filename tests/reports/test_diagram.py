"""The diagram of a network."""

import math
import re

import pytest

from segtrain.reports.diagram import ARCS, SLANT, DrawnBox, draw_diagram


def test_the_names_below_the_boxes_leave_the_key_and_the_edge_free():
    boxes = [DrawnBox(f"stage{i}", "", "encoder", 64, 40) for i in range(20)]
    boxes.append(DrawnBox("context", "", "dilated", 21, 40, "dilation 1, 1, 2, 4, 8, 16, 32, 64"))
    svg = draw_diagram(boxes, [], 321)
    x, y = map(float, re.findall(r"translate\(([\d.]+) ([\d.]+)\)", svg)[-1])
    length = 6 * len("context dilation 1, 1, 2, 4, 8, 16, 32, 64")  # pixels, of letters of 11
    slope = math.radians(SLANT)
    key = min(float(top) for top in re.findall(r'<rect x="\d+" y="(\d+)" width="10"', svg))
    assert y + length * math.sin(slope) < key
    assert x + length * math.cos(slope) < float(re.search(r'viewBox="0 0 (\d+)', svg)[1])


def test_a_small_network_with_all_kinds_has_room_for_the_key():
    kinds = ("encoder", "dilated", "decoder", "scores", "crf")
    svg = draw_diagram([DrawnBox("a", "", kind, 4, 40) for kind in kinds], [(0, 3), (1, 3)], 321, [(1, 3)])
    start, words = re.findall(r'<text x="(\d+)"[^>]*>(above: [^<]*)<', svg)[-1]
    assert int(start) + 5.5 * len(words) < float(re.search(r'viewBox="0 0 (\d+)', svg)[1])


@pytest.mark.parametrize(("indices", "names"), [([], ["skips"]), ([(0, 2)], ["pooling indices"])])
def test_the_key_says_what_the_arcs_carry(indices, names):
    boxes = [DrawnBox("a", "", "encoder", 4, 40) for _ in range(3)]
    svg = draw_diagram(boxes, [(0, 1), (1, 2), (0, 2)], 321, indices)
    assert [name for name in ARCS if f">{name}<" in svg] == names
    assert svg.count(f'dasharray="{ARCS[names[0]]}"') == 2  # the arc, and the key's

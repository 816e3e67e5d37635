"""Ways to apply a network to pictures: `inference=whole`, `inference=sliding`, ...

Each is called with the network (pictures N×3×H×W to the `Rows` of their logits), a batch of pictures of
one size and their names, and gives the `Rows` of logits N×C×H×W. So a way with its names is a network
again, which is how one is put into another (`inner`), and no more rows need exist than are asked for.
"""

from segtrain.inference.membranes import WatershedFusion
from segtrain.inference.overlap_tile import OverlapTile
from segtrain.inference.scales import MultiScale, Scaled
from segtrain.inference.sliding import Sliding
from segtrain.inference.turns import Averaged
from segtrain.inference.whole import Whole
from segtrain.inference.windows import Windows

__all__ = [
    "Averaged",
    "MultiScale",
    "OverlapTile",
    "Scaled",
    "Sliding",
    "WatershedFusion",
    "Whole",
    "Windows",
]

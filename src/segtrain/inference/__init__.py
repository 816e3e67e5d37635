"""Ways to apply a network to images: `inference=whole`, `inference=sliding`, ...

Each is called with the network (images N×3×H×W to the `Rows` of their logits), a batch of images of
one size and their names, and gives the `Rows` of logits N×C×H×W. So a way with its names is a network
again, which is how one is put into another (`inner`), and no more rows need exist than are asked for.
"""

from segtrain.inference.deconvnet import Windows
from segtrain.inference.dihedral import Averaged
from segtrain.inference.multi_scale import MultiScale, Scaled
from segtrain.inference.overlap_tile import OverlapTile
from segtrain.inference.sliding import Sliding
from segtrain.inference.watershed import WatershedFusion
from segtrain.inference.whole import Whole

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

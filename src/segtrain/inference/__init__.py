"""How a network is applied to images: `inference=whole`, `inference=sliding`, ...

Each is an `Inference` (segtrain.contracts): called with the network, a batch of images of one size and their
names, it gives the rows of their logits N×C×H×W. An inference with its names is a network again, so one
goes into another (`base`), and no more rows exist at a time than are asked for.
"""

from segtrain.inference.deconvnet import DeconvNetWindows
from segtrain.inference.deeplab import DeepLabCrop
from segtrain.inference.dihedral import Dihedral
from segtrain.inference.dilatednet import DilatedNetTiles
from segtrain.inference.multi_scale import MultiScale
from segtrain.inference.overlap_tile import OverlapTile
from segtrain.inference.scaled import Scaled
from segtrain.inference.sliding import Sliding
from segtrain.inference.watershed import Watershed
from segtrain.inference.whole import Whole

__all__ = [
    "DeconvNetWindows",
    "DeepLabCrop",
    "Dihedral",
    "DilatedNetTiles",
    "MultiScale",
    "OverlapTile",
    "Scaled",
    "Sliding",
    "Watershed",
    "Whole",
]

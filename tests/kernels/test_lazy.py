import subprocess
import sys


def test_numba_is_not_loaded_before_a_large_image_needs_it():
    code = (
        "import sys, torch, segtrain\n"
        "from segtrain.metrics.regions import confusion_matrix\n"
        "from segtrain.sizes import upsampled_labels\n"
        "small = upsampled_labels(torch.zeros(1, 2, 4, 4), (25, 25))\n"
        "confusion_matrix(small, small, 2)\n"
        "sys.exit('numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0

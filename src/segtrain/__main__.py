"""`python -m segtrain` is `segtrain`, for `torchrun -m segtrain`."""

from segtrain.cli.entry import segtrain

if __name__ == "__main__":
    segtrain()

"""`python -m segtrain` is `segtrain`, for `torchrun -m segtrain`; `python -m segtrain eval` is `segeval`."""

from segtrain.cli.entry import main

if __name__ == "__main__":
    main()

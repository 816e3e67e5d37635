import numpy as np
import pytest

pytest.importorskip("numba")

from segtrain.crf.cpu import field
from segtrain.crf.cpu.field import kept_memory, make_field, scratch
from segtrain.crf.cpu.lattice import Lattice
from segtrain.crf.potentials import Kernel
from segtrain.errors import InputError


def test_memory_is_kept_from_image_to_image_and_belongs_to_one_at_a_time():
    with kept_memory():
        first = scratch("rows", np.float32, 1000)
        assert first.ctypes.data % 64 == 0
        assert np.shares_memory(scratch("rows", np.float32, 500), first)
        with kept_memory():
            assert not np.shares_memory(scratch("rows", np.float32, 1000), first)
        assert np.shares_memory(scratch("rows", np.float32, 1000), first)
    with kept_memory():
        assert np.shares_memory(scratch("rows", np.float32, 1000), first)


def test_more_rows_than_their_positions_can_say_are_named(monkeypatch):
    neighbours = np.broadcast_to(np.zeros(1, np.int32), (6, 1 << 28, 2))
    vast = Lattice(np.ones((4, 6), np.int32), np.ones((4, 6), np.float32), neighbours, np.ones(4, np.float32))
    monkeypatch.setattr(field, "lattice", lambda *_: vast)
    kernel = Kernel((9.0, 9.0, 5.0, 5.0, 5.0), 3.0, "symmetric")
    with pytest.raises(InputError, match=r"must be below 2\^31, got .* for an image of 2×2"):
        make_field(np.zeros((2, 2, 3), np.uint8), [kernel], (0,))

"""Masks in MATLAB files, as SBD, SIFT Flow and PASCAL-Context have them.

MATLAB's level 5 ("MAT-File Format", The MathWorks): elements of a type, a size and that many bytes. Every
size is checked here against the bytes that there are: SciPy's reader ends the process at some damaged files.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from segtrain.errors import InputError

HEADER = 128
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
MATRIX, COMPRESSED = 14, 15  # types of elements
STRUCT, NUMERIC = 2, range(6, 16)  # classes of matrices
MOST_BYTES = 1 << 30  # of an unpacked element
DEEPEST = 8  # structs in one another


class Element(NamedTuple):
    """kind: its type. content: its bytes. order: `<` or `>`."""

    kind: int
    content: memoryview
    order: str

    def numbers(self) -> np.ndarray:
        """Raises ValueError where it holds none."""
        if self.kind not in NUMBERS:
            raise ValueError(f"an element of type {self.kind} where numbers should be")
        return np.frombuffer(self.content, self.order + NUMBERS[self.kind])


def read_mat(path: Path, names: tuple[str, ...]) -> np.ndarray:
    """The integers, H×W, of a MATLAB file: of a variable, and of a field below for each further name.

    Raises:
        InputError: the file is damaged or of another version than 5 to 7, or has no such matrix of whole
            numbers.
    """
    try:
        value = _matrix_of(path.read_bytes(), names)
        with np.errstate(invalid="ignore"):  # NaN, which the comparison below finds
            numbers = value.astype(np.int32)
    except (OSError, ValueError, struct.error, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error})", do="get the file anew") from error
    if numbers.ndim != 2 or not numbers.size or (numbers != value).any():
        raise InputError(f"{path}: {'.'.join(names)} is no matrix of whole numbers", do="get the file anew")
    small = numbers.min() >= 0 and numbers.max() <= 255  # bytes are looked up fast
    return numbers.astype(np.uint8) if small else numbers


def _matrix_of(data: bytes, names: tuple[str, ...]) -> np.ndarray:
    if len(data) < HEADER or data[126:128] not in (b"IM", b"MI"):
        raise ValueError("no MATLAB file of level 5")
    order = "<" if data[126:128] == b"IM" else ">"
    if struct.unpack(f"{order}H", data[124:126])[0] != 0x0100:
        raise ValueError("no MATLAB file of version 5 to 7; save it anew with -v7")
    for element in _elements(memoryview(data)[HEADER:], order):
        if element.kind == COMPRESSED:
            unpacker = zlib.decompressobj()
            unpacked = unpacker.decompress(element.content, MOST_BYTES)
            if not unpacker.eof:
                raise ValueError("a variable is cut short, or larger than 1 GiB")
            element = next(_elements(memoryview(unpacked), order), Element(0, memoryview(b""), order))
        if element.kind == MATRIX and _name(element) == names[0]:
            return _value(element, names[1:])
    raise ValueError(f"it has no {names[0]}")


def _elements(data: memoryview, order: str) -> Iterator[Element]:
    """The elements that lie one behind the other in some bytes."""
    at = 0
    while at + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        start, after = at + 8, at + 8 + -(-size // 8) * 8  # elements begin at multiples of 8 bytes
        if kind >> 16:  # a small one: its size beside its type, and its bytes in place of a size
            kind, size = kind & 0xFFFF, kind >> 16
            start, after = at + 4, at + 8
            if size > 4:
                raise ValueError("a small element of more than 4 bytes")
        elif kind == COMPRESSED:
            after = start + size
        if start + size > len(data):
            raise ValueError("an element is longer than the file")
        yield Element(kind, data[start : start + size], order)
        at = after


def _name(matrix: Element) -> str:
    parts = _elements(matrix.content, matrix.order)
    wanted = [part for part, _ in zip(parts, range(3), strict=False)]
    return bytes(wanted[2].content).decode("latin-1") if len(wanted) == 3 else ""


def _value(matrix: Element, fields: tuple[str, ...], depth: int = 0) -> np.ndarray:
    """The numbers of a matrix, or of a field of a struct of one element."""
    parts = list(_elements(matrix.content, matrix.order))
    if len(parts) < 4 or depth > DEEPEST:
        raise ValueError("a matrix without content")
    flags, dimensions = (part.numbers() for part in parts[:2])
    kind = int(flags[0]) & 0xFF if flags.size else 0
    shape = [int(side) for side in dimensions]
    if fields:
        if kind != STRUCT or shape != [1, 1]:
            raise ValueError(f"{fields[0]}: what should have this field is no struct")
        return _value(_field(parts[3:], fields[0]), fields[1:], depth + 1)
    if kind not in NUMERIC or len(shape) != 2 or min(shape) < 0:
        raise ValueError("no matrix of numbers with two dimensions")
    numbers = parts[3].numbers()
    if numbers.size != shape[0] * shape[1]:
        raise ValueError(f"{numbers.size} numbers in a matrix of {shape[0]}×{shape[1]}")
    return numbers.reshape(shape, order="F")


def _field(parts: list[Element], name: str) -> Element:
    """The matrix of a field, of a struct's elements behind its name: length, names, matrices."""
    lengths = parts[0].numbers()
    length = int(lengths[0]) if lengths.size else 0
    if length <= 0 or len(parts) < 2:
        raise ValueError("a struct without fields")
    text = bytes(parts[1].content)
    names = [text[i : i + length].split(b"\0")[0].decode("latin-1") for i in range(0, len(text), length)]
    at = names.index(name) + 2 if name in names else len(parts)
    if at >= len(parts) or parts[at].kind != MATRIX:
        raise ValueError(f"it has no field {name}")
    return parts[at]

"""Data sets of the `datasets` library on this machine: parquet or arrow files with images and masks.

Nothing is downloaded. Rows are read from memory-mapped arrow files, so that a data set may be larger than the
memory; parquet is turned into arrow once, in the library's cache (`HF_HOME`).
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps
from torch.utils.data import Dataset

from segtrain.contracts import Sample
from segtrain.data.datasets.classes import find_classes
from segtrain.data.datasets.pairing import seeded_split
from segtrain.data.formats.finding import read_json
from segtrain.data.io.files import stamp
from segtrain.data.io.label_map import parse_label_map
from segtrain.data.io.labels import as_labels
from segtrain.data.io.listing import visible
from segtrain.data.io.masks import numbers_of
from segtrain.data.io.opening import FORMATS, as_rgb, reading
from segtrain.data.io.rasters import more_than_8_bits
from segtrain.errors import InputError, NoSplit, how_to_install
from segtrain.files import user_path

MASK_COLUMNS = ("mask", "label", "annotation", "labels", "masks", "annotations", "segmentation", "semantic")
VALIDATING = ("validation", "val", "valid", "dev")  # what splits are called
TEST = "test"
NAMES = "id2label.json"  # class names beside the files: {"0": "background", ...}
OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")


class Row(NamedTuple):
    """name: of a sample. image: where it is stored. at: of the row."""

    name: str
    image: Path
    at: int


class HuggingFace:
    """Image and mask columns.

    Args:
        root: a parquet or arrow file, a folder of them, or one of `save_to_disk`.
        image_column, mask_column: null takes the first of the usual names.
        train_split, val_split: names of splits; val_split null takes validation, val, valid or dev, else a
            part of the training split at random.
        test_split: null takes test, where there is one.
        num_classes: null counts class_names, else the names of id2label.json beside the files, else the
            labels of label_map.
        class_names: null takes id2label.json, else numbers.
        label_map: stored number -> label, or the path of such a YAML file.
        val_fraction, seed: of a random split.

    Raises:
        InputError: an argument that does not fit, the library is missing, no such files, splits or columns;
            on reading, an image that is damaged, a mask of another size or with a label outside the classes.
    """

    def __init__(
        self,
        *,
        root: str,
        image_column: str = "image",
        mask_column: str | None = None,
        train_split: str = "train",
        val_split: str | None = None,
        test_split: str | None = None,
        num_classes: int | None = None,
        class_names: list[str] | None = None,
        label_map: Mapping[int | str, int] | str | None = None,
        val_fraction: float = 0.25,
        seed: int = 0,
    ):
        self.root = user_path(root)
        self.image_column, self.mask_column = image_column, mask_column
        self.train_split, self.val_split, self.test_split = train_split, val_split, test_split
        self.val_fraction, self.seed = val_fraction, seed
        folder = self.root if self.root.is_dir() else self.root.parent
        if class_names is None and (folder / NAMES).is_file():
            names = read_json(folder / NAMES)
            if num_classes in (None, len(names)):  # else the user has other classes
                class_names = [str(names[key]) for key in sorted(names, key=int)]
        if num_classes is None and class_names is None and label_map is None:
            raise InputError("data.num_classes is missing", do=f"give it or data.class_names, or add {NAMES}")
        classes = find_classes(folder, num_classes, class_names, None, label_map)
        self.class_names, self.palette = classes.names, classes.palette
        self.label_map = parse_label_map(label_map, len(self.class_names)).numbers

    @cached_property
    def train(self) -> TableSplit:
        return self._split(self.train_split, self._rows[0])

    @cached_property
    def val(self) -> TableSplit:
        return self._split(self._val_name or self.train_split, self._rows[1])

    @cached_property
    def test(self) -> TableSplit:
        name = self.test_split or TEST
        if self.test_split is None and name not in self._tables:
            raise NoSplit(f"no split {name} in {self.root}", do="set data.test_split")
        return self._split(name, self._rows_of(name, "test_split"))

    @cached_property
    def _tables(self) -> dict[str, Any]:
        return load_tables(self.root)

    @cached_property
    def _val_name(self) -> str | None:
        return self.val_split or next((name for name in VALIDATING if name in self._tables), None)

    @cached_property
    def _rows(self) -> tuple[list[Row], list[Row]]:
        rows = self._rows_of(self.train_split)
        if self._val_name is None:
            return seeded_split(rows, self.val_fraction, self.seed)
        return rows, self._rows_of(self._val_name, "val_split")

    def _rows_of(self, split: str, key: str = "train_split") -> list[Row]:
        if split not in self._tables:
            found = ", ".join(self._tables)
            raise InputError(f"{self.root}: no split {split}", do=f"set data.{key} to one of {found}")
        return [Row(f"{split}-{i:06}", self.root, i) for i in range(len(self._tables[split]))]

    def _split(self, name: str, rows: list[Row]) -> TableSplit:
        table = self._tables[name]
        mask = self.mask_column or next((c for c in MASK_COLUMNS if c in table.column_names), None)
        for key, column in (("image_column", self.image_column), ("mask_column", mask)):
            if column not in table.column_names:
                found = ", ".join(table.column_names)
                raise InputError(f"{self.root}: no column for data.{key}={column}", do=f"take one of {found}")
        stamps = [stamp(path) for path in _files(self.root)]
        columns = (self.image_column, str(mask))
        return TableSplit(table, rows, columns, self.label_map, len(self.class_names), stamps)


class TableSplit(Dataset):
    """Rows of a table whose cells are image files or arrays."""

    def __init__(
        self,
        table: Any,
        rows: list[Row],
        columns: tuple[str, str],
        label_map: dict[int, int],
        num_classes: int,
        stamps: list,
    ):
        self.table, self.rows, self.columns = _undecoded(table, columns), rows, columns
        self.label_map, self.num_classes, self.stamps = label_map, num_classes, stamps

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Sample:
        row = self.rows[index]
        cells, where = self.table[row.at], Path(f"{row.image}[{row.name}]")
        image = _opened(cells[self.columns[0]], where)
        pixels = np.asarray(as_rgb(image, where)) if isinstance(image, Image.Image) else image
        mask, _ = self._mask(cells[self.columns[1]], row)
        if mask.shape != pixels.shape[:2]:
            of_mask, of_image = (f"{shape[1]}×{shape[0]}" for shape in (mask.shape, pixels.shape))
            what = f"{where}: the mask is {of_mask}, its image {of_image}"
            raise InputError(what, do="both must have the same size")
        return Sample(pixels, mask, row.name)

    def labels(self, index: int) -> tuple[np.ndarray, str]:
        """A sample's mask and name, without decoding its image. Raises InputError."""
        row = self.rows[index]
        return self._mask(self.table.select_columns(self.columns[1])[row.at][self.columns[1]], row)

    def source(self, index: int) -> tuple[str, None]:
        """A sample's name; its image is in no file of its own."""
        return self.rows[index].name, None

    def identity(self) -> list:
        """A JSON value that changes with the files. Raises OSError."""
        names = [row.name for row in self.rows]
        return [self.num_classes, sorted(self.label_map.items()), self.columns[1], self.stamps, names]

    def _mask(self, cell: Any, row: Row) -> tuple[np.ndarray, str]:
        where = Path(f"{row.image}[{row.name}]")
        mask = _opened(cell, where)
        numbers = numbers_of(mask, where) if isinstance(mask, Image.Image) else mask
        if numbers.ndim != 2:
            raise InputError(f"{where}: the mask is {numbers.shape}, not H×W", do="store one number a pixel")
        return as_labels(numbers, self.label_map, self.num_classes, str(where)), row.name


def load_tables(root: Path) -> dict[str, Any]:
    """The splits of a data set by name, memory-mapped.

    Args:
        root: a parquet or arrow file, a folder of them, or one of `save_to_disk`.

    Raises:
        InputError: the library is missing, or no such files are there.
    """
    for name in OFFLINE:
        os.environ.setdefault(name, "1")  # before the library is imported, which reads them then
    try:
        import datasets
    except ImportError as error:
        raise InputError("the datasets library is not installed", do=how_to_install("huggingface")) from error
    files = _files(root)
    if not files:
        raise InputError(f"data.root={root}: no parquet or arrow files there", do="set data.root")
    datasets.disable_progress_bars()
    try:
        if root.is_dir() and any((root / name).is_file() for name in ("state.json", "dataset_dict.json")):
            loaded = datasets.load_from_disk(str(root))
        else:
            kind = files[0].suffix.lstrip(".")
            by_split: dict[str, list[str]] = {}
            for file in files:
                by_split.setdefault(_split_of(file, root), []).append(str(file.resolve()))
            loaded = datasets.load_dataset(kind, data_files=by_split)
    except Exception as error:  # pyarrow and the library have errors of many kinds
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"data.root={root}: cannot be read ({reason})", do="save the data set anew"
        ) from error
    return dict(loaded) if isinstance(loaded, dict) else {"train": loaded}


def _files(root: Path) -> list[Path]:
    if root.is_file():
        return [root]
    return visible(root, "**/*.parquet") or visible(root, "**/*.arrow")


def _split_of(file: Path, root: Path) -> str:
    """The split that a file's name begins with, or its folder's, else train."""
    for name in (file.stem, *(() if file.parent in (root, root.parent) else (file.parent.name,))):
        found = re.match(r"(train|validation|valid|val|dev|test)(?![a-z])", name)
        if found:
            return found[1]
    return "train"


def _undecoded(table: Any, columns: tuple[str, str]) -> Any:
    """The table with image files as bytes: the library would decode both when one is wanted."""
    from datasets import Image as ImageFeature

    for column in columns:
        if isinstance(table.features[column], ImageFeature):
            table = table.cast_column(column, ImageFeature(decode=False))
    return table.select_columns(list(columns))


def _opened(cell: Any, where: Path) -> Image.Image | np.ndarray:
    """An image file's content, upright; or an array as it is."""
    if not isinstance(cell, dict):
        return np.asarray(cell)
    if cell.get("bytes") is None and not cell.get("path"):
        raise InputError(f"{where}: an empty cell", do="take the row out")
    with reading(where):
        content = cell["bytes"] if cell.get("bytes") is not None else Path(cell["path"]).read_bytes()
        image = Image.open(io.BytesIO(content), formats=FORMATS)
        if image.mode.startswith(("RGB", "LA", "F")) and (image.mode == "F" or more_than_8_bits(image)):
            raise InputError(
                f"{where}: must have 8 bits a channel, got more, which would be cut",
                do="write the images as files, for data=folder",
            )
        image.load()
        return ImageOps.exif_transpose(image)

"""Masks in MATLAB files, as SBD, NYUDv2, SIFT Flow and PASCAL-Context have them."""

from pathlib import Path

import numpy as np
from scipy.io import loadmat

from segtrain.errors import InputError


def read_mat(path: Path, names: tuple[str, ...]) -> np.ndarray:
    """The integers, H×W, of a MATLAB file: of a variable, and of a field below for each further name.

    Raises:
        InputError: the file is damaged or of version 7.3, or has no such matrix of whole numbers.
    """
    try:
        value = loadmat(path, variable_names=names[:1])[names[0]]
        for name in names[1:]:
            value = value[name].item()
        with np.errstate(invalid="ignore"):  # NaN, which the comparison below finds
            numbers = value.astype(np.int32)
    except Exception as error:  # a damaged file leads scipy into errors of every kind
        raise InputError(
            f"{path}: cannot be read ({type(error).__name__}: {error})", do="get the file anew"
        ) from error
    if numbers.ndim != 2 or not numbers.size or (numbers != value).any():
        raise InputError(f"{path}: {'.'.join(names)} is no matrix of whole numbers", do="get the file anew")
    small = numbers.min() >= 0 and numbers.max() <= 255  # bytes are looked up fast
    return numbers.astype(np.uint8) if small else numbers

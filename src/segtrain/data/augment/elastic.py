"""Elastic deformation by random displacements on a coarse grid, which albumentations lacks:
its ElasticTransform has no grid, its GridElasticDeform is uniform, with seams along the cells."""

from typing import Any, Literal

import albumentations
import cv2
import numpy as np

from segtrain.errors import InputError

REFLECT = cv2.BORDER_REFLECT_101
INTERPOLATIONS = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}


class ElasticGrid(albumentations.DualTransform):
    """Displaces pixels by a field that is interpolated from grid × grid random vectors.

    The vectors stand at the centres of as many equal cells. Images are sampled linearly, masks at
    the nearest pixel; what comes from outside is mirrored in both.

    Args:
        grid: vectors a side, at least 2.
        displacement: in pixels, on each axis: the std of `normal` vectors, the bound
            of `uniform` ones.
        distribution: of the vectors.
        interpolation: of the field.
        still_border: the vectors at the grid's border are zero.
        p: the share of the images that are deformed.

    Raises:
        InputError: a smaller grid, or a negative displacement.
    """

    def __init__(
        self,
        *,
        grid: int,
        displacement: float,
        distribution: Literal["normal", "uniform"] = "normal",
        interpolation: Literal["cubic", "linear"] = "cubic",
        still_border: bool = False,
        p: float = 1.0,
    ):
        super().__init__(p=p)
        if grid < 2 or displacement < 0:
            raise InputError(
                f"ElasticGrid with grid={grid} and displacement={displacement}",
                do="give a grid from 2 and a displacement from 0",
            )
        self.grid, self.displacement, self.distribution = grid, displacement, distribution
        self.interpolation, self.still_border = interpolation, still_border

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Where each pixel comes from: `columns` and `rows`, float32 H×W."""
        height, width = params["shape"][:2]
        shape = (self.grid, self.grid, 2)
        if self.distribution == "normal":
            vectors = self.random_generator.normal(0, self.displacement, shape)
        else:
            vectors = self.random_generator.uniform(-self.displacement, self.displacement, shape)
        if self.still_border:
            vectors[[0, -1]] = vectors[:, [0, -1]] = 0
        method = INTERPOLATIONS[self.interpolation]
        field = cv2.resize(vectors.astype(np.float32), (width, height), interpolation=method)
        columns = field[..., 0] + np.arange(width, dtype=np.float32)
        rows = field[..., 1] + np.arange(height, dtype=np.float32)[:, None]
        return {"columns": columns, "rows": rows}

    def apply(self, img: np.ndarray, columns: np.ndarray, rows: np.ndarray, **_: Any) -> np.ndarray:
        few = 4  # channels that OpenCV takes at a time
        parts = [img[..., first : first + few] for first in range(0, img.shape[2], few)]
        moved = [cv2.remap(part, columns, rows, cv2.INTER_LINEAR, borderMode=REFLECT) for part in parts]
        return np.concatenate([part.reshape(*img.shape[:2], -1) for part in moved], 2)

    def apply_to_mask(self, mask: np.ndarray, columns: np.ndarray, rows: np.ndarray, **_: Any) -> np.ndarray:
        return cv2.remap(mask, columns, rows, cv2.INTER_NEAREST, borderMode=REFLECT)

"""Images of any channels and numbers: what is read, and what is refused with the key that decides."""

import io

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from segtrain.data.checks.input import measure_input
from segtrain.data.datasets.folder import Folder
from segtrain.data.io.images import ImageLayout, ImageReader
from segtrain.data.io.rasters import read_raster
from segtrain.errors import InputError
from segtrain.input_spec import RGB8, InputSpec

DTYPES = ("uint8", "uint16", "int16", "float32")


def values(channels: int, dtype: str, size=(9, 12)) -> np.ndarray:
    """H×W×C of numbers over the whole range of a dtype."""
    rng = np.random.default_rng(channels)
    if dtype == "float32":
        return rng.normal(0, 1000, (*size, channels)).astype(np.float32)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max + 1, (*size, channels)).astype(dtype)


def write(path, array: np.ndarray) -> None:
    """A file of the path's suffix; `geo.tif` is tiled, with GDAL's tag for nodata."""
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".npz":
        np.savez(path, image=array)
    elif path.suffix == ".png":
        order = [2, 1, 0, 3][: array.shape[2]] if array.shape[2] > 1 else [0]
        path.write_bytes(cv2.imencode(".png", array[..., order])[1].tobytes())
    else:
        geo = {"tile": (16, 16), "extratags": [(42113, "s", 0, "-12345", True)]} if "geo" in path.name else {}
        one = array.shape[2] == 1
        config = {} if one else {"planarconfig": "contig"}
        tifffile.imwrite(path, array[..., 0] if one else array, photometric="minisblack", **config, **geo)


def can(suffix: str, channels: int, dtype: str) -> bool:
    return suffix != ".png" or (channels in (1, 3, 4) and dtype in ("uint8", "uint16"))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [1, 3, 4, 8, 13, 64])
def test_every_format_gives_the_numbers_that_are_stored(tmp_path, channels, dtype):
    array = values(channels, dtype)
    for name in ("a.tif", "geo.tif", "a.npy", "a.npz", "a.png"):
        if not can(name[-4:], channels, dtype):
            continue
        write(tmp_path / name, array)
        read = read_raster(tmp_path / name)
        assert read.values.dtype == array.dtype, name
        assert (read.values == array).all(), name
        assert read.invalid is None


def test_pages_of_one_channel_each_are_channels(tmp_path):
    array = values(5, "uint16")
    tifffile.imwrite(tmp_path / "a.tif", array.transpose(2, 0, 1), photometric="minisblack")
    assert (read_raster(tmp_path / "a.tif").values == array).all()


def test_planes_and_big_endian_numbers_are_read_alike(tmp_path):
    array = values(6, "uint16")
    planes = np.ascontiguousarray(array.transpose(2, 0, 1))
    tifffile.imwrite(tmp_path / "a.tif", planes, planarconfig="separate", photometric="rgb", byteorder=">")
    read = read_raster(tmp_path / "a.tif").values
    assert (read == array).all()
    assert read.dtype.isnative


def test_lzw_needs_no_extra_up_to_four_channels(tmp_path):
    array = values(4, "uint16")
    cv2.imwrite(str(tmp_path / "a.tif"), array[..., [2, 1, 0, 3]])
    assert (read_raster(tmp_path / "a.tif").values == array).all()


def test_pixels_without_data_are_found_and_filled(tmp_path):
    array = np.ones((4, 5, 2), np.float32)
    array[1, 2, 0], array[3, 3, 1] = np.nan, np.inf
    np.save(tmp_path / "a.npy", array)
    read = read_raster(tmp_path / "a.npy")
    assert np.argwhere(read.invalid).tolist() == [[1, 2], [3, 3]]
    assert (read.values == 1).all()
    geo = np.full((16, 16, 3), 7, np.int16)
    geo[0, 0] = -12345
    write(tmp_path / "geo.tif", geo)
    assert np.argwhere(read_raster(tmp_path / "geo.tif").invalid).tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("array", "why"),
    [
        (np.zeros((4, 4, 65), np.uint8), "1 to 64 channels"),
        (np.full((4, 4), 1 << 25, np.int64), "no 16-bit pixels"),
        (np.zeros((4, 4), np.complex64), "complex64"),
        (np.array([[object()]]), "not unpickled"),
    ],
)
def test_what_no_image_holds_is_refused(tmp_path, array, why):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match=f"a.npy: .*{why}"):
        read_raster(tmp_path / "a.npy")


def test_a_pipe_and_a_postscript_file_are_not_opened(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n%%EOF\n")
    with pytest.raises(InputError, match="not a regular file"):
        read_raster(tmp_path / "pipe.png")
    with pytest.raises(InputError, match="not an image of BMP"):
        read_raster(tmp_path / "a.png")


@pytest.fixture
def folder(tmp_path):
    """Makes a data set of the images that a function writes: `folder(lambda path, i: ..., suffix=".tif")`."""

    def make(draw, suffix=".tif", count=6, **keys) -> Folder:
        for name in ("images", "masks"):
            (tmp_path / name).mkdir(exist_ok=True)
        for i in range(count):
            draw(tmp_path / f"images/{i}{suffix}", i)
            mask = np.zeros((9, 12), np.uint8)
            mask[3:6, i : i + 4] = 1
            Image.fromarray(mask).save(tmp_path / f"masks/{i}.png")
        return Folder(root=str(tmp_path), num_classes=2, **keys)

    return make


def test_channels_are_chosen_and_ordered_and_shown(folder):
    data = folder(lambda path, i: write(path, values(6, "uint16")), channels=[4, 3, 2], rgb=[2, 3, 4])
    sample = data.train[0]
    assert (sample.image == values(6, "uint16")[..., [3, 2, 1]]).all()
    spec = measure_input(data, lambda line: None)
    assert (spec.channels, spec.dtype, spec.rgb) == (3, "uint16", (2, 1, 0))
    assert spec.mean == pytest.approx(sample.image.reshape(-1, 3).mean(0))
    assert spec.std == pytest.approx(sample.image.reshape(-1, 3).std(0))
    shown = sample.of(spec).rgb
    assert shown.dtype == np.uint8
    assert shown.shape == (9, 12, 3)


def test_a_channel_that_the_file_lacks_is_named(folder):
    data = folder(lambda path, i: write(path, values(3, "uint8")), channels=[1, 5])
    with pytest.raises(InputError, match=r"data.channels must be 1 to 3"):
        _ = data.train[0]


def test_files_are_the_bands_of_one_image(folder):
    def draw(path, i):
        for channel, band in enumerate(("_B02", "_B03")):
            write(path.with_name(f"{i}{band}.tif"), values(2, "uint16")[..., [channel]])

    data = folder(draw, bands=["_B02", "_B03"])
    assert len(data.train) + len(data.val) == 6
    assert (data.train[0].image == values(2, "uint16")).all()


def test_a_fourth_channel_is_used_and_an_opaque_one_is_not(folder):
    def translucent(path, i):
        write(path, values(4, "uint8"))

    def opaque(path, i):
        write(path, np.dstack([values(3, "uint8"), np.full((9, 12), 255, np.uint8)]))

    assert folder(translucent, ".png").train[0].image.shape == (9, 12, 4)
    assert folder(opaque, ".png").train[0].image.shape == (9, 12, 3)


def test_transparency_of_some_images_is_left_out_and_that_is_said(folder):
    data = folder(lambda path, i: write(path, values(3 + i % 2, "uint8")), ".png")
    said = []
    assert measure_input(data, said.append) == RGB8
    assert "transparency" in said[0]
    assert "data.channels" in said[0]


def test_images_that_are_not_alike_name_one_of_each(folder):
    data = folder(lambda path, i: write(path, values(3 + 2 * (i % 2), "uint16")))
    with pytest.raises(InputError, match=r"3 channels of uint16 .*5 channels of uint16|5 .*3 channels"):
        _ = data.train[0]


def test_16_bit_grey_among_rgb_becomes_rgb(folder):
    def draw(path, i):
        grey = np.array([[0, 4095]], np.uint16).repeat(9, 0).repeat(6, 1)
        write(path, grey[..., None] if i % 2 else values(3, "uint8"))

    data = folder(draw, ".png", white=4095)
    kinds = {data.train[i].image[0, -1].tolist() == [255, 255, 255] for i in range(len(data.train))}
    assert kinds == {True, False}
    assert {sample.image.dtype for sample in (data.train[0], data.train[1])} == {np.dtype(np.uint8)}


def test_pixels_without_data_are_ignored(folder):
    def draw(path, i):
        array = values(2, "float32")
        array[0, :5] = np.nan
        np.save(path, array)

    sample = folder(draw, ".npy").train[0]
    assert (sample.mask[0, :5] == 255).all()
    assert (sample.mask[1:] != 255).all()
    assert np.isfinite(sample.image).all()


def test_a_range_takes_the_place_of_statistics(folder):
    data = folder(lambda path, i: write(path, values(1, "uint16")), range=[0, 4095])
    said = []
    spec = measure_input(data, said.append)
    assert (spec.low, spec.high, spec.mean) == ((0.0,), (4095.0,), ())
    assert said == []


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"range": [5, 5]}, r"data.range must be \[LOWEST,HIGHEST\]"),
        ({"channels": [0, 1]}, "data.channels must be different numbers from 1"),
        ({"channels": [2, 2]}, "data.channels must be different numbers from 1"),
        ({"rgb": [1, 2, 9]}, "data.rgb must be three of the channels"),
    ],
)
def test_keys_that_do_not_fit_are_named(folder, keys, why):
    with pytest.raises(InputError, match=why):
        folder(lambda path, i: write(path, values(4, "uint16")), **keys).input_hints()


def test_a_spec_goes_into_a_checkpoint_and_back():
    spec = InputSpec(2, "float32", (0.0, 1.0), (2.0, 3.0), (0.5, 0.5), (1.0, 2.0), (0, 1, 1))
    assert InputSpec.of_json(spec.as_json()) == spec
    assert InputSpec.of_json(None) == RGB8


def test_rgb_is_shown_as_it_is_and_others_from_low_to_high():
    image = values(3, "uint8")
    assert RGB8.to_rgb(image) is image
    spec = InputSpec(2, "float32", low=(0.0, 0.0), high=(2.0, 4.0), rgb=(0, 1, 1))
    assert spec.to_rgb(np.array([[[1.0, 5.0]]], np.float32)).tolist() == [[[128, 255, 255]]]


def test_a_reader_says_what_it_was_made_for(tmp_path):
    Image.new("RGB", (3, 3)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a.png: the image must have 4 channels of uint16"):
        ImageReader(ImageLayout(4, "uint16"))(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_a_film_is_not_passed_off_as_its_first_frame(tmp_path, suffix):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
    with pytest.raises(InputError, match=f"a.{suffix}: must be one image, got 2 pages"):
        read_raster(tmp_path / f"a.{suffix}")


def test_a_mask_of_two_pages_is_refused(tmp_path):
    from segtrain.data.io.masks import read_mask

    page, stream = Image.new("L", (3, 3)), io.BytesIO()
    page.save(stream, "TIFF", save_all=True, append_images=[page])
    (tmp_path / "a.tif").write_bytes(stream.getvalue())
    with pytest.raises(InputError, match="2 pages"):
        read_mask(tmp_path / "a.tif")


def test_a_slice_of_nifti_is_read_and_a_volume_is_refused(tmp_path):
    nibabel = pytest.importorskip("nibabel", reason="nibabel is not installed (the extra medical)")
    array = values(1, "int16")[..., 0]
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / "a.nii.gz")
    assert (read_raster(tmp_path / "a.nii.gz").values[..., 0] == array).all()
    nibabel.save(nibabel.Nifti1Image(np.stack([array] * 5, -1), np.eye(4)), tmp_path / "b.nii")
    with pytest.raises(InputError, match="got a volume of 9×12×5"):
        read_raster(tmp_path / "b.nii")


def test_an_extra_that_is_missing_is_named_with_its_command(tmp_path, monkeypatch):
    import sys

    (tmp_path / "a.jp2").write_bytes(b"\0")
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(InputError, match=r"rasterio; .*EXTRAS=geo"):
        read_raster(tmp_path / "a.jp2")

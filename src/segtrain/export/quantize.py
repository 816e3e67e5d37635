"""int8: weights and activations of an ONNX file with 8 bits, by onnxruntime's static quantisation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from segtrain.errors import SaveError
from segtrain.export.formats import silent

# Not what brings logits to the image's size, nor what comes after it.
OPERATORS = (
    "Conv ConvTranspose MatMul Gemm Add Relu Clip MaxPool AveragePool GlobalAveragePool Concat".split()
)


def quantize(source: Path, target: Path, images: Iterator[np.ndarray]) -> None:
    """Quantises a file, with the ranges of its activations taken from images.

    Args:
        source: ONNX of float32.
        target: ONNX with QuantizeLinear and DequantizeLinear around what is computed with 8 bits.
        images: as the file takes them, 1×C×H×W.

    Raises:
        InputError: what `images` raises.
        SaveError: the file cannot be written.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Images(CalibrationDataReader):
        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(images, None)
            return None if image is None else {"images": image}

    prepared, draft = (target.with_name(f".{target.stem}.{part}.onnx") for part in ("prepared", "draft"))
    try:
        with silent():
            quant_pre_process(source, prepared, skip_symbolic_shape=True)
            quantize_static(
                prepared,
                draft,
                Images(),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                op_types_to_quantize=OPERATORS,
                extra_options={"CalibMovingAverage": True},  # of the images' ranges: none is an outlier's
            )
        model = onnx.load(draft)
        given = {one.key: one.value for one in onnx.load(source, load_external_data=False).metadata_props}
        onnx.helper.set_model_props(model, given | {"quantize": '"int8"'})
        onnx.save(model, draft)
        draft.replace(target)
    except OSError as error:
        raise SaveError.of(target, error) from error
    finally:
        for path in (prepared, draft):
            path.unlink(missing_ok=True)

"""Labels an image without segtrain and torch: python run_onnx.py model.onnx image.jpg labels.png"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image

model, source, target = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
about = {key: json.loads(text) for key, text in session.get_modelmeta().custom_metadata_map.items()}
image = Image.open(source).convert("RGB")
height, width = session.get_inputs()[0].shape[2:]  # numbers, where the file takes images of one size
fitted = image.resize((width, height)) if isinstance(height, int) else image
(given,) = session.run(None, {"images": np.asarray(fitted).transpose(2, 0, 1)[None]})
labels = given[0] if about["output"] == "labels" else given[0].argmax(0).astype(np.uint8)
drawn = Image.fromarray(labels)
drawn.putpalette(np.array(about["palette"], np.uint8).tobytes())
drawn.resize(image.size, Image.Resampling.NEAREST).save(target)
for index in np.unique(labels):
    print(f"{about['class_names'][index]}: {(labels == index).mean():.1%}")

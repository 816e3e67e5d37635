"""Draws the README's image from a run on `shapes`: readme_image.py RUN OUTPUT.png"""

import sys

import numpy as np
from PIL import Image

from segtrain import load_model
from segtrain.crf import dense_crf
from segtrain.data.datasets.shapes import Shapes
from segtrain.engine.device import choose
from segtrain.evaluation.predictor import Predictor
from segtrain.inference import Whole
from segtrain.viz.drawing import strip

IMAGES, ENLARGED = (5, 11, 16, 22), 2

model = load_model(sys.argv[1])
predict = Predictor(model, Whole(), choose("cpu", "32"))
rows = []
for index in IMAGES:
    sample = Shapes(size=96).val[index]
    probabilities = predict([sample])[0].numpy()
    refined = dense_crf(sample.image, probabilities).argmax(0).astype(np.uint8)
    large = [np.kron(a, np.ones((ENLARGED, ENLARGED), np.uint8)) for a in (sample.mask, refined)]
    predicted = np.kron(probabilities.argmax(0).astype(np.uint8), np.ones((ENLARGED, ENLARGED), np.uint8))
    image = np.asarray(Image.fromarray(sample.image).resize((96 * ENLARGED,) * 2, Image.Resampling.LANCZOS))
    rows.append(strip(sample._replace(image=image, mask=large[0]), predicted, large[1], model.palette))
pairs = [np.concatenate(rows[i : i + 2], 1) for i in range(0, len(rows), 2)]
Image.fromarray(np.concatenate(pairs)).save(sys.argv[2], optimize=True)

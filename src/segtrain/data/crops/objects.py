"""Windows around single objects instead of a split's images: the first stage of DeconvNet.

"Learning Deconvolution Network for Semantic Segmentation", Noh, Hong and Han, ICCV 2015. How many windows
the authors took of an object was not found: here each object gives one.
"""

import numpy as np
from torch.utils.data import Dataset

from segtrain.contracts import IGNORE_INDEX, Sample, Split
from segtrain.data.crops.annotated import BACKGROUND, find_objects, object_pixels, read_instances
from segtrain.data.crops.windows import check_context, cut


class Objects(Dataset[Sample]):
    """A window around each object; the object keeps its label, ignored pixels stay ignored, and all
    else is background (0).

    Args:
        images: a split of any data set; all of its masks are read once (`find_objects`).
        context: the sides of the window over those of the object's tight box.
        min_area: pixels of an object; smaller ones are left out.

    Raises:
        InputError: no object, or an argument out of its range.
    """

    def __init__(self, images: Split, *, context: float = 1.2, min_area: int = 100):
        check_context(context)
        self.images, self.context = images, context
        found = find_objects(images, min_area)
        self.objects = [(i, one) for i, image in enumerate(found) for one in image.objects]

    def __len__(self) -> int:
        return len(self.objects)

    def __getitem__(self, index: int) -> Sample:
        place, (label, number, box) = self.objects[index]
        sample = self.images[place]
        mask = sample.mask
        own = object_pixels(mask, read_instances(self.images, place, mask), label, number)
        alone = np.where(own | (mask == IGNORE_INDEX), mask, BACKGROUND).astype(np.uint8)
        return cut(sample._replace(mask=alone), box.extended(self.context))

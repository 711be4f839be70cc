"""Reference values of resizing: resize.json, by Pillow (made with 13.0.0; any from 9 on gives the same) and scikit-image (made with 0.26.0).

A 17 x 11 grey image of whole numbers, resized with BILINEAR and BICUBIC (antialiased where it shrinks) in mode F, so that nothing is rounded;
and as TorchXRayVision's XRayResizer does it: scikit-image's resize, with its blur where it shrinks, of pixels from -1024 to 1024, mode
"constant".
"""
import json, os
import numpy, skimage.transform
from PIL import Image

width, height = 17, 11
pixels = [(x * x * 7 + y * 31 + x * y * 13) % 256 for y in range(height) for x in range(width)]
image = Image.new("F", (width, height))
image.putdata([float(p) for p in pixels])
cases = []
for name, method in [("triangle", Image.BILINEAR), ("bicubic", Image.BICUBIC)]:
    for size in [(5, 4), (17, 11), (40, 23), (9, 30)]:
        out = image.resize(size, method)
        cases.append({"filter": name, "width": size[0], "height": size[1], "values": [round(v, 5) for v in out.getdata()]})
array = numpy.array(pixels, dtype=numpy.float64).reshape(height, width)
for size in [(5, 4), (3, 3), (17, 11), (40, 23), (9, 30)]:
    # TorchXRayVision's normalize, and back.
    out = skimage.transform.resize((2 * array / 255 - 1) * 1024, (size[1], size[0]), mode="constant", preserve_range=True)
    out = (out / 1024 + 1) / 2 * 255
    cases.append({"filter": "gaussian", "width": size[0], "height": size[1], "values": [round(v, 5) for v in out.ravel()]})
here = os.path.dirname(os.path.abspath(__file__))
json.dump({"width": width, "height": height, "pixels": pixels, "cases": cases}, open(os.path.join(here, "resize.json"), "w"))

"""Makes the reference values of tests/decode.rs with other people's decoders.

    python make_decode.py DIR/dicom > expected.json       what pydicom decodes from the files of a folder
    python make_decode.py codestreams > codestreams.json  small codestreams of every codec, of a computed picture

Made with Python 3.11.7, pydicom 3.0.2, numpy 2.4.6, pylibjpeg 2.1.0, pylibjpeg-libjpeg 2.5.0, pylibjpeg-openjpeg 2.6.0,
pylibjpeg-rle 2.2.0, pyjpegls 1.5.1, imagecodecs 2026.3.6 (codestreams only).

For each file: shape, and of the first frame after the modality LUT (colour: its luminance) the minimum, maximum, mean,
values at 16 fixed positions and, where the decoding is exact, the SHA-256 of the values as little-endian float32.
`tolerance` is 0 for what is exact. `display` has the default window's 8-bit picture: its mean and its values at the
same positions.
"""

import hashlib
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pydicom
from pydicom.pixels import apply_modality_lut, apply_voi_lut

warnings.simplefilter("ignore")

# JPEG and irreversible JPEG 2000 leave the rounding to the decoder, near-lossless JPEG-LS does not. Irreversible HTJ2K
# leaves where in its interval a coefficient lies to the decoder too (ITU-T T.800, E.1.1.2).
LOSSY = {
    "1.2.840.10008.1.2.4.50": 1,
    "1.2.840.10008.1.2.4.51": 1,
    "1.2.840.10008.1.2.4.91": 1,
    "1.2.840.10008.1.2.4.203": 3,
}


def luminance(a):
    return a[..., 0] * 0.299 + a[..., 1] * 0.587 + a[..., 2] * 0.114


def positions(shape):
    h, w = shape
    return [(int((i * 2 + 1) * h / 32), int(((i * 7 + 3) % 16 * 2 + 1) * w / 32)) for i in range(16)]


def extended(ds):
    """12-bit JPEG. Some writers leave the last coefficient of a scan 0, which libjpeg refuses; it must be 63."""
    import libjpeg
    from pydicom.encaps import generate_frames

    frame = bytearray(next(generate_frames(ds.PixelData, number_of_frames=1)))
    at = frame.index(b"\xff\xda") + 2
    frame[at + frame[at + 1] - 2] = 63
    return libjpeg.decode(bytes(frame))


def describe(path):
    ds = pydicom.dcmread(path, force=True)
    syntax = str(ds.file_meta.get("TransferSyntaxUID", ""))
    stored = extended(ds) if syntax == "1.2.840.10008.1.2.4.51" else ds.pixel_array
    frames = int(ds.get("NumberOfFrames", 1) or 1)
    if frames > 1:
        stored = stored[0]
    colour = ds.SamplesPerPixel == 3
    tolerance = LOSSY.get(syntax, 0)
    if colour:
        # pydicom gives YBR of plain JPEG as it is stored, and RGB of the rest.
        ybr = ds.PhotometricInterpretation.startswith("YBR_FULL")
        values = stored[..., 0].astype(np.float64) if ybr else luminance(stored.astype(np.float64))
    else:
        values = np.asarray(apply_modality_lut(stored, ds), dtype=np.float64)
        tolerance *= abs(float(ds.get("RescaleSlope", 1)))
    values = values.astype(np.float32)
    at = positions(values.shape)
    out = {
        "syntax": syntax,
        "shape": list(values.shape),
        "min": float(values.min()),
        "max": float(values.max()),
        "mean": float(values.mean(dtype=np.float64)),
        "values": [float(values[y, x]) for y, x in at],
        "tolerance": tolerance,
    }
    if tolerance == 0:
        out["sha256"] = hashlib.sha256(values.astype("<f4").tobytes()).hexdigest()
    if not colour and "WindowCenter" in ds:
        shown = apply_voi_lut(apply_modality_lut(stored, ds), ds).astype(np.float64)
        # pydicom maps to the range of the stored bits, after a slope to that of its image.
        top = 2.0 ** ds.BitsStored - 1
        low = 0.0
        if ds.PixelRepresentation == 1:
            low = -(2.0 ** (ds.BitsStored - 1))
        slope, intercept = float(ds.get("RescaleSlope", 1)), float(ds.get("RescaleIntercept", 0))
        low, high = low * slope + intercept, (low + top) * slope + intercept
        shown = (shown - low) / (high - low)
        if ds.PhotometricInterpretation == "MONOCHROME1":
            shown = 1 - shown
        shown = np.floor(shown * 255 + 0.5).clip(0, 255)
        out["display"] = {"mean": float(shown.mean()), "values": [int(shown[y, x]) for y, x in at]}
    return out


def picture(bits, samples=1):
    """The picture of the codestreams: a flat part for runs, and slopes that wrap around. tests/decode.rs computes it too."""
    y, x, c = np.mgrid[0:17, 0:24, 0:samples]
    values = (x * x * 7 + y * y * 5 + x * y * 3 + c * 40) % (1 << bits)
    values[5:9, 3:20] = 10
    return values.astype(np.uint16 if bits > 8 else np.uint8).squeeze()


def smooth(bits):
    """A picture for lossy codecs, without edges."""
    y, x = np.mgrid[0:17, 0:24]
    return ((1 << bits) // 30 * (x + y // 2)).astype(np.uint16 if bits > 8 else np.uint8)


def codestreams():
    import imagecodecs as ic
    import jpeg_ls

    def entry(syntax, bits, data, samples=1, values=None, tolerance=0):
        out = {"syntax": "1.2.840.10008.1.2." + syntax, "bits": bits, "samples": samples, "hex": bytes(data).hex()}
        if values is not None:
            out |= {"values": np.asarray(values).astype(int).ravel().tolist(), "tolerance": tolerance}
        return out

    found = {}
    for predictor in range(1, 8):
        data = ic.jpeg8_encode(picture(12), lossless=True, predictor=predictor, bitspersample=12)
        found[f"jpeg_lossless_{predictor}"] = entry("4.57", 12, data)
    found["jpeg_lossless_16"] = entry("4.70", 16, ic.jpeg8_encode(picture(16), lossless=True, predictor=1, bitspersample=16))
    baseline = ic.jpeg8_encode(smooth(8), level=90)
    found["jpeg_baseline"] = entry("4.50", 8, baseline, values=ic.jpeg8_decode(baseline), tolerance=1)
    extended12 = ic.jpeg8_encode(smooth(12), level=95, bitspersample=12)
    found["jpeg_extended"] = entry("4.51", 12, extended12, values=ic.jpeg8_decode(extended12), tolerance=1)
    for bits in (8, 12, 16):
        found[f"jpeg_ls_{bits}"] = entry("4.80", bits, jpeg_ls.encode_array(picture(bits)))
    for near in (1, 3):
        data = jpeg_ls.encode_array(picture(12), lossy_error=near)
        found[f"jpeg_ls_near_{near}"] = entry("4.81", 12, data, values=jpeg_ls.decode(np.frombuffer(data, np.uint8)))
    rgb = picture(8, 3)
    for mode, array in ((0, np.ascontiguousarray(rgb.transpose(2, 0, 1))), (1, rgb), (2, rgb)):
        data = jpeg_ls.encode_array(array, interleave_mode=mode)
        found[f"jpeg_ls_rgb_{mode}"] = entry("4.80", 8, data, samples=3)
    for bits in (8, 12, 16):
        data = ic.jpeg2k_encode(picture(bits), level=0, codecformat="J2K", reversible=True, bitspersample=bits)
        found[f"jpeg_2000_{bits}"] = entry("4.90", bits, data)
    data = ic.jpeg2k_encode(rgb, level=0, codecformat="J2K", reversible=True, mct=True)
    found["jpeg_2000_rgb"] = entry("4.90", 8, data, samples=3)
    data = ic.jpeg2k_encode(smooth(12), level=60, codecformat="J2K", reversible=False, bitspersample=12)
    found["jpeg_2000_lossy"] = entry("4.91", 12, data, values=ic.jpeg2k_decode(data), tolerance=1)
    found["htj2k_16"] = entry("4.201", 16, ic.htj2k_encode(picture(16), reversible=True))
    return found


def main():
    if sys.argv[1] == "codestreams":
        found = codestreams()
    else:
        found = {}
        for path in sorted(Path(sys.argv[1]).iterdir()):
            if path.suffix in {".csv", ".txt"}:
                continue
            try:
                found[path.name] = describe(path)
            except Exception as error:  # what pydicom cannot read must be an error here too
                found[path.name] = {"error": " ".join(f"{type(error).__name__}: {error}".split())[:120]}
    lines = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in found.items()]
    print("{\n" + ",\n".join(lines) + "\n}")


main()

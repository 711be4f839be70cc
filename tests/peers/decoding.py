"""Row 7: DICOM decoding by pydicom, with pylibjpeg's and GDCM's decoders, the faster of both; pydicom's own where there are no
others. The pictures are written here, by imagecodecs and pydicom."""

import io
import time

import imagecodecs
import numpy as np
import pydicom
from peer import Runner, gap
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import pixel_array
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, RLELossless

SIDE, BITS = 3000, 12

SYNTAXES = {
    "decode-implicit": "1.2.840.10008.1.2",
    "decode-explicit": "1.2.840.10008.1.2.1",
    "decode-big-endian": "1.2.840.10008.1.2.2",
    "decode-deflated": "1.2.840.10008.1.2.1.99",
    "decode-rle": "1.2.840.10008.1.2.5",
    "decode-jpeg-extended": "1.2.840.10008.1.2.4.51",
    "decode-jpeg-lossless": "1.2.840.10008.1.2.4.70",
    "decode-jpeg-ls": "1.2.840.10008.1.2.4.80",
    "decode-jpeg-ls-near": "1.2.840.10008.1.2.4.81",
    "decode-jpeg-2000": "1.2.840.10008.1.2.4.90",
    "decode-jpeg-2000-lossy": "1.2.840.10008.1.2.4.91",
    "decode-htj2k": "1.2.840.10008.1.2.4.201",
    "decode-htj2k-lossy": "1.2.840.10008.1.2.4.203",
}

# Codestreams; what is not here is written by pydicom.
ENCODERS = {
    "decode-jpeg-extended": lambda a: imagecodecs.jpeg8_encode(a, level=90, bitspersample=BITS),
    "decode-jpeg-lossless": lambda a: imagecodecs.jpeg8_encode(a, lossless=True, predictor=1, bitspersample=BITS),
    "decode-jpeg-ls": lambda a: imagecodecs.jpegls_encode(a, level=0),
    "decode-jpeg-ls-near": lambda a: imagecodecs.jpegls_encode(a, level=2),
    "decode-jpeg-2000": lambda a: imagecodecs.jpeg2k_encode(
        a, level=0, codecformat="J2K", reversible=True, bitspersample=BITS
    ),
    "decode-jpeg-2000-lossy": lambda a: imagecodecs.jpeg2k_encode(
        a, level=60, codecformat="J2K", reversible=False, bitspersample=BITS
    ),
    "decode-htj2k": lambda a: imagecodecs.htj2k_encode(a, reversible=True),
    "decode-htj2k-lossy": lambda a: imagecodecs.htj2k_encode(a, reversible=False),
}


def picture():
    """Slopes, edges, a structure and the noise of a detector: about as hard to compress as a radiograph."""
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / SIDE
    values = 2000 + 900 * np.sin(5 * x) * np.cos(4 * y)
    values += 500 * np.exp(-20 * ((x - 0.5) ** 2 + (y - 0.4) ** 2)) + 120 * np.sin(60 * x + 20 * y)
    values += np.random.default_rng(7).normal(0, 8, (SIDE, SIDE)).astype(np.float32)
    values[:, : SIDE // 12] = 0
    values[: SIDE // 20] = 0
    return np.clip(values, 0, (1 << BITS) - 1).astype(np.uint16)


def data_set(syntax):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.3680043.10.1"
    meta.TransferSyntaxUID = syntax
    implicit, little = syntax.is_implicit_VR, syntax.is_little_endian
    ds = FileDataset("", {}, b"\0" * 128, meta, is_implicit_VR=implicit, is_little_endian=little)
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.Modality, ds.PatientName, ds.PatientID = "DX", "Bench", "bench"
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.Rows, ds.Columns = SIDE, SIDE
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, BITS, BITS - 1
    ds.WindowCenter, ds.WindowWidth = 1 << (BITS - 1), 1 << BITS
    return ds


def prepare(cases, folder):
    """The pictures, as `CASE.dcm`."""
    values = picture()
    for case in cases:
        syntax = UID(SYNTAXES[case])
        ds = data_set(syntax)
        if case in ENCODERS:
            ds.PixelData = encapsulate([ENCODERS[case](values)])
        elif syntax == RLELossless:
            ds.compress(RLELossless, values, encoding_plugin="pydicom")
        else:
            ds.PixelData = values.astype(values.dtype.newbyteorder("<" if syntax.is_little_endian else ">")).tobytes()
        ds["PixelData"].VR = "OB" if syntax.is_encapsulated else "OW"
        ds.save_as(folder / f"{case}.dcm", enforce_file_format=True)


def build(group, case):
    raw = (case.folder / f"{case.name}.dcm").read_bytes()

    def decode(plugin):
        return pixel_array(pydicom.dcmread(io.BytesIO(raw)), decoding_plugin=plugin)

    expected = case.arrays["out.values"]
    gaps, times = {}, {}
    syntax = UID(SYNTAXES[case.name])
    plugins = {"": ""} if not syntax.is_encapsulated else {"pylibjpeg": "pylibjpeg", "gdcm": "GDCM", "pydicom": ""}
    for plugin in plugins:
        try:
            decode(plugin)
        except (ValueError, RuntimeError, NotImplementedError):
            continue  # it has no such decoder
        for _ in range(2):
            began = time.perf_counter()
            found = decode(plugin)
            times[plugin] = min(times.get(plugin, float("inf")), time.perf_counter() - began)
        gaps[f"values by {plugins[plugin] or 'pydicom'}"] = gap(found, expected)
    if not times:
        raise ValueError("neither pylibjpeg nor GDCM decodes the picture")
    fastest = min(times, key=times.get)
    name = " with ".join(filter(None, [f"pydicom {pydicom.__version__}", plugins[fastest]]))
    return Runner(name, gaps, lambda: decode(fastest))

//! Row 7: DICOM decoding, of one 12-bit picture in each transfer syntax that is read.

use anyhow::Context;
use burn::tensor::TensorData;
use hilum::image::decode;
use hilum::nn::Arrays;
use serde_json::json;

use super::case::{Case, Pass, Setting, Subject};

const fn case(name: &'static str, title: &'static str) -> Case {
    Case { name, title }
}

pub const CASES: &[Case] = &[
    case(
        "decode-implicit",
        "DICOM 12 bit 3000 x 3000, implicit little endian",
    ),
    case(
        "decode-explicit",
        "DICOM 12 bit 3000 x 3000, explicit little endian",
    ),
    case(
        "decode-big-endian",
        "DICOM 12 bit 3000 x 3000, explicit big endian",
    ),
    case("decode-deflated", "DICOM 12 bit 3000 x 3000, deflated"),
    case("decode-rle", "DICOM 12 bit 3000 x 3000, RLE"),
    case("decode-jpeg-extended", "DICOM 12 bit 3000 x 3000, JPEG extended"),
    case("decode-jpeg-lossless", "DICOM 12 bit 3000 x 3000, JPEG lossless"),
    case("decode-jpeg-ls", "DICOM 12 bit 3000 x 3000, JPEG-LS lossless"),
    case(
        "decode-jpeg-ls-near",
        "DICOM 12 bit 3000 x 3000, JPEG-LS near-lossless",
    ),
    case("decode-jpeg-2000", "DICOM 12 bit 3000 x 3000, JPEG 2000 lossless"),
    case(
        "decode-jpeg-2000-lossy",
        "DICOM 12 bit 3000 x 3000, JPEG 2000 lossy",
    ),
    case("decode-htj2k", "DICOM 12 bit 3000 x 3000, HTJ2K lossless"),
    case("decode-htj2k-lossy", "DICOM 12 bit 3000 x 3000, HTJ2K lossy"),
];

/// The pictures that a peer wrote into the folder, as `CASE.dcm`.
pub fn pictures(cases: &[&'static str], setting: &Setting<'_>) -> anyhow::Result<Subject> {
    let folder = setting
        .folder
        .context("the pictures are written by the peers; run `cargo xtask bench --only 7`")?;
    let mut passes = Vec::new();
    for case in cases {
        let path = folder.join(format!("{case}.dcm"));
        let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
        let run = move || {
            let radiograph = decode(&bytes)?;
            let shape = [radiograph.height, radiograph.width];
            Ok(vec![("out.values", TensorData::new(radiograph.values, shape))])
        };
        passes.push(Pass::new(case, Arrays::new(), run)?);
    }
    Ok(Subject {
        config: json!({}),
        weights: Arrays::new(),
        passes,
    })
}

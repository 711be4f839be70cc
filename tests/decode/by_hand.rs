//! DICOM files written by hand around the reference codestreams: for the tests here, and for those in the
//! browser, where a
//! `usize` has 32 bits and a panic ends the engine.
#![allow(
    clippy::unwrap_used,
    dead_code,
    missing_docs,
    reason = "a test's own tools, not all of them in use in each test"
)]

use hilum::image::decode;
use serde_json::Value;

pub const EXPLICIT: &str = "1.2.840.10008.1.2.1";

pub fn golden(text: &str) -> serde_json::Map<String, Value> {
    serde_json::from_str(text).unwrap()
}

pub fn floats(value: &Value) -> Vec<f32> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_f64().unwrap() as f32)
        .collect()
}

/// An explicit little-endian element.
pub fn element(tag: u32, vr: &str, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&((tag >> 16) as u16).to_le_bytes());
    out.extend_from_slice(&(tag as u16).to_le_bytes());
    out.extend_from_slice(vr.as_bytes());
    if matches!(vr, "OB" | "OW" | "SQ" | "UN") {
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&(value.len() as u32).to_le_bytes());
    } else {
        out.extend_from_slice(&(value.len() as u16).to_le_bytes());
    }
    out.extend_from_slice(value);
    out
}

pub fn text(tag: u32, vr: &str, value: &str) -> Vec<u8> {
    let pad = if vr == "UI" { '\0' } else { ' ' };
    let mut value = value.to_owned();
    if value.len() % 2 == 1 {
        value.push(pad);
    }
    element(tag, vr, value.as_bytes())
}

pub fn short(tag: u32, value: u16) -> Vec<u8> {
    element(tag, "US", &value.to_le_bytes())
}

/// What the header of a test file says.
pub struct Head<'a> {
    pub rows: u16,
    pub columns: u16,
    pub samples: u16,
    pub allocated: u16,
    pub stored: u16,
    pub photometric: &'a str,
    pub extra: Vec<u8>,
}

impl Default for Head<'_> {
    fn default() -> Self {
        let photometric = "MONOCHROME2";
        Self {
            rows: 17,
            columns: 24,
            samples: 1,
            allocated: 16,
            stored: 16,
            photometric,
            extra: Vec::new(),
        }
    }
}

impl Head<'_> {
    /// The data set up to the pixels; `extra` must lie between (0028,0103) and the pixel data.
    pub fn data_set(&self) -> Vec<u8> {
        [
            text(0x0008_0060, "CS", "CR"),
            short(0x0028_0002, self.samples),
            text(0x0028_0004, "CS", self.photometric),
            short(0x0028_0010, self.rows),
            short(0x0028_0011, self.columns),
            short(0x0028_0100, self.allocated),
            short(0x0028_0101, self.stored),
            short(0x0028_0102, self.stored - 1),
            short(0x0028_0103, 0),
            self.extra.clone(),
        ]
        .concat()
    }

    pub fn file(&self, syntax: &str, pixels: &[u8]) -> Vec<u8> {
        let meta = text(0x0002_0010, "UI", syntax);
        [&[0; 128], &b"DICM"[..], &meta, &self.data_set(), pixels].concat()
    }
}

/// An encapsulated pixel data element of one fragment for each slice.
pub fn encapsulated(fragments: &[&[u8]]) -> Vec<u8> {
    let mut out = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\0\0\0\0".to_vec();
    for fragment in fragments {
        let padded = fragment.len().next_multiple_of(2);
        out.extend_from_slice(b"\xfe\xff\x00\xe0");
        out.extend_from_slice(&(padded as u32).to_le_bytes());
        out.extend_from_slice(fragment);
        out.resize(out.len() + padded - fragment.len(), 0);
    }
    out.extend_from_slice(b"\xfe\xff\xdd\xe0\0\0\0\0");
    out
}

/// The picture of the reference codestreams.
pub fn picture(bits: u32, channel: u32) -> Vec<u32> {
    let value = |x: u32, y: u32| {
        let flat = (5..9).contains(&y) && (3..20).contains(&x);
        if flat {
            10
        } else {
            (x * x * 7 + y * y * 5 + x * y * 3 + channel * 40) % (1 << bits)
        }
    };
    (0..17 * 24).map(|i| value(i % 24, i / 24)).collect()
}

pub fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
        .collect()
}

/// Each reference codestream: its name, its description, and a DICOM file of it.
pub fn codestreams() -> Vec<(String, Value, Vec<u8>)> {
    let wrap = |(name, entry): (String, Value)| {
        let bits = entry["bits"].as_u64().unwrap() as u16;
        let samples = entry["samples"].as_u64().unwrap() as u16;
        let head = Head {
            samples,
            allocated: if bits > 8 { 16 } else { 8 },
            stored: bits,
            photometric: if samples == 3 { "RGB" } else { "MONOCHROME2" },
            ..Head::default()
        };
        let stream = unhex(entry["hex"].as_str().unwrap());
        let file = head.file(entry["syntax"].as_str().unwrap(), &encapsulated(&[&stream]));
        (name, entry, file)
    };
    golden(include_str!("../golden/decode/codestreams.json"))
        .into_iter()
        .map(wrap)
        .collect()
}

/// Every codec gives what other decoders gave.
pub fn every_codec_gives_the_reference_values() {
    let all = codestreams();
    assert!(all.len() > 20);
    for (name, entry, file) in all {
        let image = decode(&file).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!((image.width, image.height), (24, 17), "{name}");
        let bits = entry["bits"].as_u64().unwrap() as u32;
        let (expected, tolerance): (Vec<f32>, f32) = match entry.get("values") {
            Some(values) => (floats(values), entry["tolerance"].as_f64().unwrap() as f32),
            None if entry["samples"] == 3 => {
                let [r, g, b] = [0, 1, 2].map(|c| picture(bits, c));
                let luma =
                    |i: usize| 0.299 * f64::from(r[i]) + 0.587 * f64::from(g[i]) + 0.114 * f64::from(b[i]);
                ((0..r.len()).map(|i| luma(i) as f32).collect(), 0.0)
            }
            None => (picture(bits, 0).into_iter().map(|v| v as f32).collect(), 0.0),
        };
        let worst = image
            .values
            .iter()
            .zip(&expected)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(
            image.values.len() == expected.len() && worst <= tolerance,
            "{name}: off by {worst}"
        );
    }
}

/// Files that are refused: name, content, a word of the reason.
pub fn bad_files() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let frame = |syntax: &str, stream: &[u8]| Head::default().file(syntax, &encapsulated(&[stream]));
    let large = Head {
        rows: 60_000,
        columns: 60_000,
        ..Head::default()
    };
    let jpeg = unhex(
        golden(include_str!("../golden/decode/codestreams.json"))["jpeg_ls_16"]["hex"]
            .as_str()
            .unwrap(),
    );
    let lying = Head {
        rows: 18,
        ..Head::default()
    };
    let overlong = [
        &Head::default().file(EXPLICIT, b"\xe0\x7f\x10\x00OW\0\0\xf0\xff\xff\x7f")[..],
        &[0; 64],
    ]
    .concat();
    vec![
        ("empty.dcm", Vec::new(), "no bytes"),
        (
            "text.dcm",
            b"This is a note about a radiograph, and not a radiograph.\n".to_vec(),
            "text",
        ),
        ("noise.png", vec![0x93; 300], "neither"),
        (
            "large.dcm",
            large.file(EXPLICIT, &element(0x7fe0_0010, "OW", &[0; 64])),
            "too large",
        ),
        (
            "short.dcm",
            Head::default().file(EXPLICIT, &element(0x7fe0_0010, "OW", &[0; 64])),
            "cut short",
        ),
        ("overlong.dcm", overlong, "cut short"),
        (
            "video.dcm",
            frame("1.2.840.10008.1.2.4.102", b"\0\0\0\x20ftypmp42"),
            "video",
        ),
        ("unknown.dcm", frame("1.2.3.4", b"????????"), "1.2.3.4"),
        ("no_pixels.dcm", Head::default().file(EXPLICIT, b""), "no image"),
        (
            "no_fragment.dcm",
            Head::default().file("1.2.840.10008.1.2.4.80", &encapsulated(&[])),
            "no image",
        ),
        (
            "mismatch.dcm",
            lying.file("1.2.840.10008.1.2.4.80", &encapsulated(&[&jpeg])),
            "declares",
        ),
        ("bomb.png", bomb(), "too large"),
    ]
}

/// A PNG whose header declares 60,000 x 60,000 pixels.
pub fn bomb() -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\xea\x60\0\0\xea\x60\x08\0\0\0\0".to_vec();
    let crc = png[12..29].iter().fold(!0_u32, |mut c, b| {
        c ^= u32::from(*b);
        (0..8).for_each(|_| c = if c & 1 == 1 { c >> 1 ^ 0xedb8_8320 } else { c >> 1 });
        c
    });
    png.extend_from_slice(&(!crc).to_be_bytes());
    png.extend_from_slice(b"\0\0\0\x02IDAT\x78\x9c");
    png
}

//! Decoding, from outside: every codec against other decoders, real files against pydicom, bad files, the command.
//!
//! The reference values were made by `golden/decode/make_decode.py`. Real files are looked for in `HILUM_DATA_DIR`.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hilum::image::encode::{DicomImage, dicom_bytes, write_png};
use hilum::image::{ImageError, Polarity, Radiograph, WindowChoice, decode};
use serde_json::Value;
use sha2::{Digest, Sha256};

const EXPLICIT: &str = "1.2.840.10008.1.2.1";

fn golden(text: &str) -> serde_json::Map<String, Value> {
    serde_json::from_str(text).unwrap()
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

/// The folder of real DICOM files, or a word that they are not there.
fn real_files() -> Option<PathBuf> {
    let found = std::env::var_os("HILUM_DATA_DIR").map(|d| Path::new(&d).join("dicom")).filter(|d| d.is_dir());
    if found.is_none() {
        eprintln!("SKIPPED: HILUM_DATA_DIR is not set or has no folder `dicom`");
    }
    found
}

/// The positions of the reference values.
fn positions(height: usize, width: usize) -> Vec<usize> {
    let at = |i: usize| ((i * 2 + 1) * height / 32, ((i * 7 + 3) % 16 * 2 + 1) * width / 32);
    (0..16).map(at).map(|(y, x)| y * width + x).collect()
}

// ---- DICOM files written by hand ----

/// An explicit little-endian element.
fn element(tag: u32, vr: &str, value: &[u8]) -> Vec<u8> {
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

fn text(tag: u32, vr: &str, value: &str) -> Vec<u8> {
    let pad = if vr == "UI" { '\0' } else { ' ' };
    let mut value = value.to_owned();
    if value.len() % 2 == 1 {
        value.push(pad);
    }
    element(tag, vr, value.as_bytes())
}

fn short(tag: u32, value: u16) -> Vec<u8> {
    element(tag, "US", &value.to_le_bytes())
}

/// What the header of a test file says.
struct Head<'a> {
    rows: u16,
    columns: u16,
    samples: u16,
    allocated: u16,
    stored: u16,
    photometric: &'a str,
    extra: Vec<u8>,
}

impl Default for Head<'_> {
    fn default() -> Self {
        let photometric = "MONOCHROME2";
        Self { rows: 17, columns: 24, samples: 1, allocated: 16, stored: 16, photometric, extra: Vec::new() }
    }
}

impl Head<'_> {
    /// The data set up to the pixels; `extra` must lie between (0028,0103) and the pixel data.
    fn data_set(&self) -> Vec<u8> {
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

    fn file(&self, syntax: &str, pixels: &[u8]) -> Vec<u8> {
        let meta = text(0x0002_0010, "UI", syntax);
        [&[0; 128], &b"DICM"[..], &meta, &self.data_set(), pixels].concat()
    }
}

/// An encapsulated pixel data element of one fragment for each slice.
fn encapsulated(fragments: &[&[u8]]) -> Vec<u8> {
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
fn picture(bits: u32, channel: u32) -> Vec<u32> {
    let value = |x: u32, y: u32| {
        let flat = (5..9).contains(&y) && (3..20).contains(&x);
        if flat { 10 } else { (x * x * 7 + y * y * 5 + x * y * 3 + channel * 40) % (1 << bits) }
    };
    (0..17 * 24).map(|i| value(i % 24, i / 24)).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

/// Each reference codestream: its name, its description, and a DICOM file of it.
fn codestreams() -> Vec<(String, Value, Vec<u8>)> {
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
    golden(include_str!("golden/decode/codestreams.json")).into_iter().map(wrap).collect()
}

#[test]
fn every_codec_gives_the_reference_values() {
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
                let luma = |i: usize| 0.299 * f64::from(r[i]) + 0.587 * f64::from(g[i]) + 0.114 * f64::from(b[i]);
                ((0..r.len()).map(|i| luma(i) as f32).collect(), 0.0)
            }
            None => (picture(bits, 0).into_iter().map(|v| v as f32).collect(), 0.0),
        };
        let worst = image.values.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(image.values.len() == expected.len() && worst <= tolerance, "{name}: off by {worst}");
    }
}

#[test]
fn real_files_match_pydicom() {
    let Some(dir) = real_files() else { return };
    let expected = golden(include_str!("golden/decode/expected.json"));
    assert_eq!(expected.len(), 36);
    for (name, want) in &expected {
        let path = dir.join(name);
        if !path.exists() {
            eprintln!("SKIPPED: {name} is not there");
            continue;
        }
        let result = decode(&std::fs::read(path).unwrap());
        if want.get("error").is_some() {
            assert!(result.is_err(), "{name} should be an error");
            continue;
        }
        check(name, &result.unwrap_or_else(|e| panic!("{name}: {e}")), want);
    }
}

fn check(name: &str, image: &Radiograph, want: &Value) {
    assert_eq!(serde_json::json!([image.height, image.width]), want["shape"], "{name}");
    let number = |key: &str| want[key].as_f64().unwrap() as f32;
    let tolerance = number("tolerance") * 1.0001;
    let at = positions(image.height, image.width);
    for (value, index) in floats(&want["values"]).iter().zip(&at) {
        let got = image.values[*index];
        assert!((got - value).abs() <= tolerance, "{name}: {got} at {index}, expected {value}");
    }
    let (low, high) = image.values.iter().fold((f32::MAX, f32::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
    // The extremes may lie at other pixels where rounding differs.
    assert!((low - number("min")).abs() <= tolerance && (high - number("max")).abs() <= tolerance, "{name}");
    let mean = image.values.iter().map(|v| f64::from(*v)).sum::<f64>() / image.values.len() as f64;
    let allowed = if tolerance == 0.0 { 1e-6 * mean.abs().max(1.0) } else { f64::from(tolerance) / 8.0 };
    assert!((mean - want["mean"].as_f64().unwrap()).abs() <= allowed, "{name}: mean {mean}");
    if let Some(hash) = want.get("sha256") {
        let mut digest = Sha256::new();
        image.values.iter().for_each(|v| digest.update(v.to_le_bytes()));
        let hex: String = digest.finalize().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hash, &hex, "{name}");
    }
    if let Some(display) = want.get("display") {
        let shown = image.display(&WindowChoice::Default).unwrap();
        for (value, index) in floats(&display["values"]).iter().zip(&at) {
            let padded = image.padding.as_ref().is_some_and(|p| p[*index]);
            let got = f32::from(shown.pixels[*index]);
            // A rounding of a stored value is more than one grey level where the window is narrow.
            let grey = 1.0 + tolerance * 255.0 / image.windows[0].width as f32;
            assert!(padded || (got - value).abs() <= grey, "{name}: shown {got} at {index}, expected {value}");
        }
    }
}

// ---- what the writer writes ----

fn ramp(width: usize, height: usize) -> Vec<u16> {
    (0..width * height).map(|i| (i * 37 % 4096) as u16).collect()
}

#[test]
fn what_is_written_is_read_back() {
    let pixels = ramp(40, 30);
    let mut image = DicomImage::new(&pixels, 40, 30, 11);
    image.polarity = Polarity::Monochrome1;
    image.window = Some((2048.0, 4096.0));
    image.rescale = Some((2.0, -100.0));
    image.spacing_mm = Some((0.143, 0.139));
    image.patient_id = "phantom-11";
    image.view_position = "PA";
    let bytes = dicom_bytes(&image).unwrap();
    assert_eq!(bytes, dicom_bytes(&image).unwrap(), "the same image gives the same bytes");
    let back = decode(&bytes).unwrap();
    assert_eq!((back.width, back.height, back.photometric), (40, 30, Polarity::Monochrome1));
    assert!(back.values.iter().zip(&pixels).all(|(a, b)| *a == f32::from(*b) * 2.0 - 100.0));
    assert_eq!(back.spacing_mm, Some((0.143, 0.139)));
    assert_eq!((back.identity.patient_id.as_str(), back.identity.view_position.as_str()), ("phantom-11", "PA"));
    assert_eq!(back.identity.instance_uid, image.instance_uid);
    assert!(back.notes.is_empty(), "{:?}", back.notes);
    let shown = back.display(&WindowChoice::Default).unwrap();
    // The lowest value is white.
    assert_eq!(shown.pixels[0], 255);
}

#[test]
fn a_file_cut_at_any_byte_is_an_error_and_never_a_panic() {
    let pixels = ramp(16, 12);
    let mut image = DicomImage::new(&pixels, 16, 12, 1);
    image.window = Some((2048.0, 4096.0));
    let bytes = dicom_bytes(&image).unwrap();
    for end in 0..bytes.len() {
        let error = decode(&bytes[..end]).expect_err("a part is no whole");
        assert!(!matches!(error, ImageError::Decoder(_)), "cut at {end}: {error}");
    }
    for (name, _, file) in codestreams() {
        for end in 0..file.len() - 10 {
            match decode(&file[..end]) {
                Err(ImageError::Decoder(what)) => assert_eq!(what, "JPEG 2000", "{name} cut at {end}"),
                Err(_) => {}
                Ok(_) => panic!("{name} cut at {end} was read"),
            }
        }
    }
}

#[test]
fn changed_bytes_are_never_a_panic() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let written = dicom_bytes(&DicomImage::new(&ramp(16, 12), 16, 12, 1)).unwrap();
    let mut files: Vec<(String, Vec<u8>)> = codestreams().into_iter().map(|(n, _, f)| (n, f)).collect();
    files.push(("written".to_owned(), written));
    if let Some(dir) = real_files() {
        for name in ["py_image_dfl.dcm", "py_SC_rgb_rle_16bit.dcm", "py_JPEG-lossy.dcm", "py_MR_small_expb.dcm"] {
            files.extend(std::fs::read(dir.join(name)).map(|f| (name.to_owned(), f)));
        }
    }
    for (name, file) in files {
        for _ in 0..300 {
            let mut changed = file.clone();
            for _ in 0..1 + random() % 4 {
                let at = (random() % changed.len() as u64) as usize;
                changed[at] = random() as u8;
            }
            if let Err(ImageError::Decoder(what)) = decode(&changed) {
                assert_eq!(what, "JPEG 2000", "{name}: a decoder of ours panicked");
            }
        }
    }
}

// ---- forms of files ----

fn le(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|v| (*v as u16).to_le_bytes()).collect()
}

#[test]
fn the_first_of_several_frames_is_said() {
    let first = picture(16, 0);
    let head = Head { extra: Vec::new(), ..Head::default() };
    let mut data = head.data_set();
    // Number of Frames stands between photometric interpretation and rows.
    let rows = short(0x0028_0010, 17);
    let at = data.windows(rows.len()).position(|w| w == rows).unwrap();
    data.splice(at..at, text(0x0028_0008, "IS", "3"));
    let pixels = element(0x7fe0_0010, "OW", &[le(&first), vec![9; 2 * 2 * 17 * 24]].concat());
    // Without preamble and meta group, too.
    let image = decode(&[data, pixels].concat()).unwrap();
    assert!(image.values.iter().zip(&first).all(|(a, b)| *a == *b as f32));
    assert!(image.notes.iter().any(|n| n.contains("first of 3 frames")), "{:?}", image.notes);
    assert!(image.notes.iter().any(|n| n.contains("inferred")), "{:?}", image.notes);
}

#[test]
fn high_bits_and_overlays_are_cut_away() {
    // 10 bits at bit 11 downwards, with an overlay bit above.
    let value = |v: u32| 0x8000 | v << 2 | 3;
    let stored: Vec<u32> = (0..17 * 24).map(|i| value(i % 1024)).collect();
    let mut file = Head { stored: 10, ..Head::default() }.file(EXPLICIT, &element(0x7fe0_0010, "OW", &le(&stored)));
    let high = short(0x0028_0102, 9);
    let at = file.windows(high.len()).position(|w| w == high).unwrap();
    file[at..at + high.len()].copy_from_slice(&short(0x0028_0102, 11));
    let image = decode(&file).unwrap();
    assert!(image.values.iter().enumerate().all(|(i, v)| *v == (i % 1024) as f32));
}

#[test]
fn a_palette_is_shown_as_its_luminance() {
    let descriptor = |tag| element(tag, "US", &le(&[4, 0, 16]));
    let table = |tag, v: [u32; 4]| element(tag, "OW", &le(&v));
    let extra = [
        descriptor(0x0028_1101),
        descriptor(0x0028_1102),
        descriptor(0x0028_1103),
        table(0x0028_1201, [0, 65_535, 0, 0]),
        table(0x0028_1202, [0, 0, 65_535, 0]),
        table(0x0028_1203, [0, 0, 0, 65_535]),
    ]
    .concat();
    let head = Head { allocated: 8, stored: 8, photometric: "PALETTE COLOR", extra, ..Head::default() };
    let indices: Vec<u8> = (0..17 * 24).map(|i| (i % 4) as u8).collect();
    let image = decode(&head.file(EXPLICIT, &element(0x7fe0_0010, "OB", &indices))).unwrap();
    let shown = image.display(&WindowChoice::Default).unwrap();
    assert_eq!(shown.pixels[..4], [0, 76, 150, 29]);
}

#[test]
fn subsampled_native_colour_gives_its_luminance() {
    let head = Head { samples: 3, allocated: 8, stored: 8, photometric: "YBR_FULL_422", ..Head::default() };
    let bytes: Vec<u8> = (0..17 * 12).flat_map(|i| [(i % 200) as u8, (i % 200) as u8 + 1, 128, 128]).collect();
    let image = decode(&head.file(EXPLICIT, &element(0x7fe0_0010, "OB", &bytes))).unwrap();
    assert_eq!(image.values[..4], [0.0, 1.0, 1.0, 2.0]);
}

// ---- the command ----

fn hilum(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hilum")).args(arguments).output().unwrap()
}

fn bad_files() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let frame = |syntax: &str, stream: &[u8]| Head::default().file(syntax, &encapsulated(&[stream]));
    let large = Head { rows: 60_000, columns: 60_000, ..Head::default() };
    let jpeg = unhex(golden(include_str!("golden/decode/codestreams.json"))["jpeg_ls_16"]["hex"].as_str().unwrap());
    let lying = Head { rows: 18, ..Head::default() };
    let overlong = [&Head::default().file(EXPLICIT, b"\xe0\x7f\x10\x00OW\0\0\xf0\xff\xff\x7f")[..], &[0; 64]].concat();
    vec![
        ("empty.dcm", Vec::new(), "no bytes"),
        ("text.dcm", b"This is a note about a radiograph, and not a radiograph.\n".to_vec(), "text"),
        ("noise.png", vec![0x93; 300], "neither"),
        ("large.dcm", large.file(EXPLICIT, &element(0x7fe0_0010, "OW", &[0; 64])), "too large"),
        ("short.dcm", Head::default().file(EXPLICIT, &element(0x7fe0_0010, "OW", &[0; 64])), "cut short"),
        ("overlong.dcm", overlong, "cut short"),
        ("video.dcm", frame("1.2.840.10008.1.2.4.102", b"\0\0\0\x20ftypmp42"), "video"),
        ("unknown.dcm", frame("1.2.3.4", b"????????"), "1.2.3.4"),
        ("no_pixels.dcm", Head::default().file(EXPLICIT, b""), "no image"),
        ("no_fragment.dcm", Head::default().file("1.2.840.10008.1.2.4.80", &encapsulated(&[])), "no image"),
        ("mismatch.dcm", lying.file("1.2.840.10008.1.2.4.80", &encapsulated(&[&jpeg])), "declares"),
        ("bomb.png", bomb(), "too large"),
    ]
}

/// A PNG whose header declares 60,000 x 60,000 pixels.
fn bomb() -> Vec<u8> {
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

#[test]
fn the_command_says_in_one_sentence_what_it_cannot_read() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("x.npy");
    for (name, bytes, expected) in bad_files() {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let result = hilum(&["decode", path.to_str().unwrap(), "--out", out.to_str().unwrap()]);
        let message = String::from_utf8(result.stderr).unwrap();
        assert_eq!(result.status.code(), Some(1), "{name}: {message}");
        assert_eq!(message.trim_end().lines().count(), 1, "{name}: {message}");
        assert!(message.contains(expected) && !message.contains("panicked"), "{name}: {message}");
        assert!(!out.exists(), "{name} left a file");
    }
    let missing = hilum(&["decode", "nowhere.dcm", "--out", out.to_str().unwrap()]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("nowhere.dcm"));
}

#[test]
fn the_command_writes_values_and_pictures() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let pixels = ramp(40, 30);
    let mut image = DicomImage::new(&pixels, 40, 30, 5);
    image.window = Some((1000.0, 500.0));
    std::fs::write(path("in.dcm"), dicom_bytes(&image).unwrap()).unwrap();

    let done = hilum(&["decode", &path("in.dcm"), "--out", &path("x.npy")]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let npy = std::fs::read(path("x.npy")).unwrap();
    let data = npy.len() - 4 * 1200;
    assert!(
        String::from_utf8_lossy(&npy[10..data]).contains("'<f4'")
            && String::from_utf8_lossy(&npy[10..data]).contains("(30, 40)")
    );
    assert_eq!(f32::from_le_bytes(npy[data + 4..data + 8].try_into().unwrap()), 37.0);

    let shown = |window: &str, name: &str| {
        let done = hilum(&["decode", &path("in.dcm"), "--window", window, "--out", &path(name)]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        decode(&std::fs::read(path(name)).unwrap()).unwrap().values
    };
    assert_eq!(shown("0", "a.png"), shown("1000,500", "b.png"));
    // The standard's linear function, at the value 37 * 30 = 1110.
    let expected = ((1110.0_f32 - 999.5) / 499.0 + 0.5) * 255.0;
    assert_eq!(shown("default", "c.png")[30], (expected + 0.5).floor());
    let wide = shown("-500,10000", "d.png");
    assert!(wide.iter().all(|v| (128.0..=255.0).contains(v)));

    let none = hilum(&["decode", &path("in.dcm"), "--window", "LUNG", "--out", &path("e.png")]);
    assert_eq!(none.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&none.stderr).contains("LUNG"));
    let usage = hilum(&["decode", &path("in.dcm"), "--out", &path("e.tiff")]);
    assert_eq!(usage.status.code(), Some(2));

    write_png(Path::new(&path("grey.png")), &[7; 600], 30, 20).unwrap();
    let json = hilum(&["decode", &path("grey.png"), "--out", &path("f.npy"), "--json"]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&json["width"], &json["height"], &json["max"]), (&30.into(), &20.into(), &7.0.into()));
}

//! Decoding, from outside: every codec against other decoders, real files against pydicom, bad files, the
//! command.
//!
//! The reference values were made by `golden/decode/make_decode.py`. Real files are looked for in
//! `HILUM_DATA_DIR`.
#![allow(clippy::unwrap_used)]

#[path = "decode/by_hand.rs"]
mod by_hand;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hilum::image::encode::{DicomImage, dicom_bytes, write_png};
use hilum::image::{ImageError, Polarity, Radiograph, WindowChoice, decode};
use serde_json::Value;
use sha2::{Digest, Sha256};

use by_hand::{EXPLICIT, Head, bad_files, codestreams, element, floats, golden, picture, short, text};

/// The folder of real DICOM files, or a word that they are not there.
fn real_files() -> Option<PathBuf> {
    let found = std::env::var_os("HILUM_DATA_DIR")
        .map(|d| Path::new(&d).join("dicom"))
        .filter(|d| d.is_dir());
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

#[test]
fn every_codec_gives_the_reference_values() {
    by_hand::every_codec_gives_the_reference_values();
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
    assert_eq!(
        serde_json::json!([image.height, image.width]),
        want["shape"],
        "{name}"
    );
    let number = |key: &str| want[key].as_f64().unwrap() as f32;
    let tolerance = number("tolerance") * 1.0001;
    let at = positions(image.height, image.width);
    for (value, index) in floats(&want["values"]).iter().zip(&at) {
        let got = image.values[*index];
        assert!(
            (got - value).abs() <= tolerance,
            "{name}: {got} at {index}, expected {value}"
        );
    }
    let (low, high) = image
        .values
        .iter()
        .fold((f32::MAX, f32::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
    // The extremes may lie at other pixels where rounding differs.
    assert!(
        (low - number("min")).abs() <= tolerance && (high - number("max")).abs() <= tolerance,
        "{name}"
    );
    let mean = image.values.iter().map(|v| f64::from(*v)).sum::<f64>() / image.values.len() as f64;
    let allowed = if tolerance == 0.0 {
        1e-6 * mean.abs().max(1.0)
    } else {
        f64::from(tolerance) / 8.0
    };
    assert!(
        (mean - want["mean"].as_f64().unwrap()).abs() <= allowed,
        "{name}: mean {mean}"
    );
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
            assert!(
                padded || (got - value).abs() <= grey,
                "{name}: shown {got} at {index}, expected {value}"
            );
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
    assert_eq!(
        bytes,
        dicom_bytes(&image).unwrap(),
        "the same image gives the same bytes"
    );
    let back = decode(&bytes).unwrap();
    assert_eq!(
        (back.width, back.height, back.photometric),
        (40, 30, Polarity::Monochrome1)
    );
    assert!(
        back.values
            .iter()
            .zip(&pixels)
            .all(|(a, b)| *a == f32::from(*b) * 2.0 - 100.0)
    );
    assert_eq!(back.spacing_mm, Some((0.143, 0.139)));
    assert_eq!(
        (
            back.identity.patient_id.as_str(),
            back.identity.view_position.as_str()
        ),
        ("phantom-11", "PA")
    );
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
        for name in [
            "py_image_dfl.dcm",
            "py_SC_rgb_rle_16bit.dcm",
            "py_JPEG-lossy.dcm",
            "py_MR_small_expb.dcm",
        ] {
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
fn what_is_no_chest_radiograph_is_said() {
    let written = |modality| {
        let pixels = ramp(16, 12);
        let mut image = DicomImage::new(&pixels, 16, 12, 1);
        image.modality = modality;
        decode(&dicom_bytes(&image).unwrap()).unwrap().notes
    };
    assert!(
        written("MR")
            .iter()
            .any(|note| note.contains("MR") && note.contains("no chest radiograph"))
    );
    assert!(
        written("DX")
            .iter()
            .all(|note| !note.contains("no chest radiograph"))
    );
}

#[test]
fn the_first_of_several_frames_is_said() {
    let first = picture(16, 0);
    let head = Head {
        extra: Vec::new(),
        ..Head::default()
    };
    let mut data = head.data_set();
    // Number of Frames stands between photometric interpretation and rows.
    let rows = short(0x0028_0010, 17);
    let at = data.windows(rows.len()).position(|w| w == rows).unwrap();
    data.splice(at..at, text(0x0028_0008, "IS", "3"));
    let pixels = element(
        0x7fe0_0010,
        "OW",
        &[le(&first), vec![9; 2 * 2 * 17 * 24]].concat(),
    );
    // Without preamble and meta group, too.
    let image = decode(&[data, pixels].concat()).unwrap();
    assert!(image.values.iter().zip(&first).all(|(a, b)| *a == *b as f32));
    assert!(
        image.notes.iter().any(|n| n.contains("first of 3 frames")),
        "{:?}",
        image.notes
    );
    assert!(
        image.notes.iter().any(|n| n.contains("inferred")),
        "{:?}",
        image.notes
    );
}

#[test]
fn high_bits_and_overlays_are_cut_away() {
    // 10 bits at bit 11 downwards, with an overlay bit above.
    let value = |v: u32| 0x8000 | v << 2 | 3;
    let stored: Vec<u32> = (0..17 * 24).map(|i| value(i % 1024)).collect();
    let mut file = Head {
        stored: 10,
        ..Head::default()
    }
    .file(EXPLICIT, &element(0x7fe0_0010, "OW", &le(&stored)));
    let high = short(0x0028_0102, 9);
    let at = file.windows(high.len()).position(|w| w == high).unwrap();
    file[at..at + high.len()].copy_from_slice(&short(0x0028_0102, 11));
    let image = decode(&file).unwrap();
    assert!(
        image
            .values
            .iter()
            .enumerate()
            .all(|(i, v)| *v == (i % 1024) as f32)
    );
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
    let head = Head {
        allocated: 8,
        stored: 8,
        photometric: "PALETTE COLOR",
        extra,
        ..Head::default()
    };
    let indices: Vec<u8> = (0..17 * 24).map(|i| (i % 4) as u8).collect();
    let image = decode(&head.file(EXPLICIT, &element(0x7fe0_0010, "OB", &indices))).unwrap();
    let shown = image.display(&WindowChoice::Default).unwrap();
    assert_eq!(shown.pixels[..4], [0, 76, 150, 29]);
}

#[test]
fn subsampled_native_colour_gives_its_luminance() {
    let head = Head {
        samples: 3,
        allocated: 8,
        stored: 8,
        photometric: "YBR_FULL_422",
        ..Head::default()
    };
    let bytes: Vec<u8> = (0..17 * 12)
        .flat_map(|i| [(i % 200) as u8, (i % 200) as u8 + 1, 128, 128])
        .collect();
    let image = decode(&head.file(EXPLICIT, &element(0x7fe0_0010, "OB", &bytes))).unwrap();
    assert_eq!(image.values[..4], [0.0, 1.0, 1.0, 2.0]);
}

// ---- the command ----

fn hilum(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hilum"))
        .args(arguments)
        .output()
        .unwrap()
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
        assert!(
            message.contains(expected) && !message.contains("panicked"),
            "{name}: {message}"
        );
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
    assert_eq!(
        f32::from_le_bytes(npy[data + 4..data + 8].try_into().unwrap()),
        37.0
    );

    let shown = |window: &str, name: &str| {
        let done = hilum(&[
            "decode",
            &path("in.dcm"),
            "--window",
            window,
            "--out",
            &path(name),
        ]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        decode(&std::fs::read(path(name)).unwrap()).unwrap().values
    };
    assert_eq!(shown("0", "a.png"), shown("1000,500", "b.png"));
    // The standard's linear function, at the value 37 * 30 = 1110.
    let expected = ((1110.0_f32 - 999.5) / 499.0 + 0.5) * 255.0;
    assert_eq!(shown("default", "c.png")[30], (expected + 0.5).floor());
    let wide = shown("-500,10000", "d.png");
    assert!(wide.iter().all(|v| (128.0..=255.0).contains(v)));

    let none = hilum(&[
        "decode",
        &path("in.dcm"),
        "--window",
        "LUNG",
        "--out",
        &path("e.png"),
    ]);
    assert_eq!(none.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&none.stderr).contains("LUNG"));
    let usage = hilum(&["decode", &path("in.dcm"), "--out", &path("e.tiff")]);
    assert_eq!(usage.status.code(), Some(2));

    write_png(Path::new(&path("grey.png")), &[7; 600], 30, 20).unwrap();
    let json = hilum(&["decode", &path("grey.png"), "--out", &path("f.npy"), "--json"]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(
        (&json["width"], &json["height"], &json["max"]),
        (&30.into(), &20.into(), &7.0.into())
    );
}

//! Tests of what files do to their headers, on files written here: one picture, and each way to spoil it.
use super::encoding::Encoding::{self, ExplicitBig, ExplicitLittle, ImplicitLittle};
use crate::encode::jpeg_bytes;
use crate::{Polarity, Radiograph, WindowChoice, decode};

const FORMS: [Encoding; 3] = [ImplicitLittle, ExplicitLittle, ExplicitBig];
const ROWS: usize = 6;
const COLUMNS: usize = 8;

/// 16-bit words, little endian.
fn words(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// A header and a value of little-endian units of `unit` bytes; without a value the length is undefined.
fn raw(form: Encoding, tag: u32, vr: &[u8; 2], value: Option<&[u8]>, unit: usize) -> Vec<u8> {
    let big = form == ExplicitBig;
    let number = |n: u32, size: usize| {
        let bytes = n.to_le_bytes();
        let bytes = bytes[..size].iter().copied();
        if big {
            bytes.rev().collect::<Vec<u8>>()
        } else {
            bytes.collect()
        }
    };
    let mut out = [number(tag >> 16, 2), number(tag & 0xffff, 2)].concat();
    let length = value.map_or(u32::MAX, |v| v.len() as u32);
    if form == ImplicitLittle || tag >> 16 == 0xfffe {
        out.extend(number(length, 4));
    } else {
        out.extend(vr);
        if matches!(vr, b"OB" | b"OW" | b"SQ" | b"UN") {
            out.extend([0, 0]);
            out.extend(number(length, 4));
        } else {
            out.extend(number(length, 2));
        }
    }
    let mut value = value.unwrap_or_default().to_vec();
    if big && unit > 1 {
        value.chunks_exact_mut(unit).for_each(<[u8]>::reverse);
    }
    out.extend(value);
    out
}

/// One element of a test file.
#[derive(Clone)]
struct Part(u32, [u8; 2], Vec<u8>);

impl Part {
    fn text(tag: u32, vr: &[u8; 2], text: &str) -> Self {
        let mut value = text.as_bytes().to_vec();
        value.resize(value.len().next_multiple_of(2), b' ');
        Self(tag, *vr, value)
    }

    fn words(tag: u32, vr: &[u8; 2], values: &[u16]) -> Self {
        Self(tag, *vr, words(values))
    }

    fn write(&self, form: Encoding) -> Vec<u8> {
        let unit = if matches!(&self.1, b"US" | b"SS" | b"OW") {
            2
        } else {
            1
        };
        raw(form, self.0, &self.1, Some(&self.2), unit)
    }

    /// The same as UN, whose value is little endian everywhere.
    fn unknown(&self) -> Self {
        Self(self.0, *b"UN", self.2.clone())
    }
}

/// The header of 12 bits in 16, unsigned.
fn header() -> Vec<Part> {
    vec![
        Part::words(0x0028_0002, b"US", &[1]),
        Part::text(0x0028_0004, b"CS", "MONOCHROME2"),
        Part::words(0x0028_0010, b"US", &[ROWS as u16]),
        Part::words(0x0028_0011, b"US", &[COLUMNS as u16]),
        Part::words(0x0028_0100, b"US", &[16]),
        Part::words(0x0028_0101, b"US", &[12]),
        Part::words(0x0028_0102, b"US", &[11]),
        Part::words(0x0028_0103, b"US", &[0]),
    ]
}

fn pixels() -> Vec<u16> {
    (0..(ROWS * COLUMNS) as u16).map(|i| i * 85).collect()
}

/// A file of `header()` with `more` in place of or beside it, without a meta group.
fn file(form: Encoding, more: &[Part], tail: &[u8]) -> Vec<u8> {
    let mut parts = vec![Part::text(0x0008_0060, b"CS", "CR")];
    parts.extend(header());
    parts.retain(|p| more.iter().all(|m| m.0 != p.0));
    parts.extend_from_slice(more);
    parts.sort_by_key(|p| p.0);
    // The first element shows how the others are written.
    let mut out = raw(form, 0x0008_0005, b"CS", Some(b"ISO_IR 100"), 1);
    parts.iter().for_each(|p| out.extend(p.write(form)));
    if tail.is_empty() {
        out.extend(Part::words(0x7fe0_0010, b"OW", &pixels()).write(form));
    } else {
        out.extend(tail);
    }
    out
}

fn shown(r: &Radiograph) -> Vec<u8> {
    r.display(&WindowChoice::Default).unwrap().pixels
}

fn read(more: &[Part]) -> Radiograph {
    decode(&file(ExplicitLittle, more, &[])).unwrap()
}

fn has(r: &Radiograph, word: &str) -> bool {
    r.notes.iter().any(|n| n.contains(word))
}

fn window(center: &str, width: &str) -> [Part; 2] {
    [
        Part::text(0x0028_1050, b"DS", center),
        Part::text(0x0028_1051, b"DS", width),
    ]
}

/// A curve of 4096 entries of 12 bits.
fn curve() -> Vec<u16> {
    (0..4096_u32).map(|i| (i * i / 4096) as u16).collect()
}

fn expected_curve() -> Vec<u8> {
    let curve = curve();
    let shown = |v: &u16| (f64::from(curve[usize::from(*v)]) / 4095.0 * 255.0 + 0.5).floor() as u8;
    pixels().iter().map(shown).collect()
}

/// A sequence of one item, whose elements are written as `inner`, under `vr`, with or without lengths.
fn sequence(outer: Encoding, inner: Encoding, vr: &[u8; 2], open: bool, items: &[Part]) -> Vec<u8> {
    let elements: Vec<u8> = items.iter().flat_map(|p| p.write(inner)).collect();
    if open {
        return [
            raw(outer, 0x0028_3010, vr, None, 1),
            raw(inner, 0xfffe_e000, b"  ", None, 1),
            elements,
            raw(inner, 0xfffe_e00d, b"  ", Some(&[]), 1),
            raw(inner, 0xfffe_e0dd, b"  ", Some(&[]), 1),
        ]
        .concat();
    }
    let item = raw(inner, 0xfffe_e000, b"  ", Some(&elements), 1);
    raw(outer, 0x0028_3010, vr, Some(&item), 1)
}

#[test]
fn known_elements_as_un_are_read_by_the_dictionary() {
    let mut more = header();
    more.extend(window("2100", "2000"));
    more.push(Part::text(0x0028_1053, b"DS", "2"));
    more.push(Part::text(0x0028_1052, b"DS", "100"));
    for form in FORMS {
        let plain = decode(&file(form, &more, &[])).unwrap();
        let unknown: Vec<Part> = more.iter().map(Part::unknown).collect();
        let read = decode(&file(form, &unknown, &[])).unwrap();
        assert_eq!(
            (&read.values, shown(&read)),
            (&plain.values, shown(&plain)),
            "{form:?}"
        );
        assert_eq!((read.values[1], read.windows.len()), (270.0, 1));
    }
}

#[test]
fn a_voi_lut_is_found_however_its_sequence_is_written() {
    let plain = [
        Part::words(0x0028_3002, b"US", &[4096, 0, 12]),
        Part::words(0x0028_3006, b"OW", &curve()),
    ];
    let unknown = plain.clone().map(|p| p.unknown());
    let mut bytes = plain.clone();
    bytes[1].1 = *b"OB";
    let mut tested = 0;
    for outer in FORMS {
        for open in [false, true] {
            for items in [&plain, &unknown, &bytes] {
                // A sequence as UN has implicit items.
                for (vr, inner) in [(b"SQ", outer), (b"UN", ImplicitLittle), (b"UN", ExplicitLittle)] {
                    let tail = [
                        sequence(outer, inner, vr, open, items),
                        Part::words(0x7fe0_0010, b"OW", &pixels()).write(outer),
                    ]
                    .concat();
                    if outer == ImplicitLittle && inner != outer
                        || outer == ExplicitBig && inner == ExplicitLittle
                    {
                        continue;
                    }
                    let read = decode(&file(outer, &[], &tail)).unwrap();
                    let what = format!("{outer:?} {inner:?} {open} {:?}: {:?}", items[1].1, read.notes);
                    assert_eq!((shown(&read), read.notes.len()), (expected_curve(), 1), "{what}");
                    tested += 1;
                }
            }
        }
    }
    assert_eq!(tested, 42);
}

#[test]
fn the_first_value_of_a_lut_is_signed_where_its_input_is() {
    // From -1000 on; the intercept makes unsigned pixels negative.
    let lut = [
        Part::words(0x0028_3002, b"US", &[4096, 0xfc18, 12]),
        Part::words(0x0028_3006, b"OW", &curve()),
    ];
    for form in FORMS {
        let tail = [
            sequence(form, form, b"SQ", true, &lut),
            Part::words(0x7fe0_0010, b"OW", &pixels()).write(form),
        ]
        .concat();
        let more = [
            Part::text(0x0028_1052, b"DS", "-1000"),
            Part::text(0x0028_1053, b"DS", "1"),
        ];
        assert_eq!(
            shown(&decode(&file(form, &more, &tail)).unwrap()),
            expected_curve(),
            "{form:?}"
        );
    }
}

#[test]
fn angiography_is_shown_without_the_way_back_to_intensity() {
    let slope = [
        Part::text(0x0028_1053, b"DS", "3"),
        Part::text(0x0028_1052, b"DS", "7"),
    ];
    let of = |class: &str, relationship: &str| {
        let more = [
            Part::text(0x0008_0016, b"UI", class),
            Part::text(0x0028_1040, b"CS", relationship),
        ];
        read(&[&slope[..], &more[..]].concat())
    };
    let xa = of("1.2.840.10008.5.1.4.1.1.12.1", "LOG");
    assert!(xa.values[1] == 85.0 && has(&xa, "intensity"), "{:?}", xa.notes);
    assert_eq!(of("1.2.840.10008.5.1.4.1.1.12.2", "DISP").values[1], 85.0);
    assert_eq!(of("1.2.840.10008.5.1.4.1.1.12.1", "LIN").values[1], 262.0);
    assert_eq!(of("1.2.840.10008.5.1.4.1.1.1", "LOG").values[1], 262.0);
}

#[test]
fn windows_are_read_as_they_can_only_be_meant() {
    let comma = read(&window("1499,5", "1000"));
    assert_eq!(
        (comma.windows[0].center, comma.windows[0].width),
        (1499.5, 1000.0)
    );
    let mut curved = window("2000", "1000").to_vec();
    curved.push(Part::text(0x0028_1056, b"CS", "sigmoid"));
    assert_eq!(read(&curved).windows[0].function, crate::WindowFunction::Sigmoid);
    curved[2] = Part::text(0x0028_1056, b"CS", "Linear Exact");
    assert_eq!(
        read(&curved).windows[0].function,
        crate::WindowFunction::LinearExact
    );
    let narrow = read(&window("0.02", "0.5"));
    assert_eq!(narrow.windows[0].function, crate::WindowFunction::LinearExact);
    assert!(has(&narrow, "below 1"));
}

#[test]
fn pixels_that_are_not_square_are_made_so() {
    let high = read(&[Part::text(0x0028_0034, b"IS", "2\\1")]);
    assert!((high.width, high.height) == (COLUMNS, 2 * ROWS) && has(&high, "square"));
    let wide = read(&[Part::text(0x0018_1164, b"DS", "0.1\\0.2")]);
    assert_eq!((wide.width, wide.height), (2 * COLUMNS, ROWS));
    // The spacing comes before the ratio, and is square here.
    let both = read(&[
        Part::text(0x0028_0034, b"IS", "2\\1"),
        Part::text(0x0028_0030, b"DS", "0.1\\0.1"),
    ]);
    assert_eq!((both.width, both.height), (COLUMNS, ROWS));
}

#[test]
fn a_misspelled_interpretation_is_read_and_overlays_are_said() {
    let r = read(&[Part::text(0x0028_0004, b"CS", "MONOCHROME 1")]);
    assert!(r.photometric == Polarity::Monochrome1 && has(&r, "MONOCHROME 1"));
    let plane = |value: u16| {
        let overlay = [
            Part::words(0x6000_0010, b"US", &[ROWS as u16]),
            Part::words(0x6000_3000, b"OW", &[value; 3]),
        ];
        has(&read(&overlay), "overlay")
    };
    assert!(plane(6) && !plane(0));
    assert!(has(&read(&[Part::words(0x6002_0100, b"US", &[16])]), "6002"));
}

/// Encapsulated pixels of one fragment, and what stands in place of the delimiter.
fn encapsulated(stream: &[u8], end: &[u8]) -> Vec<u8> {
    let mut stream = stream.to_vec();
    stream.resize(stream.len().next_multiple_of(2), 0);
    [
        raw(ExplicitLittle, 0x7fe0_0010, b"OB", None, 1),
        raw(ExplicitLittle, 0xfffe_e000, b"  ", Some(&[]), 1),
        raw(ExplicitLittle, 0xfffe_e000, b"  ", Some(&stream), 1),
        end.to_vec(),
    ]
    .concat()
}

fn eight_bits(samples: u16, photometric: &str) -> Vec<Part> {
    vec![
        Part::words(0x0028_0002, b"US", &[samples]),
        Part::text(0x0028_0004, b"CS", photometric),
        Part::words(0x0028_0100, b"US", &[8]),
        Part::words(0x0028_0101, b"US", &[8]),
        Part::words(0x0028_0102, b"US", &[7]),
    ]
}

#[test]
fn fragments_end_where_zeros_stand_for_a_delimiter() {
    let grey: Vec<u8> = (0..ROWS * COLUMNS).map(|i| (i * 5) as u8).collect();
    let jpeg = jpeg_bytes(&grey, COLUMNS, ROWS, 95).unwrap();
    let more = eight_bits(1, "MONOCHROME2");
    let whole = decode(&file(
        ExplicitLittle,
        &more,
        &encapsulated(&jpeg, b"\xfe\xff\xdd\xe0\0\0\0\0"),
    ))
    .unwrap();
    for end in [
        &[0_u8; 8][..],
        &[0; 3],
        &[0; 600],
        b"\0\0\0\0\0\0\0\0\xfc\xff\xfc\xffOB\0\0\0\0\0\0",
    ] {
        let read = decode(&file(ExplicitLittle, &more, &encapsulated(&jpeg, end))).unwrap();
        assert_eq!(read.values, whole.values);
    }
}

#[test]
fn colours_are_what_the_data_says_and_not_what_the_header_says() {
    let rgb = image::RgbImage::from_fn(COLUMNS as u32, ROWS as u32, |_, _| image::Rgb([200, 100, 50]));
    let mut jpeg = std::io::Cursor::new(Vec::new());
    rgb.write_to(&mut jpeg, image::ImageFormat::Jpeg).unwrap();
    let end = b"\xfe\xff\xdd\xe0\0\0\0\0";
    // JFIF is YCbCr, also under a header that says RGB, or grey.
    for more in [
        eight_bits(3, "RGB"),
        eight_bits(3, "YBR_FULL_422"),
        eight_bits(1, "MONOCHROME2"),
    ] {
        let r = decode(&file(ExplicitLittle, &more, &encapsulated(jpeg.get_ref(), end))).unwrap();
        assert!((r.values[0] - 124.0).abs() < 3.0, "{} {:?}", r.values[0], r.notes);
    }
    // Bytes of three colours under a grey header.
    let triples: Vec<u8> = (0..ROWS * COLUMNS)
        .flat_map(|i| [i as u8, i as u8 + 100, 255 - i as u8])
        .collect();
    let tail = raw(ExplicitLittle, 0x7fe0_0010, b"OB", Some(&triples), 1);
    let r = decode(&file(ExplicitLittle, &eight_bits(1, "MONOCHROME2"), &tail)).unwrap();
    assert!(
        has(&r, "three times") && (r.values[0] - 87.77).abs() < 0.01,
        "{:?}",
        r.notes
    );
}

/// A reference codestream of 16 bits.
fn stream(name: &str) -> Vec<u8> {
    let all = include_str!("../../../../tests/golden/decode/codestreams.json");
    let entry = &all[all.find(&format!("\"{name}\"")).unwrap()..];
    let hex = entry[entry.find("\"hex\"").unwrap() + 5..]
        .split('"')
        .nth(1)
        .unwrap();
    (0..hex.len() / 2)
        .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
        .collect()
}

#[test]
fn bits_above_bits_stored_are_no_pixels_whatever_the_codec() {
    let end = b"\xfe\xff\xdd\xe0\0\0\0\0";
    for name in ["jpeg_ls_16", "jpeg_lossless_16", "jpeg_2000_16", "htj2k_16"] {
        let of = |stored: u16, high: u16| {
            let more = [
                Part::words(0x0028_0010, b"US", &[17]),
                Part::words(0x0028_0011, b"US", &[24]),
                Part::words(0x0028_0101, b"US", &[stored]),
                Part::words(0x0028_0102, b"US", &[high]),
            ];
            decode(&file(ExplicitLittle, &more, &encapsulated(&stream(name), end)))
                .unwrap()
                .values
        };
        let all = of(16, 15);
        let low: Vec<f32> = all.iter().map(|v| (*v as u32 & 0x3ff) as f32).collect();
        let high: Vec<f32> = all.iter().map(|v| (*v as u32 >> 4 & 0xff) as f32).collect();
        assert!(all != low, "{name}");
        assert_eq!((of(10, 9), of(8, 11)), (low, high), "{name}");
    }
}

#[test]
fn a_directory_and_a_damaged_frame_are_called_so() {
    let records = raw(ExplicitLittle, 0x0004_1220, b"SQ", Some(&[]), 1);
    let class = Part::text(0x0002_0002, b"UI", "1.2.840.10008.1.3.10\0");
    let meta = [vec![0; 128], b"DICM".to_vec(), class.write(ExplicitLittle)].concat();
    let said = decode(&[meta, records].concat()).unwrap_err().to_string();
    assert!(said.contains("DICOMDIR"), "{said}");
    let syntax = Part::text(0x0002_0010, b"UI", "1.2.840.10008.1.2.4.70");
    let tail = encapsulated(b"\x13\x37 no codestream", b"\xfe\xff\xdd\xe0\0\0\0\0");
    let meta = [vec![0; 128], b"DICM".to_vec(), syntax.write(ExplicitLittle)].concat();
    let said = decode(&[meta, file(ExplicitLittle, &[], &tail)].concat())
        .unwrap_err()
        .to_string();
    assert!(said.contains("damaged") && said.contains("13 37"), "{said}");
}

//! Tests of reports, on structured reports written here: how they are built, what is their text, and each way to spoil one.
use super::report::{is_report, read_report};
use crate::{ImageError, ReportError};

const BASIC: &str = "1.2.840.10008.5.1.4.1.1.88.11";
const IMPLICIT: &str = "1.2.840.10008.1.2";
const EXPLICIT: &str = "1.2.840.10008.1.2.1";

/// How a data set is written.
#[derive(Clone, Copy, Debug)]
struct Form {
    implicit: bool,
    /// Whether sequences and items say how long they are.
    defined: bool,
}

const fn form(implicit: bool, defined: bool) -> Form {
    Form { implicit, defined }
}

const FORMS: [Form; 4] = [
    form(false, true),
    form(false, false),
    form(true, true),
    form(true, false),
];

impl Form {
    fn element(self, tag: u32, vr: &[u8; 2], value: &[u8]) -> Vec<u8> {
        let mut value = value.to_vec();
        let pad = if vr == b"UI" { 0 } else { b' ' };
        value.resize(value.len().next_multiple_of(2), pad);
        [self.header(tag, vr, value.len() as u32), value].concat()
    }

    fn header(self, tag: u32, vr: &[u8; 2], length: u32) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(((tag >> 16) as u16).to_le_bytes());
        out.extend((tag as u16).to_le_bytes());
        if self.implicit || tag >> 16 == 0xfffe {
            out.extend(length.to_le_bytes());
        } else if matches!(vr, b"SQ" | b"UT" | b"OB") {
            out.extend([vr[0], vr[1], 0, 0]);
            out.extend(length.to_le_bytes());
        } else {
            out.extend(vr);
            out.extend((length as u16).to_le_bytes());
        }
        out
    }

    fn sequence(self, tag: u32, items: &[Vec<u8>]) -> Vec<u8> {
        let item = |item: &Vec<u8>| match self.defined {
            true => [self.header(0xfffe_e000, b"  ", item.len() as u32), item.clone()].concat(),
            false => {
                let (begin, end) = (
                    self.header(0xfffe_e000, b"  ", u32::MAX),
                    self.header(0xfffe_e00d, b"  ", 0),
                );
                [begin, item.clone(), end].concat()
            }
        };
        let items: Vec<u8> = items.iter().flat_map(item).collect();
        match self.defined {
            true => [self.header(tag, b"SQ", items.len() as u32), items].concat(),
            false => {
                let end = self.header(0xfffe_e0dd, b"  ", 0);
                [self.header(tag, b"SQ", u32::MAX), items, end].concat()
            }
        }
    }

    /// An item of the content tree. Its elements stand in the order of their tags.
    fn node(self, relation: &str, kind: &str, name: &[u8], text: &[u8], children: &[Vec<u8>]) -> Vec<u8> {
        let mut out = self.element(0x0040_a010, b"CS", relation.as_bytes());
        out.extend(self.element(0x0040_a040, b"CS", kind.as_bytes()));
        if !name.is_empty() {
            let code = self.element(0x0008_0104, b"LO", name);
            out.extend(self.sequence(0x0040_a043, &[code]));
        }
        if !text.is_empty() {
            out.extend(self.element(0x0040_a160, b"UT", text));
        }
        if !children.is_empty() {
            out.extend(self.sequence(0x0040_a730, children));
        }
        out
    }

    fn text(self, name: &str, text: &str) -> Vec<u8> {
        self.node("CONTAINS", "TEXT", name.as_bytes(), text.as_bytes(), &[])
    }

    fn container(self, name: &str, children: &[Vec<u8>]) -> Vec<u8> {
        self.node("CONTAINS", "CONTAINER", name.as_bytes(), &[], children)
    }

    /// A file of a class, in a character set, with the tree's first level.
    fn file(self, class: &str, set: &str, children: &[Vec<u8>]) -> Vec<u8> {
        let meta = Form {
            implicit: false,
            ..self
        };
        let mut out = [vec![0; 128], b"DICM".to_vec()].concat();
        out.extend(meta.element(0x0002_0002, b"UI", class.as_bytes()));
        let syntax = if self.implicit { IMPLICIT } else { EXPLICIT };
        out.extend(meta.element(0x0002_0010, b"UI", syntax.as_bytes()));
        out.extend(self.data_set(class, set, children));
        out
    }

    fn data_set(self, class: &str, set: &str, children: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::new();
        if !set.is_empty() {
            out.extend(self.element(0x0008_0005, b"CS", set.as_bytes()));
        }
        out.extend(self.element(0x0008_0016, b"UI", class.as_bytes()));
        out.extend(self.element(0x0008_0060, b"CS", b"SR"));
        out.extend(self.element(0x0040_a040, b"CS", b"CONTAINER"));
        let title = self.element(0x0008_0104, b"LO", b"Chest X-Ray Report");
        out.extend(self.sequence(0x0040_a043, &[title]));
        if !children.is_empty() {
            out.extend(self.sequence(0x0040_a730, children));
        }
        out
    }
}

const PLAIN: Form = FORMS[0];

/// A report with all that one may have.
fn whole(form: Form) -> Vec<Vec<u8>> {
    let observer = form.node(
        "HAS OBS CONTEXT",
        "TEXT",
        b"Observer's organization",
        b"St. Elsewhere",
        &[],
    );
    let number = form.node(
        "CONTAINS",
        "NUM",
        b"Diameter",
        &[],
        &[form.text("Comment", "Measured twice.")],
    );
    let because = form.node("INFERRED FROM", "TEXT", b"Finding", b"Blunted angle.", &[]);
    let impression = form.node(
        "CONTAINS",
        "TEXT",
        b"Impression",
        "Größere Winkel.".as_bytes(),
        &[because],
    );
    vec![
        observer,
        form.container("History", &[form.text("History", "Cough.")]),
        form.container(
            "Findings",
            &[
                form.text("Finding", "Left effusion. \r\nNo pneumothorax."),
                form.node("CONTAINS", "CODE", b"Finding", &[], &[]),
                form.container("", &[form.text("", "FINDINGS: as before")]),
                number,
            ],
        ),
        form.container("Impression", &[impression]),
        form.text("Conclusion", "Conclusion: stable"),
        form.text("", "\0 "),
        form.text("", "Addendum."),
    ]
}

const TEXT: &str = "History:\nCough.\n\nFindings:\nLeft effusion. \nNo pneumothorax.\nFINDINGS: as before\nMeasured twice.\n\n\
                    Impression:\nGrößere Winkel.\nBlunted angle.\n\nConclusion: stable\n\nAddendum.";

#[test]
fn texts_stand_in_their_order_under_the_names_of_their_containers_in_every_form() {
    for form in FORMS {
        let read = read_report(&form.file(BASIC, "ISO_IR 192", &whole(form))).unwrap();
        assert_eq!(read.text, TEXT, "{form:?}");
        assert_eq!(read.notes, ["2 measurements and codes were left out"]);
        // Without preamble and meta group.
        let bare = form.data_set(BASIC, "ISO_IR 192", &whole(form));
        assert!(is_report(&bare));
        assert_eq!(read_report(&bare).unwrap().text, TEXT, "{form:?}");
    }
}

#[test]
fn letters_are_those_of_the_character_set() {
    let read = |set: &str, text: &[u8]| {
        let text = PLAIN.node("CONTAINS", "TEXT", b"", text, &[]);
        read_report(&PLAIN.file(BASIC, set, &[text])).unwrap()
    };
    assert_eq!(read("ISO_IR 192", "Größe".as_bytes()).text, "Größe");
    assert_eq!(read("ISO_IR 100", b"Gr\xf6\xdfe").text, "Größe");
    assert_eq!(read("ISO_IR 144", b"\xbb\xd5\xd3\xda\xd8\xd5").text, "Легкие");
    assert_eq!(read("", b"Clear lungs.").text, "Clear lungs.");
    for (text, named) in [("Größe".as_bytes(), "UTF-8"), (b"Gr\xf6\xdfe", "Latin-1")] {
        let read = read("", text);
        assert_eq!(read.text, "Größe");
        assert!(
            read.notes.len() == 1 && read.notes[0].contains(named),
            "{:?}",
            read.notes
        );
    }
    // A backslash parts no values of a text.
    assert_eq!(read("", b"1\\2").text, "1\\2");
    for (set, text) in [
        ("ISO_IR 192", &b"Gr\xf6\xdfe"[..]),
        ("\\ISO 2022 IR 87", b"\x1b$B$\""),
    ] {
        let notes = read(set, text).notes;
        assert!(
            notes.len() == 1 && notes[0].contains("character set"),
            "{set}: {notes:?}"
        );
    }
}

#[test]
fn what_is_no_written_report_is_said() {
    let said = |bytes: &[u8]| read_report(bytes).unwrap_err().to_string();
    let text = [PLAIN.text("", "Clear.")];
    for kind in ["11", "22", "33", "34", "35"] {
        let class = format!("1.2.840.10008.5.1.4.1.1.88.{kind}");
        let file = PLAIN.file(&class, "", &text);
        assert!(is_report(&file));
        assert_eq!(read_report(&file).unwrap().text, "Clear.");
    }
    let dose = PLAIN.file("1.2.840.10008.5.1.4.1.1.88.67", "", &text);
    assert!(is_report(&dose) && said(&dose).contains("doses"));
    let image = PLAIN.file("1.2.840.10008.5.1.4.1.1.1.1", "", &[]);
    assert!(!is_report(&image) && said(&image).contains("no report"));
    for bytes in [&b""[..], b"Clear lungs.", b"\x89PNG\r\n\x1a\n", &[0; 200]] {
        assert!(!is_report(bytes));
        assert!(matches!(read_report(bytes), Err(ReportError::NotDicom)));
    }
    let number = PLAIN.node("CONTAINS", "NUM", b"Diameter", &[], &[]);
    assert!(
        said(&PLAIN.file(BASIC, "", std::slice::from_ref(&number))).contains("measurements and codes alone")
    );
    assert!(said(&PLAIN.file(BASIC, "", &[])).contains("it is empty"));
    assert!(said(&PLAIN.file(BASIC, "", &[PLAIN.text("Findings", " ")])).contains("it is empty"));
    // What is encrypted stands in a sequence of its own.
    let hidden = PLAIN.sequence(0x0400_0500, &[PLAIN.element(0x0400_0520, b"OB", &[1, 2])]);
    let all = [PLAIN.file(BASIC, "", &[]), hidden.clone()].concat();
    assert!(said(&all).contains("encrypted"));
    let part = [PLAIN.file(BASIC, "", &text), hidden].concat();
    assert!(read_report(&part).unwrap().notes[0].contains("encrypted"));
}

#[test]
fn no_broken_report_is_half_a_report() {
    for form in FORMS {
        let file = form.file(BASIC, "ISO_IR 192", &whole(form));
        let whole = read_report(&file).unwrap();
        for end in 0..file.len() {
            // What is read of one that is cut is no text at all, never a part of it.
            if let Ok(read) = read_report(&file[..end]) {
                assert_eq!(read, whole, "{form:?}, {end} of {}", file.len());
            }
        }
        // A byte that is another one must not stop the reader.
        for at in (132..file.len()).step_by(3) {
            for value in [0, 0xff, file[at] ^ 0x10] {
                let mut damaged = file.clone();
                damaged[at] = value;
                let _ = read_report(&damaged);
            }
        }
    }
}

#[test]
fn a_tree_of_great_depth_is_refused() {
    for form in FORMS {
        let mut node = form.text("Finding", "Clear.");
        for _ in 0..10 {
            node = form.container("Findings", &[node]);
        }
        let text = read_report(&form.file(BASIC, "", &[node.clone()])).unwrap().text;
        assert_eq!(text, "Findings:\nClear.");
        for _ in 0..10 {
            node = form.container("Findings", &[node]);
        }
        let error = read_report(&form.file(BASIC, "", &[node])).unwrap_err();
        assert!(error.to_string().contains("nested"), "{error}");
    }
    // Sequences that are opened and never closed, for megabytes.
    let open = Form {
        implicit: true,
        defined: false,
    };
    let mut bytes = open.data_set(BASIC, "", &[]);
    for _ in 0..200_000 {
        bytes.extend(open.header(0x0040_a730, b"SQ", u32::MAX));
        bytes.extend(open.header(0xfffe_e000, b"  ", u32::MAX));
    }
    let error = read_report(&bytes).unwrap_err();
    assert!(
        matches!(&error, ReportError::File(ImageError::Malformed { .. })),
        "{error}"
    );
}

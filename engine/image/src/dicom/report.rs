//! The text of a structured report (PS3.3 A.35 and C.17): its content tree, walked from top to bottom.
//!
//! What is TEXT there is the report; the names of the CONTAINERs around it are its headings. What says who wrote it, of whom and how
//! (observation and acquisition context, concept modifiers) is no part of it. Measurements and codes are no sentences: they are left
//! out, and that is said.

use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use serde::{Deserialize, Serialize};

use super::attributes::items;
use super::element::texts;
use super::{structure, syntax};
use crate::error::ReportError;
use crate::guard::guarded;

/// Storage classes of structured documents begin with it.
const DOCUMENTS: &str = "1.2.840.10008.5.1.4.1.1.88.";
/// Those that hold written reports: Basic Text, Enhanced, Comprehensive, Comprehensive 3D and Extensible SR.
const WRITTEN: [&str; 5] = ["11", "22", "33", "34", "35"];
/// How an item stands to the one around it where it is no part of what is said.
const CONTEXT: [&str; 3] = ["HAS OBS CONTEXT", "HAS ACQ CONTEXT", "HAS CONCEPT MOD"];

/// The text of a structured report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportText {
    /// The text, each section under its heading.
    pub text: String,
    /// What the reader should know of it, in clauses: "1 measurement or code was left out".
    pub notes: Vec<String>,
}

/// Whether a file is a structured report, read here or not; a part of it is looked at.
pub fn is_report(bytes: &[u8]) -> bool {
    structure::looks_like_dicom(bytes)
        && structure::class_uid(bytes).is_some_and(|class| class.starts_with(DOCUMENTS))
}

/// Reads the text of a structured report.
///
/// # Errors
/// When the bytes are no DICOM, cut short or damaged, no report, or a report without text that can be read.
pub fn read_report(bytes: &[u8]) -> Result<ReportText, ReportError> {
    if !structure::looks_like_dicom(bytes) {
        return Err(ReportError::NotDicom);
    }
    let (meta, data_set, seen) = structure::open(bytes)?;
    let found = structure::scan_for(&data_set, seen, |tag| {
        matches!(tag, 0x0008_0005 | 0x0008_0016 | 0x0040_a730 | 0x0400_0500)
    })?;
    let attributes = guarded("DICOM", || syntax::parse(&found.attributes))?;
    let class = match meta.class_uid.filter(|class| !class.is_empty()) {
        Some(class) => class,
        None => attributes.text(tags::SOP_CLASS_UID),
    };
    match class.strip_prefix(DOCUMENTS) {
        Some(kind) if WRITTEN.contains(&kind) => {}
        Some(_) => return Err(ReportError::OtherDocument),
        None if found.pixels.is_some() => return Err(ReportError::NoReport("it is an image")),
        None => return Err(ReportError::NoReport("it is another object")),
    }
    let mut told = Told::default();
    told.children(&attributes.0, None);
    let mut text = told.text.trim().to_owned();
    let declared = texts(&attributes.0, tags::SPECIFIC_CHARACTER_SET).unwrap_or_default();
    let undeclared = declared.iter().all(String::is_empty) && !text.is_ascii();
    let meant = utf8_of(&text).filter(|_| undeclared);
    let read_as = if meant.is_some() { "UTF-8" } else { "Latin-1" };
    text = meant.unwrap_or(text);
    let encrypted = attributes.0.get(tags::ENCRYPTED_ATTRIBUTES_SEQUENCE).is_some();
    if text.is_empty() {
        return Err(match (encrypted, told.left_out) {
            (true, _) => ReportError::Encrypted,
            (false, 0) => ReportError::NoText("it is empty"),
            (false, _) => ReportError::NoText("it is made of measurements and codes alone"),
        });
    }
    let mut notes = Vec::new();
    if told.left_out > 0 {
        notes.push(match told.left_out {
            1 => "1 measurement or code was left out".to_owned(),
            n => format!("{n} measurements and codes were left out"),
        });
    }
    if encrypted {
        notes.push("a part of it is encrypted and was left out".to_owned());
    }
    if found.left_out > 0 {
        notes.push("a part of it is damaged and was left out".to_owned());
    }
    if undeclared {
        notes.push(format!(
            "it declares no character set for its letters, which were read as {read_as}"
        ));
    }
    if has_foreign(&text) {
        notes.push("some letters are not of the character set that it declares".to_owned());
    }
    Ok(ReportText { text, notes })
}

/// What bytes that were read as Latin-1, which is what the parser takes where nothing is declared, are in UTF-8; nothing where they are not.
fn utf8_of(text: &str) -> Option<String> {
    let byte = |letter: char| u8::try_from(u32::from(letter)).ok();
    let bytes: Option<Vec<u8>> = text.chars().map(byte).collect();
    String::from_utf8(bytes?).ok()
}

/// Whether there are bytes that stand for no letter: the parser writes them as a backslash and three octal digits; or the marks of a
/// change between character sets, which it does not follow.
fn has_foreign(text: &str) -> bool {
    let octal = |b: &u8| (b'0'..=b'7').contains(b);
    let bytes = text.as_bytes();
    bytes.contains(&0x1b)
        || bytes
            .windows(4)
            .any(|w| w[0] == b'\\' && w[1..].iter().all(octal))
}

/// What is found on the way through the tree.
#[derive(Default)]
struct Told {
    text: String,
    heading: String,
    left_out: usize,
}

impl Told {
    /// All that an item holds. The tree is as deep as sequences may be, see [`crate::limits`].
    fn children(&mut self, item: &InMemDicomObject, heading: Option<&str>) {
        for child in items(item, tags::CONTENT_SEQUENCE) {
            let word = |tag| first(child, tag).unwrap_or_default().to_ascii_uppercase();
            if CONTEXT.contains(&word(tags::RELATIONSHIP_TYPE).as_str()) {
                continue;
            }
            let name = items(child, tags::CONCEPT_NAME_CODE_SEQUENCE)
                .first()
                .and_then(|code| first(code, tags::CODE_MEANING));
            let name = name.as_deref();
            match word(tags::VALUE_TYPE).as_str() {
                "CONTAINER" => self.children(child, name.or(heading)),
                "TEXT" => {
                    self.put(heading.or(name).unwrap_or_default(), child);
                    self.children(child, heading);
                }
                kind => {
                    self.left_out += usize::from(matches!(kind, "NUM" | "CODE"));
                    self.children(child, heading);
                }
            }
        }
    }

    /// Writes a text under its heading, which is not repeated: neither for the next text of a section, nor where a text has it itself.
    fn put(&mut self, heading: &str, item: &InMemDicomObject) {
        let value = item.get(tags::TEXT_VALUE).and_then(|e| e.to_str().ok());
        let value = value
            .unwrap_or_default()
            .replace("\r\n", "\n")
            .replace('\r', "\n");
        let value = value.trim_matches(|c: char| c == '\0' || c.is_whitespace());
        if value.is_empty() {
            return;
        }
        if heading == self.heading {
            self.text.push('\n');
        } else {
            heading.clone_into(&mut self.heading);
            self.text.push_str("\n\n");
            let begins = value.get(..heading.len());
            if !heading.is_empty() && !begins.is_some_and(|own| own.eq_ignore_ascii_case(heading)) {
                self.text.push_str(heading);
                self.text.push_str(":\n");
            }
        }
        self.text.push_str(value);
    }
}

/// The first value of an element as text; nothing where it is absent or empty.
fn first(item: &InMemDicomObject, tag: dicom_core::Tag) -> Option<String> {
    texts(item, tag)?
        .into_iter()
        .next()
        .filter(|text| !text.is_empty())
}

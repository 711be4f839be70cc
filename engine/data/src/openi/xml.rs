//! One report of the published XML: sections of the abstract by label, the headings, and the pictures' names.

use std::path::Path;

use roxmltree::{Document, Node};

use super::entry::{Entry, headings};
use crate::collect::is_file_name;
use crate::error::DataError;

/// Reads a report. `at` names the member where `path` is an archive, else it is empty.
///
/// # Errors
/// When it is no well-formed XML, no `eCitation`, or lacks its identifier; a document type declaration is
/// refused by the parser.
pub(super) fn read(path: &Path, at: &str, text: &str) -> Result<Entry, DataError> {
    let wrong = |line: u32, what: String| {
        let place = if at.is_empty() {
            format!("line {line}")
        } else {
            format!("{at}, line {line}")
        };
        DataError::Row {
            path: path.to_owned(),
            at: place,
            what,
        }
    };
    let document = Document::parse(text.trim_start_matches('\u{feff}'))
        .map_err(|e| wrong(e.pos().row, format!("it is no well-formed XML ({e})")))?;
    let root = document.root_element();
    if root.tag_name().name() != "eCitation" {
        return Err(wrong(
            1,
            format!(
                "it is a {:?}, not the eCitation of a report",
                root.tag_name().name()
            ),
        ));
    }
    let named = |name: &'static str| root.descendants().filter(move |n| n.has_tag_name(name));
    let uid = named("uId").find_map(|n| n.attribute("id"));
    let uid = uid
        .ok_or_else(|| wrong(1, "it has no uId with an id".into()))?
        .trim()
        .to_owned();
    if !is_file_name(&uid) {
        return Err(wrong(1, format!("{uid:?} is no identifier")));
    }
    let section = |label: &str| -> String {
        let parts = named("AbstractText").filter(|n| n.attribute("Label").is_some_and(|l| l.trim() == label));
        join(&parts.map(text_of).collect::<Vec<_>>().join(" "))
    };
    let mut images = Vec::new();
    for node in named("parentImage") {
        let line = document.text_pos_at(node.range().start).row;
        let id = node.attribute("id").unwrap_or_default().trim();
        if !is_file_name(id) {
            return Err(wrong(line, format!("{id:?} is no name of a picture")));
        }
        images.push((id.to_owned(), String::new()));
    }
    let given = named("MeSH")
        .flat_map(|n| n.children())
        .filter(|n| n.has_tag_name("major") || n.has_tag_name("automatic"));
    Ok(Entry {
        mesh: headings(given.map(text_of)),
        findings: section("FINDINGS"),
        impression: section("IMPRESSION"),
        images,
        classes: None,
        uid,
    })
}

/// The text of an element and of all within it.
fn text_of(node: Node<'_, '_>) -> String {
    node.descendants()
        .filter(Node::is_text)
        .filter_map(|n| n.text())
        .collect()
}

/// Wrapped lines and runs of spaces become single spaces.
pub(super) fn join(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Entry, DataError> {
        read(Path::new("7.xml"), "", text)
    }

    #[test]
    fn entities_sections_and_nesting_are_read() {
        let entry = parse(
            "\u{feff}<?xml version='1.0' encoding='utf-8'?>\n<!-- a --><eCitation><uId id=' CXR7 '/><x><Abstract>\
             <AbstractText Label=\"INDICATION\">Cough</AbstractText>\
             <AbstractText Label='FINDINGS'>Size &lt;1 cm &amp; clear,\n  <b>no</b> <![CDATA[<effusion>]]> &#176;.</AbstractText>\
             <AbstractText Label='IMPRESSION'/></Abstract></x><MeSH>\n<major>Aorta, Thoracic/tortuous</major>\
             <automatic> pleural\n thickening </automatic><automatic/><major>Aorta, Thoracic/tortuous</major></MeSH>\
             <parentImage id='CXR7_1'><caption>PA</caption></parentImage><parentImage id='CXR7_2'/></eCitation>",
        )
        .unwrap();
        assert_eq!(entry.uid, "CXR7");
        assert_eq!(entry.findings, "Size <1 cm & clear, no <effusion> °.");
        assert_eq!(entry.impression, "");
        assert_eq!(entry.mesh, ["Aorta, Thoracic/tortuous", "pleural thickening"]);
        assert_eq!(
            entry.images.iter().map(|i| i.0.as_str()).collect::<Vec<_>>(),
            ["CXR7_1", "CXR7_2"]
        );
    }

    #[test]
    fn damaged_files_say_where() {
        for (text, part) in [
            ("<eCitation>\n<uId id='1'/>\n<a></c>", "line 3"),
            ("<eCitation>\n<uId id='1'/>\n<a>", "never closed"),
            ("<eCitation>\n<uId id='1'></b></eCitation>", "line 2"),
            ("<report/>", "eCitation"),
            ("<eCitation/>", "uId"),
            ("<eCitation><uId id='../1'/></eCitation>", "../1"),
            ("<eCitation><uId id='1'/>\n<parentImage/></eCitation>", "line 2"),
            (
                "<!DOCTYPE a [<!ENTITY b \"bb\">]><eCitation><uId id='1'/></eCitation>",
                "XML",
            ),
            ("", "XML"),
            ("<eCitation>&bomb;</eCitation>", "XML"),
        ] {
            let message = parse(text).err().unwrap().to_string();
            assert!(message.contains("7.xml") && message.contains(part), "{message}");
        }
        let deep = "<a>".repeat(100_000);
        assert!(parse(&deep).is_err());
        let inside = read(Path::new("a.tgz"), "x/7.xml", "<a>")
            .err()
            .unwrap()
            .to_string();
        assert!(inside.contains("a.tgz, x/7.xml, line 1"), "{inside}");
    }
}

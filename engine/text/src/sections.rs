//! The sections of a radiology report, read from free text with or without headings.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The two sections of a report that describe the radiograph.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What is seen.
    pub findings: String,
    /// What it means.
    pub impression: String,
}

/// Which of its sections are a report to a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sections {
    /// The longer of findings and impression, as MedViLL takes it.
    #[default]
    Longer,
    /// Findings, then impression, as Clinical-BERT takes IU X-Ray's.
    Joined,
}

/// Where the text under a heading goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    /// Before the first heading.
    Untitled,
    Findings,
    Impression,
    /// Indication, technique, comparison and the like: not about what the radiograph shows.
    Other,
}

/// Headings in lower case, a longer one before its own ending.
const HEADINGS: &[(&str, Section)] = &[
    ("findings and impressions", Section::Findings),
    ("findings and impression", Section::Findings),
    ("findings & impression", Section::Findings),
    ("findings/impression", Section::Findings),
    ("findings / impression", Section::Findings),
    ("impression and findings", Section::Findings),
    ("impression/findings", Section::Findings),
    ("chest findings", Section::Findings),
    ("radiographic findings", Section::Findings),
    ("findings", Section::Findings),
    ("finding", Section::Findings),
    ("observations", Section::Findings),
    ("interpretation", Section::Findings),
    ("report text", Section::Findings),
    ("impression and recommendation", Section::Impression),
    ("impression and recommendations", Section::Impression),
    ("impression/recommendation", Section::Impression),
    ("final impression", Section::Impression),
    ("impressions", Section::Impression),
    ("impression", Section::Impression),
    ("conclusions", Section::Impression),
    ("conclusion", Section::Impression),
    ("opinion", Section::Impression),
    ("summary", Section::Impression),
    ("final report", Section::Other),
    ("wet read", Section::Other),
    ("type of examination", Section::Other),
    ("type of exam", Section::Other),
    ("reason for this examination", Section::Other),
    ("reason for examination", Section::Other),
    ("reason for exam", Section::Other),
    ("reason for study", Section::Other),
    ("underlying medical condition", Section::Other),
    ("examination", Section::Other),
    ("exam", Section::Other),
    ("study", Section::Other),
    ("procedure", Section::Other),
    ("clinical indication", Section::Other),
    ("clinical information", Section::Other),
    ("clinical history", Section::Other),
    ("clinical details", Section::Other),
    ("clinical data", Section::Other),
    ("indications", Section::Other),
    ("indication", Section::Other),
    ("patient history", Section::Other),
    ("history", Section::Other),
    ("technique", Section::Other),
    ("comparison exams", Section::Other),
    ("comparison studies", Section::Other),
    ("comparison study", Section::Other),
    ("comparison", Section::Other),
    ("comparisons", Section::Other),
    ("notification", Section::Other),
    ("notifications", Section::Other),
    ("recommendations", Section::Other),
    ("recommendation", Section::Other),
    ("dictated by", Section::Other),
];

impl Report {
    /// Reads a report. Headings may be in any case, at the start of a line (with a colon, or alone on the
    /// line) or, when capitalised and with a colon, inside one. Lines that were wrapped are joined and runs
    /// of spaces become one.
    ///
    /// "Findings and impression" is findings. Without a heading of findings, what stands before the first
    /// heading and the paragraphs after the first under the last other heading are findings. With neither
    /// heading and no such paragraphs, nothing tells what is what, and the whole text is findings.
    pub fn parse(text: &str) -> Self {
        Self::parse_by(text, join)
    }

    /// As [`parse`](Self::parse), but lines stay lines: for who reads lists whose items end with their line.
    pub fn parse_lines(text: &str) -> Self {
        Self::parse_by(text, |text| text.trim().to_string())
    }

    /// Reads a report whose parts go through `join`.
    fn parse_by(text: &str, join: fn(&str) -> String) -> Self {
        let parts = split(text);
        let gather = |wanted: Section| -> String {
            let bodies: Vec<String> = parts
                .iter()
                .filter(|p| p.section == wanted)
                .map(|p| join(p.body))
                .collect();
            join(&bodies.join("\n\n"))
        };
        let mut report = Self {
            findings: gather(Section::Findings),
            impression: gather(Section::Impression),
        };
        if report.findings.is_empty() {
            let before = gather(Section::Untitled);
            let other = parts.iter().rev().find(|p| p.section == Section::Other);
            let after = join(paragraphs(other.map_or("", |p| p.body)));
            report.findings = match (report.impression.is_empty(), after.is_empty()) {
                (true, true) => join(text),
                _ => join(&[before, after].join("\n\n")),
            };
        }
        report
    }

    /// What a model reads of it.
    pub fn text(&self, sections: Sections) -> Cow<'_, str> {
        match sections {
            Sections::Longer => Cow::Borrowed(self.longer()),
            Sections::Joined => match (self.findings.is_empty(), self.impression.is_empty()) {
                (false, false) => Cow::Owned(format!("{} {}", self.findings, self.impression)),
                (true, _) => Cow::Borrowed(&self.impression),
                _ => Cow::Borrowed(&self.findings),
            },
        }
    }

    /// The longer of the two, which MedViLL takes as the report (findings when they are equally long).
    pub fn longer(&self) -> &str {
        if self.impression.len() > self.findings.len() {
            &self.impression
        } else {
            &self.findings
        }
    }
}

/// What of a report describes the radiograph: the bodies of its parts that [`Report::parse`] reads, in no order.
fn bodies_read<'t>(parts: &[Part<'t>]) -> Vec<&'t str> {
    let of = |wanted: Section| {
        let parts = parts.iter().filter(move |p| p.section == wanted && !p.is_empty());
        parts.map(|p| p.body)
    };
    let mut bodies: Vec<&str> = of(Section::Findings).collect();
    if bodies.is_empty() {
        bodies.extend(of(Section::Untitled));
        let other = parts.iter().rev().find(|p| p.section == Section::Other);
        let after = other.map(|p| paragraphs(p.body));
        bodies.extend(after.filter(|body| !body.trim().is_empty()));
    }
    bodies.extend(of(Section::Impression));
    bodies
}

/// Where a part of a text begins in it, in bytes.
fn place(text: &str, part: &str) -> usize {
    part.as_ptr().addr() - text.as_ptr().addr()
}

/// The parts of a report that [`described`] blanks, by their headings; what stands before the first heading is "". A part that is blanked
/// in half is among them.
pub fn undescribed(text: &str) -> Vec<&str> {
    let parts = split(text);
    let read = bodies_read(&parts);
    if read.is_empty() {
        return Vec::new();
    }
    let whole = |part: &Part<'_>| {
        read.iter()
            .any(|body| place(text, body) == place(text, part.body))
    };
    let left_out = parts.iter().filter(|part| !part.is_empty() && !whole(part));
    let ends = |c: char| matches!(c, ':' | '*' | '#' | '-' | '_') || c.is_whitespace();
    left_out.map(|part| part.heading.trim_matches(ends)).collect()
}

/// What of a report describes the radiograph, each letter in its place: headings, and what stands under those of history, technique and
/// the like, are blanks. It is what [`Report::parse`] finds.
pub fn described(text: &str) -> Cow<'_, str> {
    let parts = split(text);
    let mut bodies = bodies_read(&parts);
    if bodies.is_empty() || bodies == [text] {
        return Cow::Borrowed(text);
    }
    bodies.sort_by_key(|body| place(text, body));
    let mut out = String::with_capacity(text.len());
    let blank = |out: &mut String, left_out: &str| {
        for letter in left_out.chars() {
            match letter {
                '\n' => out.push('\n'),
                _ => out.extend(std::iter::repeat_n(' ', letter.len_utf8())),
            }
        }
    };
    for body in bodies {
        let left_out = &text[out.len()..place(text, body)];
        blank(&mut out, left_out);
        out.push_str(body);
    }
    let left_out = &text[out.len()..];
    blank(&mut out, left_out);
    Cow::Owned(out)
}

/// Whether a heading, without its colon, is that of a section, and if so whether the section tells of the radiograph.
pub(crate) fn tells_of_radiograph(heading: &str) -> Option<bool> {
    let heading = heading.trim().to_ascii_lowercase();
    let (_, section) = HEADINGS.iter().find(|h| h.0 == heading)?;
    Some(*section != Section::Other)
}

/// The paragraphs after the first of a section. "COMPARISON: none.<blank line>The heart is ...": what follows
/// the heading's own paragraph belongs to nobody else.
fn paragraphs(body: &str) -> &str {
    let body = body.trim_start();
    let mut at = 0;
    for line in body.split_inclusive('\n') {
        if line.trim().is_empty() {
            return &body[at..];
        }
        at += line.len();
    }
    ""
}

/// What stands under a heading; before the first one, under none.
struct Part<'t> {
    heading: &'t str,
    section: Section,
    body: &'t str,
}

impl Part<'_> {
    fn is_empty(&self) -> bool {
        self.body.trim().is_empty()
    }
}

/// Cuts a text at its headings.
fn split(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut heading, mut section, mut body) = ("", Section::Untitled, 0);
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let mut from = 0;
        while let Some((start, end, next)) = next_heading(line, from) {
            parts.push(Part {
                heading,
                section,
                body: &text[body..at + start],
            });
            (heading, section, body) = (&line[start..end], next, at + end);
            from = end;
        }
        at += line.len();
    }
    parts.push(Part {
        heading,
        section,
        body: &text[body..],
    });
    parts
}

/// The next heading of a line from byte `from`: where it begins, where its text begins, and its section.
fn next_heading(line: &str, from: usize) -> Option<(usize, usize, Section)> {
    let lower = line.to_ascii_lowercase();
    let indent = line.len() - line.trim_start().len();
    if from == 0 {
        let alone = lower
            .trim()
            .trim_matches(|c: char| matches!(c, ':' | '*' | '#' | '-' | '_'))
            .trim();
        if let Some((_, section)) = HEADINGS.iter().find(|h| h.0 == alone) {
            return Some((indent, line.len(), *section));
        }
    }
    let mut search = from;
    while let Some(found) = lower[search..].find(':') {
        let colon = search + found;
        let before = lower[from..colon].trim_end().trim_end_matches("**").trim_end();
        let before = before.strip_suffix("(s)").unwrap_or(before);
        for (words, section) in HEADINGS {
            let Some(rest) = before.strip_suffix(words) else {
                continue;
            };
            let start = from + rest.len();
            let first = start == indent || rest.trim().trim_matches(['*', '#']).is_empty();
            let apart = rest.is_empty() || rest.ends_with(|c: char| !c.is_alphanumeric());
            let capital = line[start..].starts_with(|c: char| c.is_uppercase());
            if apart && (first || capital) {
                let mut end = colon + 1;
                if line[end..].starts_with("**") {
                    end += 2;
                }
                return Some((if first { from } else { start }, end, *section));
            }
        }
        search = colon + 1;
    }
    None
}

/// One line of a text: wrapped lines and runs of spaces become single spaces.
fn join(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_in_any_case_and_wrapped_lines() {
        let text = "                                 FINAL REPORT\n EXAMINATION:  CHEST (PA AND LAT)\n\n INDICATION:  Cough,\n fever.\n\n \
                    Findings:\n\n The heart is\n normal.  Lungs: clear.\n\n impression: No acute\n process.\n\n NOTIFICATION: none\n";
        let report = Report::parse(text);
        assert_eq!(report.findings, "The heart is normal. Lungs: clear.");
        assert_eq!(report.impression, "No acute process.");
        assert_eq!(report.longer(), report.findings);
        assert_eq!(report.text(Sections::Longer), report.findings);
        let joined = report.text(Sections::Joined);
        assert_eq!(joined, format!("{} {}", report.findings, report.impression));
    }

    #[test]
    fn headings_alone_on_their_line_and_inside_one() {
        let report =
            Report::parse("FINDINGS\nSmall effusion.\nIMPRESSION\nEffusion, small, on the right side.");
        assert_eq!(report.findings, "Small effusion.");
        assert_eq!(report.longer(), "Effusion, small, on the right side.");
        let line = Report::parse("Indication: cough. Findings: Clear lungs. IMPRESSION: Normal.");
        assert_eq!(
            line,
            Report {
                findings: "Clear lungs.".into(),
                impression: "Normal.".into()
            }
        );
        let marked = Report::parse("**Findings:** Clear lungs.\n**Impression:** Normal.");
        assert_eq!(
            marked,
            Report {
                findings: "Clear lungs.".into(),
                impression: "Normal.".into()
            }
        );
    }

    #[test]
    fn findings_and_impression_are_findings() {
        let report = Report::parse("TECHNIQUE: AP.\nFINDINGS AND IMPRESSION: Clear lungs.");
        assert_eq!(
            report,
            Report {
                findings: "Clear lungs.".into(),
                impression: String::new()
            }
        );
    }

    #[test]
    fn without_headings_the_text_is_findings() {
        assert_eq!(
            Report::parse("Clear lungs.\nNo effusion.").findings,
            "Clear lungs. No effusion."
        );
        let paragraphs = Report::parse(
            "HISTORY: cough\n\nCOMPARISON: none\n\nThe heart is large.\n\nImpression: Large heart.",
        );
        assert_eq!(paragraphs.findings, "The heart is large.");
        assert_eq!(paragraphs.impression, "Large heart.");
        let lists = Report::parse_lines("Findings:\n- clear lungs\n- no mass\nIMPRESSION:\n\nNormal\n");
        assert_eq!(
            lists,
            Report {
                findings: "- clear lungs\n- no mass".into(),
                impression: "Normal".into()
            }
        );
        assert_eq!(Report::parse("INDICATION: cough").findings, "INDICATION: cough");
        let line = "Two views. Comparison: none. The heart is large.";
        assert_eq!(Report::parse(line).findings, line);
        assert_eq!(Report::parse(""), Report::default());
    }

    #[test]
    fn what_describes_the_radiograph_stays_in_its_place() {
        let texts = [
            "HISTORY: Größe, cough\n\nFindings:\nClear – lungs.\n\nIMPRESSION: Normal.\nNOTIFICATION: none",
            "HISTORY: cough\n\nCOMPARISON: none\n\nThe heart is large.\n\nImpression: Large heart.",
            "Two views. Findings: Clear lungs. IMPRESSION: Normal. Findings: Also clear.",
            "Impression: Normal.",
            "INDICATION: cough",
            "Clear lungs.",
            "Findings:\nImpression:",
            "",
        ];
        for text in texts {
            let described = described(text);
            assert_eq!(described.len(), text.len());
            let same = text.char_indices().all(|(at, letter)| {
                let kept = described[at..].starts_with(letter);
                kept || described[at..].starts_with(' ')
            });
            assert!(same, "{described}");
            let Report { findings, impression } = Report::parse(text);
            let mut words: Vec<&str> = findings
                .split_whitespace()
                .chain(impression.split_whitespace())
                .collect();
            let mut own: Vec<&str> = described.split_whitespace().collect();
            words.sort_unstable();
            own.sort_unstable();
            assert_eq!(own, words, "{text}");
        }
    }

    #[test]
    fn what_is_left_out_is_named() {
        for (text, names) in [
            (
                "HISTORY: cough\n\n**Technique:** PA.\nFindings:\nClear.\n\nNOTIFICATION: none",
                &["HISTORY", "Technique", "NOTIFICATION"][..],
            ),
            ("Two views. Findings: Clear lungs.", &[""]),
            (
                "HISTORY: cough\n\nCOMPARISON: none\n\nThe heart is large.",
                &["HISTORY", "COMPARISON"],
            ),
            ("COMPARISON:\nFINDINGS: Clear.", &[]),
            ("INDICATION: cough", &[]),
            ("Clear lungs.", &[]),
        ] {
            assert_eq!(undescribed(text), names, "{text}");
        }
    }

    #[test]
    fn words_that_only_look_like_headings_stay() {
        let text = "Other findings: none of the history: matters. Größe: 3 cm.";
        assert_eq!(Report::parse(text).findings, text);
    }
}

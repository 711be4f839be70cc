//! Many reports at once, from and to CSV in the form of CheXpert's labeler.

use std::io::{Read, Write};

use super::Labeler;
use crate::{Certainty, Finding, TextError};

/// Names of a column of reports, in lower case; CheXpert's labeler and CheXpert's own files first.
const COLUMNS: [&str; 6] = [
    "report impression",
    "reports",
    "report",
    "report_text",
    "text",
    "findings",
];

/// What [`Labeler::label_csv`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labelled {
    /// How many reports were read.
    pub reports: usize,
    /// The column they were in; `None` where the file has one column and no header.
    pub column: Option<String>,
}

/// How CheXpert's CSV writes what is said of a category.
const fn cell(label: Option<Certainty>) -> &'static str {
    match label {
        Some(Certainty::Positive) => "1.0",
        Some(Certainty::Negative) => "0.0",
        Some(Certainty::Uncertain) => "-1.0",
        None => "",
    }
}

impl Labeler {
    /// Labels every row of a CSV. The reports are in the column "Report Impression", "Reports" or "report"
    /// (in any case), else in the first; a file of one column needs no header. Writes the column Reports and
    /// CheXpert's 14 in the order of its paper: 1.0 present, 0.0 absent, -1.0 uncertain, blank when nothing
    /// is said.
    ///
    /// # Errors
    /// [`TextError::Csv`] when the input is not CSV in UTF-8 or the output cannot be written,
    /// [`TextError::NoReports`] when there is no row.
    pub fn label_csv(&self, input: impl Read, output: impl Write) -> Result<Labelled, TextError> {
        let mut rows = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(input);
        let mut out = csv::Writer::from_writer(output);
        out.write_record(std::iter::once("Reports").chain(Finding::ALL.map(Finding::name)))?;
        let mut row = csv::StringRecord::new();
        if !rows.read_record(&mut row)? {
            return Err(TextError::NoReports);
        }
        let plain = |name: &str| name.trim_start_matches('\u{feff}').trim().to_lowercase();
        let named = COLUMNS
            .iter()
            .find_map(|wanted| row.iter().position(|name| plain(name) == *wanted));
        let header = named.is_some() || row.len() > 1;
        let column = named.unwrap_or(0);
        let name = header.then(|| {
            row.get(column)
                .unwrap_or_default()
                .trim_start_matches('\u{feff}')
                .to_string()
        });
        let mut reports = 0;
        let mut more = if header { rows.read_record(&mut row)? } else { true };
        while more {
            let text = row.get(column).unwrap_or_default();
            let labels = self.read_report(text).labels;
            out.write_record(std::iter::once(text).chain(labels.map(cell)))?;
            reports += 1;
            more = rows.read_record(&mut row)?;
        }
        out.flush().map_err(csv::Error::from)?;
        if reports == 0 {
            Err(TextError::NoReports)
        } else {
            Ok(Labelled {
                reports,
                column: name,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn label(input: &str) -> (Labelled, Vec<String>) {
        let mut out = Vec::new();
        let done = Labeler::new().label_csv(input.as_bytes(), &mut out).unwrap();
        (
            done,
            String::from_utf8(out)
                .unwrap()
                .lines()
                .map(str::to_string)
                .collect(),
        )
    }

    #[test]
    fn one_column_without_a_header() {
        let (done, lines) = label("\"Right effusion, no pneumothorax.\"\n\"Possible pneumonia.\"\n");
        assert_eq!(
            done,
            Labelled {
                reports: 2,
                column: None
            }
        );
        assert!(
            lines[0].starts_with("Reports,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Lesion")
        );
        assert!(lines[0].ends_with("Pleural Other,Fracture,Support Devices"));
        assert_eq!(
            lines[1],
            "\"Right effusion, no pneumothorax.\",,,,,,,,,,0.0,1.0,,,"
        );
        assert_eq!(lines[2], "Possible pneumonia.,,,,,,,,-1.0,,,,,,");
    }

    #[test]
    fn a_named_column_among_others() {
        let (done, lines) = label("id,Report Impression\n1,Clear lungs.\n2,\n");
        assert_eq!(
            done,
            Labelled {
                reports: 2,
                column: Some("Report Impression".into())
            }
        );
        assert_eq!(lines[1], "Clear lungs.,1.0,,,,,,,,,,,,,");
        assert_eq!(lines[2], ",,,,,,,,,,,,,,");
        assert_eq!(label("\u{feff}reports\nEdema.\n").0.reports, 1);
    }

    #[test]
    fn lines_of_a_list_are_items() {
        let input =
            "reports\n\"Edema: No\nFracture: Yes\"\n\"* no mass\n* edema\"\n\"No edema\nRib fracture\"\n";
        let (done, lines) = label(input);
        assert_eq!(done.reports, 3);
        assert!(
            lines.iter().any(|l| l == "Fracture: Yes\",,,,,,0.0,,,,,,,1.0,"),
            "{lines:?}"
        );
        assert!(
            lines.iter().any(|l| l == "* edema\",,,,0.0,,1.0,,,,,,,,"),
            "{lines:?}"
        );
        assert!(
            lines.iter().any(|l| l == "Rib fracture\",,,,,,0.0,,,,,,,1.0,"),
            "{lines:?}"
        );
    }

    #[test]
    fn nothing_to_read_is_an_error() {
        let labeler = Labeler::new();
        for input in ["", "Reports\n", "id,report\n"] {
            assert!(matches!(
                labeler.label_csv(input.as_bytes(), Vec::new()),
                Err(TextError::NoReports)
            ));
        }
        assert!(matches!(
            labeler.label_csv(&b"a\n\xff\n"[..], Vec::new()),
            Err(TextError::Csv(_))
        ));
    }
}

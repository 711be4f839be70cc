//! A user's table of reports: the separator, whether there is a header, and which columns hold the text, told
//! by the names where they are known and else by what stands in the cells. A column of identifiers or of
//! file names is never taken for reports.

use std::path::Path;

use super::delimited::{Quotes, SEPARATORS, named_separator, read_words};
use super::error::DataError;
use super::kind::Kind;

/// Names of a column that holds whole reports, in lower case; CheXpert's labeler and CheXpert's own files
/// first.
const WHOLE: [&str; 18] = [
    "report impression",
    "reports",
    "report",
    "report_text",
    "report text",
    "reporttext",
    "full_report",
    "full report",
    "radiology report",
    "radiology_report",
    "report_body",
    "report_content",
    "text",
    "narrative",
    "befund",
    "informe",
    "compte rendu",
    "referto",
];

/// Names of the two sections of a report, findings before the impression.
const SECTIONS: [&[&str]; 2] = [
    &["findings", "report findings", "findings_text", "section_findings"],
    &[
        "impression",
        "impressions",
        "conclusion",
        "conclusions",
        "impression_text",
        "section_impression",
    ],
];

/// Names that are read where none of the others is there: beside a report they are something else.
const WEAK: [&str; 4] = ["note_text", "clinical_notes", "notes", "note"];

/// What MIMIC-CXR's table of sections keeps of a report that has neither.
const LAST: &str = "last_paragraph";

/// Words of the names of columns that never hold reports, whatever stands in them.
const NEVER: [&str; 18] = [
    "id",
    "dicom",
    "path",
    "file",
    "filename",
    "date",
    "time",
    "age",
    "sex",
    "gender",
    "split",
    "url",
    "label",
    "labels",
    "author",
    "accession",
    "birth",
    "name",
];

/// Words of the names of columns that do, although they may tell what of.
const REPORT: [&str; 9] = [
    "report",
    "reports",
    "findings",
    "impression",
    "text",
    "note",
    "notes",
    "narrative",
    "conclusion",
];

/// Words of the names of columns that are about a report and not one.
const ABOUT: [&str; 14] = [
    "study",
    "subject",
    "patient",
    "image",
    "view",
    "position",
    "comparison",
    "indication",
    "history",
    "technique",
    "examination",
    "exam",
    "procedure",
    "modality",
];

/// How many rows are looked at to tell what a table is.
const LOOK: usize = 200;

/// Reports in the order of their rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reports {
    /// Their texts; blank where the row has none.
    pub texts: Vec<String>,
    /// The names of the columns they were read from; none where the file has no header.
    pub columns: Vec<String>,
    /// Sentences on what a user may not expect.
    pub notes: Vec<String>,
}

/// How a table is read.
struct Form {
    separator: u8,
    header: bool,
    /// The columns whose text is joined: one, or findings and impression.
    columns: Vec<usize>,
    /// Read where those are blank.
    instead: Option<usize>,
}

/// Reads a table of reports: CSV with commas, semicolons, tabs or bars, in UTF-8 or UTF-16, plain or gzip. A
/// report is the column "Report Impression", "Reports", "report" or the like, else the columns findings and
/// impression together, else the one that reads like prose. A table of one column needs no header.
///
/// # Errors
/// A file that is no table, a quotation mark that is not closed, no column of reports, or no row.
pub fn read_reports(path: &Path) -> Result<Reports, DataError> {
    if let Some(kind @ (Kind::Json | Kind::Xml)) = Kind::of(path) {
        return Err(DataError::other(path, kind, "a table of reports"));
    }
    parse(path, &read_words(path)?.replace("\r\n", "\n"))
}

fn parse(path: &Path, text: &str) -> Result<Reports, DataError> {
    let first = text.split_inclusive('\n').next().unwrap_or_default();
    let named = named_separator(first.as_bytes());
    // Its line is left blank, so that the lines keep their numbers.
    let body = if named.is_some() {
        &text[first.trim_end().len()..]
    } else {
        text
    };
    if body.trim().is_empty() {
        return Err(DataError::NoReports(path.to_owned()));
    }
    let form = match named {
        Some(separator) => form(path, body, &[separator])?,
        None => form(path, body, &SEPARATORS)?,
    };
    let swallowed = |line| DataError::Quote {
        path: path.to_owned(),
        line,
    };
    let mut quotes = Quotes::new(form.separator);
    quotes
        .feed(body.as_bytes())
        .and_then(|()| quotes.end())
        .map_err(swallowed)?;

    let mut reports = Reports::default();
    let mut width = 0;
    let mut longer = 0;
    let mut row = csv::StringRecord::new();
    let mut rows = reader(body, form.separator);
    let mut begun = false;
    while rows.read_record(&mut row).map_err(DataError::csv(path))? {
        if !begun {
            begun = true;
            width = row.len();
            if form.header {
                reports.columns = form.columns.iter().map(|c| row[*c].trim().to_owned()).collect();
                continue;
            }
        }
        let line = row.position().map_or(0, csv::Position::line);
        if row.iter().any(|cell| holds_rows(cell, form.separator, width)) {
            return Err(swallowed(line));
        }
        longer += usize::from(row.iter().skip(width).any(|cell| !cell.trim().is_empty()));
        reports.texts.push(report(&row, &form, width));
    }
    if reports.texts.is_empty() {
        return Err(DataError::NoReports(path.to_owned()));
    }
    let unlike = |text: &String| text.is_empty() || is_code(text);
    if form.header && reports.texts.iter().any(|t| !t.is_empty()) && reports.texts.iter().all(unlike) {
        return Err(no_column(path, &reports.columns));
    }
    if longer > 0 {
        let of = char::from(form.separator);
        reports.notes.push(format!(
            "{longer} rows have more cells than the first; what follows a separator ({of:?}) without quotation marks was read as text where the report is the last column, else not at all"
        ));
    }
    Ok(reports)
}

fn reader(text: &str, separator: u8) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator)
        .from_reader(text.as_bytes())
}

/// The report of a row.
fn report(row: &csv::StringRecord, form: &Form, width: usize) -> String {
    let cell = |column: usize| row.get(column).unwrap_or_default();
    if let [column] = form.columns[..] {
        let mut text = cell(column).to_owned();
        // A separator inside a text that is not quoted: where the report comes last, all of it is the report.
        if column + 1 == width && row.iter().skip(width).any(|c| !c.trim().is_empty()) {
            for more in row.iter().skip(width) {
                text.push(char::from(form.separator));
                text += more;
            }
        }
        return text;
    }
    let [findings, impression] = [0, 1].map(|i| form.columns.get(i).map_or("", |c| cell(*c)));
    match (findings.trim().is_empty(), impression.trim().is_empty()) {
        (false, false) => format!("FINDINGS: {findings}\n\nIMPRESSION: {impression}"),
        (false, true) => findings.to_owned(),
        (true, false) => impression.to_owned(),
        (true, true) => form.instead.map_or("", cell).to_owned(),
    }
}

/// How a table is to be read with one of some separators.
fn form(path: &Path, text: &str, separators: &[u8]) -> Result<Form, DataError> {
    let looks: Vec<(u8, Vec<csv::StringRecord>)> = separators
        .iter()
        .map(|separator| {
            let rows = reader(text, *separator).into_records().take(LOOK);
            Ok((
                *separator,
                rows.collect::<Result<_, _>>().map_err(DataError::csv(path))?,
            ))
        })
        .collect::<Result<_, DataError>>()?;
    // By a name that is known: of several separators the one that finds the name among most columns.
    let known = looks
        .iter()
        .rev()
        .filter_map(|(separator, rows)| Some((rows.first()?.len(), by_name(*separator, rows.first()?)?)))
        .max_by_key(|(columns, _)| *columns);
    if let Some((_, form)) = known {
        return Ok(form);
    }
    let mut refused = None;
    for (separator, rows) in &looks {
        let Some(first) = rows
            .first()
            .filter(|first| first.len() > 1 && is_table(*separator, rows, text))
        else {
            continue;
        };
        // A row of texts is no row of names: names are no sentences, and none is an identifier.
        let header = !first
            .iter()
            .any(|cell| is_prose(cell) && (ends(cell) || first.iter().any(is_code)));
        let names: Vec<String> = first.iter().map(|name| name.trim().to_lowercase()).collect();
        let body = &rows[usize::from(header).min(rows.len())..];
        let prose = (0..first.len())
            .filter(|c| !header || !is_about(&names[*c]))
            .filter_map(|c| Some((words_of(body, c)?, c)))
            .max();
        match prose {
            Some((_, column)) => {
                return Ok(Form {
                    separator: *separator,
                    header,
                    columns: vec![column],
                    instead: None,
                });
            }
            None if body.is_empty() => return Err(DataError::NoReports(path.to_owned())),
            None => refused = refused.or(Some(no_column(path, &names))),
        }
    }
    match refused {
        Some(error) => Err(error),
        // One column, without a header: nothing separates.
        None => Ok(Form {
            separator: 0,
            header: false,
            columns: vec![0],
            instead: None,
        }),
    }
}

/// The form of a table whose header names what is known.
fn by_name(separator: u8, header: &csv::StringRecord) -> Option<Form> {
    let names: Vec<String> = header
        .iter()
        .map(|n| n.trim_matches(['\u{feff}', ' ', '\t']).to_lowercase())
        .collect();
    let place = |wanted: &str| names.iter().position(|name| name == wanted);
    let first = |wanted: &[&str]| wanted.iter().find_map(|name| place(name));
    let columns = match first(&WHOLE) {
        Some(column) => vec![column],
        None => SECTIONS.iter().filter_map(|names| first(names)).collect(),
    };
    let columns = match columns.is_empty() {
        true => first(&WEAK).into_iter().collect(),
        false => columns,
    };
    let form = Form {
        separator,
        header: true,
        instead: place(LAST).filter(|_| columns.len() > 1),
        columns,
    };
    (!form.columns.is_empty()).then_some(form)
}

/// Whether rows that a separator makes are those of a table: all as long as the first, and the separators not
/// those of sentences, which a space follows.
fn is_table(separator: u8, rows: &[csv::StringRecord], text: &str) -> bool {
    let width = rows.first().map_or(0, csv::StringRecord::len);
    let line = text.trim_start().lines().next().unwrap_or_default();
    let mark = char::from(separator);
    let spaced = line.matches(&format!("{mark} ")).count();
    let all = line.matches(mark).count();
    // The sample's last row may be cut short, by an open quotation mark for one.
    rows.iter()
        .take(rows.len().max(2) - 1)
        .all(|row| row.len() == width)
        && (all == 0 || 2 * spaced < all)
}

/// Words of a column that reads like prose; `None` of one that does not.
fn words_of(rows: &[csv::StringRecord], column: usize) -> Option<usize> {
    let cells = || {
        rows.iter()
            .filter_map(|row| row.get(column))
            .filter(|cell| !cell.trim().is_empty())
    };
    let prose = cells().filter(|cell| is_prose(cell)).count();
    (prose > 0 && 2 * prose >= cells().count())
        .then(|| cells().map(|cell| cell.split_whitespace().count()).sum())
}

/// Whether a cell reads like a sentence: three words, or fewer with a stop.
fn is_prose(cell: &str) -> bool {
    let words = cell
        .split_whitespace()
        .filter(|w| w.chars().filter(|c| c.is_alphabetic()).count() > 1)
        .count();
    words > 2 || (words > 0 && ends(cell) && !is_code(cell))
}

/// Whether a text ends in a stop.
fn ends(cell: &str) -> bool {
    cell.trim_end().ends_with('.')
}

/// Whether a cell is an identifier, a number or the name of a file.
fn is_code(cell: &str) -> bool {
    let cell = cell.trim();
    let code = |c: char| c.is_ascii_digit() || "/\\_".contains(c);
    !cell.contains(char::is_whitespace) && cell.contains(code)
}

/// Whether a column of this name holds something about a report rather than one.
fn is_about(name: &str) -> bool {
    let has = |words: &[&str]| {
        name.split(|c: char| !c.is_alphanumeric())
            .any(|word| words.contains(&word))
    };
    has(&NEVER) || (has(&ABOUT) && !has(&REPORT))
}

/// Whether a cell of several lines holds what are rows: each of its further lines begins with an identifier
/// and has the table's number of cells. Its first mark was not meant to close where it does.
fn holds_rows(cell: &str, separator: u8, width: usize) -> bool {
    let mark = char::from(separator);
    let is_row = |line: &str| {
        let mut cells = line.split(mark);
        cells.next().is_some_and(is_code)
            && cells.next().is_some_and(|next| !next.starts_with(' '))
            && line.split(mark).count() == width
    };
    let mut further = cell
        .lines()
        .skip(1)
        .filter(|line| !line.trim().is_empty())
        .peekable();
    width > 1 && further.peek().is_some() && further.all(is_row)
}

fn no_column(path: &Path, names: &[String]) -> DataError {
    let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    DataError::NoReportColumn {
        path: path.to_owned(),
        columns: names.join(", "),
    }
}

#[cfg(test)]
mod tests;

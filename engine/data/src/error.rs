//! What can go wrong with a data set on disk: one sentence each, with the file and what to do.

use std::path::{Path, PathBuf};

use crate::kind::Kind;
use crate::layout::{Layout, NoSuchLayout};
use crate::phantom::PhantomError;
use hilum_image::ImageError;

/// Why a data set could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file or folder could not be opened, read or written.
    #[error("cannot {action} {}: {source}; check that it exists and may be accessed", path.display())]
    Io {
        /// What was tried: "read", "write", "make the folder".
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A table is not well-formed CSV.
    #[error("{} is not a well-formed CSV table: {source}; fetch the file again", path.display())]
    Csv {
        /// Which table.
        path: PathBuf,
        /// Where and why.
        source: csv::Error,
    },
    /// A quotation mark swallows the rows after it.
    #[error("{}, line {line}: a quotation mark opens here and is not closed, so that it would swallow the rows after it; close it, or write one inside a text twice", path.display())]
    Quote {
        /// Which table.
        path: PathBuf,
        /// Its line, counted from 1.
        line: u64,
    },
    /// A text in another encoding.
    #[error("{}, line {line}: it is not UTF-8 (invalid utf-8 there), nor UTF-16 with its mark; save the file as UTF-8", path.display())]
    Encoding {
        /// Which file.
        path: PathBuf,
        /// The first line that is not, counted from 1.
        line: u64,
    },
    /// A file is something else than was asked for.
    #[error("{} is {kind}, not {wanted}; {}", path.display(), kind.remedy())]
    Other {
        /// Which file.
        path: PathBuf,
        /// What it is.
        kind: Kind,
        /// What was asked for: "text", "a table".
        wanted: &'static str,
    },
    /// A table without a row.
    #[error("{} holds no report; give a CSV file with one report a row", .0.display())]
    NoReports(PathBuf),
    /// A table of which no column holds reports.
    #[error("{} has no column of reports among {columns}; name the one that holds their text \"report\", or \"findings\" and \"impression\"", path.display())]
    NoReportColumn {
        /// Which table.
        path: PathBuf,
        /// The names of its columns, quoted and joined.
        columns: String,
    },
    /// A table lacks a column.
    #[error("{} has no column {column:?}; it is not the published table, or of another version", path.display())]
    Column {
        /// Which table.
        path: PathBuf,
        /// The missing column.
        column: String,
    },
    /// A cell holds what its column cannot.
    #[error("{}, line {line}: {value:?} is no {expected}; correct the line or fetch the file again", path.display())]
    Value {
        /// Which file.
        path: PathBuf,
        /// Its line, counted from 1.
        line: u64,
        /// What stands there.
        value: String,
        /// What ought to.
        expected: &'static str,
    },
    /// A row of a JSON or XML file is damaged or lacks something.
    #[error("{}, {at}: {what}; correct it or fetch the file again", path.display())]
    Row {
        /// Which file.
        path: PathBuf,
        /// Its place: "line 3", "entry 3".
        at: String,
        /// What is wrong there.
        what: String,
    },
    /// A table of the layout is not there.
    #[error("{} holds no {name}{gz}, which the layout {layout} needs; put it there or name another layout", root.display(), gz = compressed(name))]
    NoTable {
        /// The data set's root.
        root: PathBuf,
        /// The table's name.
        name: &'static str,
        /// The layout's name.
        layout: Layout,
    },
    /// The tables speak of studies, but none of their files are there.
    #[error("none of the {expected} studies in the tables of {} has its files, the first that is missing is {}; fetch images and reports into the same root", root.display(), first.display())]
    NothingThere {
        /// The data set's root.
        root: PathBuf,
        /// How many were looked for.
        expected: usize,
        /// The first file that was not found.
        first: PathBuf,
    },
    /// After the choice of split and view no study is left.
    #[error("{} has no study of the chosen split and view; choose another split or other views", root.display())]
    NothingChosen {
        /// The data set's root.
        root: PathBuf,
    },
    /// The folder is of no layout that is known.
    #[error("the data set in {} is of no layout that is known by its files; name it with --layout", .0.display())]
    UnknownLayout(PathBuf),
    /// A layout's name is not one of those that exist.
    #[error(transparent)]
    NoSuchLayout(#[from] NoSuchLayout),
    /// The layout is known, but this version can not do that with it.
    #[error("the layout {layout} cannot be {verb} by this version; choose {instead}")]
    NotSupported {
        /// Which layout.
        layout: Layout,
        /// "read" or "written".
        verb: &'static str,
        /// What can be.
        instead: &'static str,
    },
    /// Abdominal phantoms of another institution were asked for.
    #[error("abdominal phantoms are of one institution; choose first, or leave it out")]
    OneInstitution,
    /// A number of phantoms, or a size, beyond what is possible.
    #[error("{what} of {value} is out of bounds: choose from {least} to {most}")]
    Bounds {
        /// What it counts.
        what: &'static str,
        /// What was asked for.
        value: usize,
        /// The least possible.
        least: usize,
        /// The most possible.
        most: usize,
    },
    /// The folder to write to holds something already.
    #[error("{} is not empty; choose a new folder, so that no two data sets are mixed", .0.display())]
    NotEmpty(PathBuf),
    /// A file is larger than any of its kind.
    #[error("{} has {bytes} bytes, more than the {most} of any file of its kind; it is damaged or something else", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
        /// The limit.
        most: u64,
    },
    /// A picture could not be drawn.
    #[error(transparent)]
    Phantom(#[from] PhantomError),
    /// A picture could not be encoded or written.
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// A table may be compressed too, for messages.
fn compressed(name: &str) -> String {
    match name.ends_with(".csv") {
        true => format!(" (nor {name}.gz)"),
        false => String::new(),
    }
}

impl DataError {
    /// Wraps what the system said of a file.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Says what a file is.
    pub(crate) fn other(path: &Path, kind: Kind, wanted: &'static str) -> Self {
        let path = path.to_owned();
        Self::Other { path, kind, wanted }
    }

    /// Wraps what the CSV reader said of a table.
    pub(crate) fn csv(path: &Path) -> impl FnOnce(csv::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Csv { path, source }
    }
}

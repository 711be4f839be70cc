//! Published JSON: an array of objects, one object a line or one object of lists, whichever the file is, and
//! fields by any of their names.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::error::DataError;
use super::table::read_text;

/// One object of a file, with its place for messages.
pub(crate) struct Row {
    path: PathBuf,
    /// "line 3" or "entry 3".
    at: String,
    fields: Map<String, Value>,
}

/// Reads a file of objects no longer than `most` bytes.
///
/// # Errors
/// When the file is too long, is cut off, or holds anything but objects.
pub(crate) fn rows(path: &Path, most: u64) -> Result<Vec<Row>, DataError> {
    let text = read_text(path, most)?;
    let text = text.trim_start_matches('\u{feff}');
    let row = |at: String, value: Value| match value {
        Value::Object(fields) => Ok(Row {
            path: path.to_owned(),
            at,
            fields,
        }),
        _ => Err(DataError::Row {
            path: path.to_owned(),
            at,
            what: "it is no JSON object".into(),
        }),
    };
    let damaged = |at: String, error: &serde_json::Error| DataError::Row {
        path: path.to_owned(),
        at,
        what: format!("it is no well-formed JSON: {error}"),
    };
    if text.trim_start().starts_with('[') {
        let values: Vec<Value> =
            serde_json::from_str(text).map_err(|e| damaged(format!("line {}", e.line()), &e))?;
        return values
            .into_iter()
            .enumerate()
            .map(|(i, v)| row(format!("entry {}", i + 1), v))
            .collect();
    }
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(i, line)| {
            let at = format!("line {}", i + 1);
            let value = serde_json::from_str(line).map_err(|e| damaged(at.clone(), &e))?;
            row(at, value)
        })
        .collect()
}

/// Reads a file of one object that holds a list of objects under each of these names, no longer than `most` bytes.
///
/// # Errors
/// When the file is too long, is cut off, lacks a list, or a list holds anything but objects.
pub(crate) fn lists<const N: usize>(
    path: &Path,
    most: u64,
    names: [&str; N],
) -> Result<[Vec<Row>; N], DataError> {
    let wrong = |at: String, what: String| DataError::Row {
        path: path.to_owned(),
        at,
        what,
    };
    let text = read_text(path, most)?;
    let value = serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|e| {
        wrong(
            format!("line {}", e.line()),
            format!("it is no well-formed JSON: {e}"),
        )
    })?;
    let Value::Object(mut fields) = value else {
        let what = format!("it is no object with the lists {}", names.join(", "));
        return Err(wrong("line 1".to_owned(), what));
    };
    let mut lists = names.map(|_| Vec::new());
    for (list, name) in lists.iter_mut().zip(names) {
        let Some(Value::Array(values)) = fields.remove(name) else {
            let what = format!("it has no list {name:?}; it needs {}", names.join(", "));
            return Err(wrong("top level".to_owned(), what));
        };
        for (i, value) in values.into_iter().enumerate() {
            let at = format!("{name}, entry {}", i + 1);
            let Value::Object(fields) = value else {
                return Err(wrong(at, "it is no JSON object".to_owned()));
            };
            let path = path.to_owned();
            list.push(Row { path, at, fields });
        }
    }
    Ok(lists)
}

impl Row {
    /// Where it stands, for messages: "line 3".
    pub(crate) fn at(&self) -> &str {
        &self.at
    }

    /// What is wrong with it.
    pub(crate) fn error(&self, what: impl Into<String>) -> DataError {
        DataError::Row {
            path: self.path.clone(),
            at: self.at.clone(),
            what: what.into(),
        }
    }

    /// A field by the first of its names that is there and not null.
    pub(crate) fn get(&self, names: &[&str]) -> Option<&Value> {
        names
            .iter()
            .find_map(|n| self.fields.get(*n))
            .filter(|v| !v.is_null())
    }

    /// A text, a number or a boolean as text without spaces around; empty where it is not there.
    ///
    /// # Errors
    /// When it is a list or an object.
    pub(crate) fn text_or_empty(&self, names: &[&str]) -> Result<String, DataError> {
        match self.get(names) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.trim().to_owned()),
            Some(Value::Number(number)) => Ok(number.to_string()),
            Some(Value::Bool(yes)) => Ok(yes.to_string()),
            Some(_) => Err(self.error(format!("its field {:?} is neither a text nor a number", names[0]))),
        }
    }

    /// [`Row::text_or_empty`] of a field that must be there.
    ///
    /// # Errors
    /// When it is not, or is empty.
    pub(crate) fn text(&self, names: &[&str]) -> Result<String, DataError> {
        let text = self.text_or_empty(names)?;
        if text.is_empty() {
            return Err(self.error(format!("it has no field {:?}", names[0])));
        }
        Ok(text)
    }

    /// A list of objects; empty where it is not there.
    ///
    /// # Errors
    /// When it is something else.
    pub(crate) fn objects(&self, name: &str) -> Result<Vec<Self>, DataError> {
        let wrong = || self.error(format!("its field {name:?} is no list of objects"));
        match self.get(&[name]) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => values
                .iter()
                .map(|v| {
                    let fields = v.as_object().ok_or_else(wrong)?.clone();
                    Ok(Self {
                        path: self.path.clone(),
                        at: self.at.clone(),
                        fields,
                    })
                })
                .collect(),
            Some(_) => Err(wrong()),
        }
    }

    /// A list of texts; empty where it is not there.
    ///
    /// # Errors
    /// When it is something else.
    pub(crate) fn texts(&self, name: &str) -> Result<Vec<String>, DataError> {
        let wrong = || self.error(format!("its field {name:?} is no list of texts"));
        match self.get(&[name]) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => values
                .iter()
                .map(|v| Ok(v.as_str().ok_or_else(wrong)?.to_owned()))
                .collect(),
            Some(_) => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Row>, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        std::fs::write(&path, text).unwrap();
        rows(&path, 1000)
    }

    #[test]
    fn lines_and_arrays_read_alike() {
        for text in [
            "[{\"a\": 3},\n {\"a\": \"x \"}]",
            "\u{feff}{\"a\": 3}\r\n\r\n{\"b\": 1, \"a\": \"x\"}\n",
        ] {
            let rows = read(text).unwrap();
            let values: Vec<String> = rows.iter().map(|r| r.text(&["c", "a"]).unwrap()).collect();
            assert_eq!(values, ["3", "x"]);
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let message = |text: &str| read(text).err().unwrap().to_string();
        assert!(message("{\"a\": 1}\n{\"a\": ").contains("line 2"));
        assert!(message("[{\"a\": 1},\n{\"a\"").contains("line 2"));
        assert!(message("{}\n3\n").contains("line 2"));
        assert!(read(&"[".repeat(900)).is_err());
        let row = &read("{\"a\": [1], \"b\": null}").unwrap()[0];
        for error in [
            row.text(&["a"]),
            row.text(&["b"]),
            row.texts("a").map(|_| String::new()),
        ] {
            assert!(error.unwrap_err().to_string().contains("line 1"));
        }
        assert!(row.objects("a").is_err());
        assert!(row.texts("b").unwrap().is_empty());
    }
}

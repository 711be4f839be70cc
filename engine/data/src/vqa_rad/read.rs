//! Reads VQA-RAD in any of its JSON forms.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::{FOLDERS, PUBLIC, TEST, TRAIN};
use crate::collect::{ImageIndex, Projection, StudyCollector, by_patient, is_file_name, stem};
use crate::error::DataError;
use crate::files::any_case;
use crate::json::{Row, rows};
use crate::layout::{Layout, Loaded, ReadOptions};
use crate::study::{Question, Split, Study};

/// The published file has 1.6 MB.
const MOST: u64 = 256 << 20;

/// Percent of the training images that validate.
const VALIDATE: u64 = 10;

/// A row of any form.
struct Asked {
    image: String,
    question: Question,
    split: Split,
}

impl Asked {
    fn read(row: &Row, of_file: Split) -> Result<Self, DataError> {
        let published = row.text(&["image", "image_name", "IMAGEID"])?;
        // Some forms give the picture's address on the collection's server.
        let image = published.rsplit('/').next().unwrap_or_default().to_owned();
        if !is_file_name(&image) {
            return Err(row.error(format!("{published:?} is no name of a picture")));
        }
        let kind = row.text(&["answer_type", "A_TYPE"])?;
        let closed = match kind.to_ascii_uppercase().as_str() {
            "CLOSED" => true,
            "OPEN" => false,
            _ => return Err(row.error(format!("{kind:?} is no answer_type (OPEN or CLOSED)"))),
        };
        let phrase = row.text_or_empty(&["phrase_type"])?;
        let own = row.text_or_empty(&["split"])?;
        let split = match own.as_str() {
            _ if phrase.to_ascii_lowercase().starts_with("test") => Split::Test,
            "" => of_file,
            name => name
                .parse()
                .map_err(|_| row.error(format!("{name:?} is no split (train, validate or test)")))?,
        };
        let id = row.text_or_empty(&["qid", "QID_unique"])?;
        let question = Question {
            id: if id.is_empty() { row.at().to_owned() } else { id },
            text: row.text(&["question", "QUESTION"])?,
            answer: row.text(&["answer", "ANSWER"])?,
            closed,
            organ: row
                .text_or_empty(&["image_organ", "IMAGEORGAN"])?
                .to_ascii_uppercase(),
            kind: row.text_or_empty(&["question_type", "Q_TYPE"])?,
        };
        Ok(Self {
            image,
            question,
            split,
        })
    }

    /// What makes two rows the same question.
    fn key(&self) -> (String, String) {
        let words = self
            .question
            .text
            .split(|c: char| !c.is_alphanumeric())
            .filter(|w| !w.is_empty());
        (
            stem(&self.image).to_owned(),
            words.collect::<Vec<_>>().join(" ").to_lowercase(),
        )
    }
}

/// Reads the data set below `root`.
///
/// # Errors
/// When no table is there or one is damaged, no picture at all is there, or the choice leaves nothing.
pub fn load(root: &Path, options: &ReadOptions) -> Result<Loaded, DataError> {
    let mut collector = StudyCollector::new(root, Layout::VqaRad, options)?;
    let mut asked = read_all(root)?;
    let tested: HashSet<_> = asked
        .iter()
        .filter(|a| a.split == Split::Test)
        .map(Asked::key)
        .collect();
    let before = asked.len();
    asked.retain(|a| a.split == Split::Test || !tested.contains(&a.key()));
    if asked.len() < before {
        collector.notes.push(format!(
            "{} training rows that repeat a test question are left out",
            before - asked.len()
        ));
    }
    if !asked.iter().any(|a| a.split == Split::Validate) {
        for a in asked.iter_mut().filter(|a| a.split == Split::Train) {
            a.split = by_patient(stem(&a.image), VALIDATE, 0);
        }
        collector
            .notes
            .push("a tenth of the training images, drawn by name, validates".into());
    }
    if tested.is_empty() {
        collector
            .notes
            .push("the official test questions are not there".into());
    }
    let mut order: Vec<(String, Split)> = Vec::new();
    let mut questions: HashMap<(String, Split), Vec<Question>> = HashMap::new();
    for a in asked {
        let key = (a.image, a.split);
        if !questions.contains_key(&key) {
            order.push(key.clone());
        }
        questions.entry(key).or_default().push(a.question);
    }
    let pictures = ImageIndex::of(root, &FOLDERS)?;
    for key in order {
        let (image, split) = &key;
        if !collector.wants(*split, Projection::Unknown, &format!("{split} {image}")) {
            continue;
        }
        let path = match pictures.find(image) {
            Ok(path) => path,
            Err(missing) => {
                collector.counts.miss(missing);
                continue;
            }
        };
        let id = stem(image).to_owned();
        let study = Study::new(id.clone(), id, path, None, *split);
        let questions = questions.remove(&key).unwrap_or_default();
        collector.add(image, Study { questions, ..study });
    }
    collector.finish()
}

fn read_all(root: &Path) -> Result<Vec<Asked>, DataError> {
    let first = |names: &[&str]| names.iter().find_map(|n| any_case(&root.join(n)));
    let mut files: Vec<(PathBuf, Split)> = Vec::new();
    files.extend(first(&TRAIN).map(|p| (p, Split::Train)));
    files.extend(first(&TEST).map(|p| (p, Split::Test)));
    if files.is_empty() {
        files.extend(first(&[PUBLIC]).map(|p| (p, Split::Train)));
    }
    if files.is_empty() {
        return Err(DataError::NoTable {
            root: root.to_owned(),
            name: TRAIN[0],
            layout: Layout::VqaRad,
        });
    }
    let mut asked = Vec::new();
    for (path, split) in files {
        for row in rows(&path, MOST)? {
            asked.push(Asked::read(&row, split)?);
        }
    }
    Ok(asked)
}

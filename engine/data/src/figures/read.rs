//! Reads figures with their captions.

use std::collections::HashMap;
use std::path::Path;

use super::{CAPTIONS, FOLDERS};
use crate::collect::{ImageIndex, Projection, StudyCollector, by_patient, is_file_name, stem};
use crate::error::DataError;
use crate::files::any_case;
use crate::json::rows;
use crate::layout::{Layout, Loaded, ReadOptions};
use crate::study::{Split, Study};
use hilum_text::Report;

/// A hundred thousand captions have some 30 MB.
const MOST: u64 = 1 << 30;

/// Percent of the figures that validate and that test, where no row names a split.
const SHARES: (u64, u64) = (10, 10);

/// Reads the data set below `root`. Captions of one picture are joined in their order; they must name one split.
///
/// # Errors
/// When the table is missing or damaged, a picture is in two splits, no picture at all is there, or the choice leaves nothing.
pub fn load(root: &Path, options: &ReadOptions) -> Result<Loaded, DataError> {
    let mut collector = StudyCollector::new(root, Layout::Figures, options)?;
    let path = any_case(&root.join(CAPTIONS)).ok_or_else(|| DataError::NoTable {
        root: root.to_owned(),
        name: CAPTIONS,
        layout: Layout::Figures,
    })?;
    let mut order: Vec<(String, Split, String)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let (mut drawn, mut joined) = (0, 0);
    for row in rows(&path, MOST)? {
        let image = row.text(&["image", "image_name", "filename"])?;
        if !is_file_name(&image) {
            return Err(row.error(format!("{image:?} is no name of a picture")));
        }
        let text = row.text(&["text", "caption"])?;
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let own = row.text_or_empty(&["split"])?;
        let split = if own.is_empty() {
            drawn += 1;
            by_patient(stem(&image), SHARES.0, SHARES.1)
        } else {
            own.parse()
                .map_err(|_| row.error(format!("{own:?} is no split (train, validate or test)")))?
        };
        match places.get(&image).and_then(|at| order.get_mut(*at)) {
            Some((_, before, _)) if *before != split => {
                return Err(row.error(format!("{image} is in {split} here and in {before} above")));
            }
            Some((_, _, before)) => {
                joined += 1;
                *before += " ";
                *before += &text;
            }
            None => {
                places.insert(image.clone(), order.len());
                order.push((image, split, text));
            }
        }
    }
    if drawn > 0 {
        let note =
            format!("{drawn} rows name no split: of those a tenth each, drawn by name, validates and tests");
        collector.notes.push(note);
    }
    if joined > 0 {
        let note = format!("{joined} further captions are joined to the first of their picture");
        collector.notes.push(note);
    }
    let pictures = ImageIndex::of(root, &FOLDERS)?;
    for (image, split, text) in order {
        if !collector.wants(split, Projection::Unknown, &image) {
            continue;
        }
        let path = match pictures.find(&image) {
            Ok(path) => path,
            Err(missing) => {
                collector.counts.miss(missing);
                continue;
            }
        };
        let id = stem(&image).to_owned();
        let study = Study::new(id.clone(), id, path, None, split);
        let report = Report {
            findings: text,
            impression: String::new(),
        };
        collector.add(&image, Study { report, ..study });
    }
    collector.finish()
}

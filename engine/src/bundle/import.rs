//! From the names of published checkpoints to the engine's own: a table a system, as data, and the code that
//! applies it.
//!
//! Canonical names are those of the engine's modules and of bundles; layouts are PyTorch's (Linear `[out,
//! in]`, convolution `[out, in, kh, kw]`), so that an import renames and never transposes.

pub mod bert;
pub mod clinical_bert;
pub mod densenet;
pub mod findings;
pub mod head;
pub mod medvill;
pub mod resnet;
pub mod xvl;

use std::collections::BTreeMap;

use super::{Array, Arrays, BundleError};
use crate::nn::names::from_timm;
pub use head::{Head, HeadNames, Settled};

/// Names matched by a pattern get a canonical name.
///
/// Patterns are dotted: `*` stands for one part or the end of one, and `**` for one part or more at the end;
/// what they matched is put in the place of the same signs of the target, in order.
pub type Rename = (&'static str, &'static str);

/// The import table of one system.
#[derive(Debug)]
pub struct Table {
    /// The system's name.
    pub system: &'static str,
    /// What may stand before a name and means nothing, tried in order; the bare name is tried last.
    pub prefixes: &'static [&'static str],
    /// Endings of older files and what they are today.
    pub endings: &'static [Rename],
    /// Renamings, by groups; the first that matches counts.
    pub renames: &'static [&'static [Rename]],
    /// Patterns of tensors that the system does not have, each with the reason for the notes.
    pub dropped: &'static [(&'static str, &'static str)],
    /// Patterns of tensors that only another model has, each with what that is: a clause for the refusal.
    pub strangers: &'static [(&'static str, &'static str)],
    /// Where its checkpoints have a head of labels.
    pub head: Option<HeadNames>,
}

/// All tables. A system without one imports its own bundles only.
pub const TABLES: [&Table; 4] = [
    &medvill::TABLE,
    &clinical_bert::TABLE,
    &xvl::TABLE,
    &findings::TABLE,
];

/// Buffers that PyTorch saves and no forward pass reads, in every system.
const BUFFERS: [&str; 2] = ["num_batches_tracked", "position_ids"];

/// What an import gave.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The weights by canonical names, all of the expected shapes.
    pub arrays: Arrays,
    /// Sentences on what was left out, filled in or missing.
    pub notes: Vec<String>,
}

/// What a table says of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The canonical name.
    Name(String),
    /// Left out, with the reason.
    Dropped(&'static str),
    /// The table does not know the name.
    Unknown,
}

impl Table {
    /// The table of a system.
    ///
    /// # Errors
    /// [`BundleError::UnknownSystem`] with the names that have a table.
    pub fn of(system: &str) -> Result<&'static Self, BundleError> {
        let known = || TABLES.map(|table| table.system).join(", ");
        let unknown = || BundleError::UnknownSystem {
            system: system.to_owned(),
            known: known(),
        };
        TABLES
            .into_iter()
            .find(|table| table.system == system)
            .ok_or_else(unknown)
    }

    /// Refuses a checkpoint that is known to be another model's.
    ///
    /// # Errors
    /// [`BundleError::Import`], which says what it is.
    fn refuse_strangers(&self, checkpoint: &Arrays) -> Result<(), BundleError> {
        let has = |pattern: &str| {
            let matches = |name: &str| rename(pattern, "", name).is_some();
            checkpoint.keys().any(|name| {
                let mut bare = self
                    .prefixes
                    .iter()
                    .filter_map(|prefix| name.strip_prefix(prefix));
                matches(name) || bare.any(matches)
            })
        };
        match self.strangers.iter().find(|(pattern, _)| has(pattern)) {
            Some((_, what)) => Err(BundleError::Import {
                problems: vec![(*what).to_owned()],
            }),
            None => Ok(()),
        }
    }

    /// What becomes of a checkpoint's `name`.
    pub fn target(&self, name: &str) -> Target {
        if name
            .rsplit('.')
            .next()
            .is_some_and(|last| BUFFERS.contains(&last))
        {
            return Target::Dropped("PyTorch's buffers are not weights");
        }
        let ending = self
            .endings
            .iter()
            .find_map(|(old, new)| Some(format!("{}{new}", name.strip_suffix(old)?)));
        let name = ending.as_deref().unwrap_or(name);
        let stripped = self
            .prefixes
            .iter()
            .filter_map(|prefix| name.strip_prefix(prefix));
        for candidate in stripped.chain([name]) {
            let mut renames = self.renames.iter().copied().flatten();
            if let Some(target) = renames.find_map(|(pattern, target)| rename(pattern, target, candidate)) {
                return Target::Name(target);
            }
            if let Some((_, reason)) = self
                .dropped
                .iter()
                .find(|(pattern, _)| rename(pattern, "", candidate).is_some())
            {
                return Target::Dropped(reason);
            }
        }
        let mut renames = self.renames.iter().copied().flatten();
        match renames.any(|(_, canonical)| rename(canonical, "", name).is_some()) {
            true => Target::Name(name.to_owned()),
            false => Target::Unknown,
        }
    }
}

/// `name` by `pattern` as `target`, or nothing where it does not match.
fn rename(pattern: &str, target: &str, name: &str) -> Option<String> {
    let mut captured = Vec::new();
    let mut rest = Some(name);
    for part in pattern.split('.') {
        if part == "**" {
            captured.push(rest.take().filter(|rest| !rest.is_empty())?);
            break;
        }
        let (head, tail) = match rest?.split_once('.') {
            Some((head, tail)) => (head, Some(tail)),
            None => (rest?, None),
        };
        match part.strip_suffix('*') {
            Some(begin) => captured.push(head.strip_prefix(begin).filter(|end| !end.is_empty())?),
            None if part == head => {}
            None => return None,
        }
        rest = tail;
    }
    if rest.is_some() {
        return None;
    }
    let mut captured = captured.into_iter();
    let parts = target.split('.').map(|part| match part.trim_end_matches('*') {
        begin if begin == part => part.to_owned(),
        begin => format!("{begin}{}", captured.next().unwrap_or("*")),
    });
    Some(parts.collect::<Vec<_>>().join("."))
}

/// Renames a checkpoint's tensors and checks them against what the model expects (canonical name to shape).
///
/// With `allow_missing`, tensors that only one of the two has become notes, as long as some are in both: so a
/// pre-trained encoder is loaded under a new head. Canonical names are taken as they are.
///
/// # Errors
/// [`BundleError::UnknownSystem`], or [`BundleError::Import`] with every tensor that is missing, left over,
/// of another shape, or given twice with different values.
pub fn import(
    system: &str,
    checkpoint: &Arrays,
    expected: &BTreeMap<String, Vec<usize>>,
    allow_missing: bool,
) -> Result<Imported, BundleError> {
    let table = Table::of(system)?;
    // timm saves queries, keys and values of a block as one tensor.
    let fused = checkpoint.keys().any(|name| name.contains("blocks."));
    let split = fused.then(|| from_timm(checkpoint));
    let checkpoint = split.as_ref().unwrap_or(checkpoint);
    let mut found: BTreeMap<String, (&str, &Array)> = BTreeMap::new();
    let mut dropped: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let (mut problems, mut over) = (Vec::new(), Vec::new());
    for (name, array) in checkpoint {
        let target = if expected.contains_key(name) {
            Target::Name(name.clone())
        } else {
            table.target(name)
        };
        let target = match target {
            Target::Name(target) => target,
            Target::Dropped(reason) => {
                dropped.entry(reason).or_default().push(name);
                continue;
            }
            Target::Unknown => {
                over.push(format!(
                    "{name} of shape {:?} is left over, no part of {system} has that name",
                    array.shape
                ));
                continue;
            }
        };
        match found.get(&target) {
            // Modules that share a table are saved with a copy each.
            Some((_, first)) if same(first, array) => {}
            Some((first, _)) => problems.push(format!("{first} and {name} are both {target} but differ")),
            None if !expected.contains_key(&target) => {
                over.push(format!(
                    "{name} of shape {:?} is left over, the model has no {target}",
                    array.shape
                ));
            }
            None => drop(found.insert(target, (name, array))),
        }
    }
    let mut notes: Vec<String> = dropped
        .into_iter()
        .map(|(reason, names)| left_out(reason, &names))
        .collect();
    if found.is_empty() {
        problems.insert(
            0,
            format!("none of its {} tensors belongs to {system}", checkpoint.len()),
        );
    }
    let mut missing = Vec::new();
    let mut arrays = Arrays::new();
    for (target, shape) in expected {
        match found.get(target) {
            None => missing.push(format!("{target} of shape {shape:?} is missing")),
            // PyTorch saves a single number without an axis.
            Some((_, array)) if array.shape == *shape || (array.shape.is_empty() && shape[..] == [1]) => {
                let shape = shape.clone();
                let data = array.data.clone();
                drop(arrays.insert(target.clone(), Array { shape, data }));
            }
            Some((name, array)) => {
                problems.push(format!(
                    "{name} has the shape {:?} where {target} has {shape:?}",
                    array.shape
                ));
            }
        }
    }
    match allow_missing {
        true => notes.extend(over.iter().chain(&missing).map(|clause| format!("{clause}."))),
        false => problems.extend(over.into_iter().chain(missing)),
    }
    match problems.is_empty() {
        true => Ok(Imported { arrays, notes }),
        false => Err(BundleError::Import { problems }),
    }
}

/// Whether two arrays are the same bit for bit (so that NaN equals itself).
fn same(a: &Array, b: &Array) -> bool {
    a.shape == b.shape
        && a.data
            .iter()
            .zip(&b.data)
            .all(|(a, b)| a.to_bits() == b.to_bits())
}

fn left_out(reason: &str, names: &[&str]) -> String {
    match names {
        [name] => format!("{name} was left out: {reason}."),
        _ => format!(
            "{} tensors such as {} were left out: {reason}.",
            names.len(),
            names[0]
        ),
    }
}

#[cfg(test)]
mod tests;

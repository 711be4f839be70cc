//! The head of a published classifier: which label each output is, which outputs were never trained, and from which
//! probability on a label counts as present.
//!
//! TorchXRayVision's models (Cohen et al. 2022) have 18 outputs whatever they were trained on; where a label was not in the
//! data, its name is empty. Names and operating points stand in the model's attributes where its package loaded it; the files
//! that it publishes have neither, for its package keeps them in a table: `xrv.json` is that table.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Table, Target};
use crate::bundle::{Array, Arrays, BundleError, Label};
use crate::text::{Finding, LabelName, NIH14, same_class};

/// Where a system's published checkpoints have a head of labels, as data.
#[derive(Debug)]
pub struct HeadNames {
    /// Canonical name of its linear layer, `(labels, features)`.
    pub linear: &'static str,
    /// The tensor of operating points, one a label, NaN where there is none.
    pub points: &'static str,
    /// Lists that name the outputs, the first of the right length counts.
    pub lists: &'static [&'static str],
    /// What is published without either: JSON as [`Published`].
    pub published: &'static str,
}

/// What a package tells of a file that it publishes.
#[derive(Clone, Debug, Deserialize)]
struct Published {
    /// What the package calls it.
    weights: String,
    /// The file's name, without its ending.
    file: String,
    labels: Vec<String>,
    op_threshs: Vec<Option<f32>>,
}

#[derive(Deserialize)]
struct PublishedTable {
    published: Vec<Published>,
}

/// A checkpoint's head, as the file tells it.
#[derive(Clone, Debug)]
pub struct Head {
    outputs: usize,
    /// The checkpoint's names of weight and bias.
    tensors: Vec<String>,
    /// Names of the outputs, empty for those to leave out.
    labels: Option<Vec<String>>,
    points: Option<Vec<Option<f32>>>,
    notes: Vec<String>,
}

/// A head with its labels.
#[derive(Clone, Debug)]
pub struct Settled {
    /// The checkpoint, less the outputs that were left out.
    pub arrays: Arrays,
    /// The labels in the order of the outputs that are left.
    pub labels: Vec<Label>,
    /// Sentences on where they come from and what was left out.
    pub notes: Vec<String>,
}

impl Head {
    /// The head of a checkpoint of `system` that was read from the file `stem` (without its ending), with what `words` tells
    /// beside the weights; `given` names the outputs in the file's place. Operating points are taken out of `arrays`. Nothing
    /// where the system has no such head, or the file none.
    ///
    /// # Errors
    /// A checkpoint that is known to be another model's; names or operating points that are not one an output.
    pub fn read(
        system: &str,
        arrays: &mut Arrays,
        words: &BTreeMap<String, Vec<String>>,
        stem: &str,
        given: Option<&[String]>,
    ) -> Result<Option<Self>, BundleError> {
        let table = Table::of(system)?;
        table.refuse_strangers(arrays)?;
        let none = |what: &str| match given {
            Some(_) => Err(problem(format!("{what}, whose outputs --labels could name"))),
            None => Ok(None),
        };
        let Some(names) = &table.head else {
            return none(&format!("{system} has no head of labels alone"));
        };
        let tensors: Vec<String> = ["weight", "bias"]
            .into_iter()
            .filter_map(|part| {
                let canonical = Target::Name(format!("{}.{part}", names.linear));
                arrays
                    .keys()
                    .find(|name| table.target(name) == canonical)
                    .cloned()
            })
            .collect();
        let shape = tensors.first().and_then(|name| arrays[name].shape.first());
        let Some(&outputs) = shape.filter(|outputs| **outputs > 0) else {
            return none("it has no head");
        };
        let mut head = Self {
            outputs,
            tensors,
            labels: None,
            points: head_points(names, arrays, outputs)?,
            notes: Vec::new(),
        };
        head.name_outputs(names, words, stem, given)?;
        Ok(Some(head))
    }

    fn name_outputs(
        &mut self,
        names: &HeadNames,
        words: &BTreeMap<String, Vec<String>>,
        stem: &str,
        given: Option<&[String]>,
    ) -> Result<(), BundleError> {
        let outputs = self.outputs;
        if let Some(given) = given {
            if given.len() != outputs {
                let counted = given.len();
                return Err(problem(format!(
                    "--labels names {counted} labels and its head has {outputs} outputs; name each of them, an empty name leaves one out"
                )));
            }
            self.labels = Some(given.to_vec());
        }
        let lists = names
            .lists
            .iter()
            .filter_map(|list| Some((list, words.get(*list)?)));
        for (list, words) in lists {
            if words.len() == outputs {
                self.labels.get_or_insert_with(|| words.clone());
            } else {
                let counted = words.len();
                self.notes.push(format!(
                    "Its {list} are {counted} names for {outputs} outputs, and were not used."
                ));
            }
        }
        let known = published(names).into_iter().find(|row| {
            (row.file == stem || row.weights == stem)
                && row.labels.len() == outputs
                && row.op_threshs.len() == outputs
        });
        if let Some(row) = known
            && (self.labels.is_none() || self.points.is_none())
        {
            self.notes.push(format!(
                "By its name the file is TorchXRayVision's {}; what it lacks of labels and operating points is what its package has for it.",
                row.weights
            ));
            self.labels.get_or_insert(row.labels);
            self.points.get_or_insert(row.op_threshs);
        }
        Ok(())
    }

    /// Whether each output has a name, or could have one of a preset's labels.
    pub fn fits(&self, preset: &[String]) -> bool {
        self.labels.is_some() || preset.len() == self.outputs
    }

    /// What to say where no preset fits.
    pub fn unnamed(&self) -> BundleError {
        let outputs = self.outputs;
        problem(format!(
            "its head has {outputs} outputs and the file does not name them; --labels a,b,c names them in their order, an empty name \
             leaves one out"
        ))
    }

    /// The labels, with those of a preset where the file has none of its own, and the checkpoint without the outputs that
    /// nobody trained.
    ///
    /// # Errors
    /// Names that are missing, or all empty, and a head that is no linear layer.
    pub fn settle(&self, preset: &[String], arrays: &Arrays) -> Result<Settled, BundleError> {
        let mut notes = self.notes.clone();
        let labels = match &self.labels {
            Some(labels) => labels,
            None if preset.len() == self.outputs => {
                let outputs = self.outputs;
                notes.push(format!(
                    "The file does not name its {outputs} outputs; they were taken for the preset's labels in their order (--labels a,b,c \
                     names them, an empty name leaves one out)."
                ));
                preset
            }
            None => return Err(self.unnamed()),
        };
        let point = |at: usize| Some(self.points.as_ref()?.get(at).copied().flatten());
        // Without a name of the file's own, what has no operating point among others that do is what was not trained.
        let trained = |at: usize| self.labels.is_some() || point(at) != Some(None);
        let kept: Vec<usize> = (0..self.outputs)
            .filter(|at| !labels[*at].trim().is_empty() && trained(*at))
            .collect();
        if kept.is_empty() {
            return Err(problem("none of its outputs has a name".to_owned()));
        }
        let left = self.outputs - kept.len();
        if left > 0 {
            let why = match &self.labels {
                Some(_) => "They have no name, and what has none was not trained.",
                None => {
                    "They have no operating point where others do, as what was not trained; --labels a,b,c keeps what it names."
                }
            };
            notes.push(format!("{left} of {} outputs were left out. {why}", self.outputs));
        }
        let mut arrays = arrays.clone();
        if left > 0 {
            for name in &self.tensors {
                let array = arrays
                    .get(name)
                    .and_then(|array| rows(array, self.outputs, &kept));
                let whole = || problem(format!("{name} is no linear layer of {} outputs", self.outputs));
                let array = array.ok_or_else(whole)?;
                arrays.insert(name.clone(), array);
            }
        }
        let mut renamed = Vec::new();
        let label = |at: &usize| {
            let own = labels[*at].trim();
            let name = house_name(own);
            if name != own {
                renamed.push(format!("{own} is {name}"));
            }
            let name = LabelName { name, side: None };
            let point = point(*at).flatten().map(f64::from);
            Label {
                operating_point: point,
                temperature: point.map(|_| 1.0),
                ..Label::new(&name)
            }
        };
        let labels: Vec<Label> = kept.iter().map(label).collect();
        if !renamed.is_empty() {
            let renamed = renamed.join(", ");
            notes.push(format!(
                "Labels have CheXpert's or NIH's names where they mean the same: {renamed}."
            ));
        }
        notes.extend(without_points(&labels));
        Ok(Settled {
            arrays,
            labels,
            notes,
        })
    }
}

/// The operating points, taken out of the checkpoint.
fn head_points(
    names: &HeadNames,
    arrays: &mut Arrays,
    outputs: usize,
) -> Result<Option<Vec<Option<f32>>>, BundleError> {
    let points = names.points;
    let is = |name: &&String| name.rsplit('.').next() == Some(points);
    let Some(array) = arrays
        .keys()
        .find(is)
        .cloned()
        .and_then(|name| arrays.remove(&name))
    else {
        return Ok(None);
    };
    let values = array.data;
    if values.len() != outputs {
        let counted = values.len();
        return Err(problem(format!(
            "its {points} are {counted} numbers for {outputs} outputs"
        )));
    }
    let outside = |value: &&f32| !value.is_nan() && !(0.0..=1.0).contains(*value);
    if let Some(value) = values.iter().find(outside) {
        return Err(problem(format!(
            "its {points} hold {value}, which is no probability"
        )));
    }
    let known = values.into_iter().map(|value| (!value.is_nan()).then_some(value));
    let known: Vec<Option<f32>> = known.collect();
    // A buffer that was never filled says nothing.
    Ok(known.iter().any(Option::is_some).then_some(known))
}

fn published(names: &HeadNames) -> Vec<Published> {
    // Part of the program; a test reads it.
    serde_json::from_str::<PublishedTable>(names.published)
        .map_or_else(|_| Vec::new(), |table| table.published)
}

/// The rows `kept` of a weight `(outputs, features)` or a bias `(outputs)`.
fn rows(array: &Array, outputs: usize, kept: &[usize]) -> Option<Array> {
    let (first, rest) = array.shape.split_first()?;
    let row: usize = rest.iter().product();
    if *first != outputs || array.data.len() != outputs * row {
        return None;
    }
    let mut shape = array.shape.clone();
    *shape.first_mut()? = kept.len();
    let data = kept
        .iter()
        .flat_map(|at| &array.data[at * row..(at + 1) * row])
        .copied();
    Some(Array {
        shape,
        data: data.collect(),
    })
}

/// A label as the engine says it: CheXpert's category of the same meaning, else NIH's class, else its own name.
fn house_name(own: &str) -> String {
    let chexpert = Finding::ALL.into_iter().map(Finding::name);
    let known = chexpert.chain(NIH14).find(|name| same_class(name, own));
    known.unwrap_or(own).to_owned()
}

/// What is decided at 0.5 for want of an operating point, as a sentence.
fn without_points(labels: &[Label]) -> Option<String> {
    let names: Vec<&str> = labels
        .iter()
        .filter(|label| label.operating_point.is_none())
        .map(|label| label.name.as_str())
        .collect();
    match names.as_slice() {
        [] => None,
        all if all.len() == labels.len() => Some(
            "It has no operating points: every label counts as present from a probability of 0.5 on, which nobody chose for this model."
                .to_owned(),
        ),
        [one] => Some(format!(
            "{one} has no operating point and counts as present from a probability of 0.5 on."
        )),
        some => Some(format!(
            "{} have no operating point and count as present from a probability of 0.5 on.",
            some.join(", ")
        )),
    }
}

fn problem(clause: String) -> BundleError {
    BundleError::Import {
        problems: vec![clause],
    }
}

#[cfg(test)]
mod tests;

//! What is measured: groups of cases that share weights, by the row of the table that they stand in.

use std::path::Path;

use anyhow::bail;
use burn::tensor::{Device, TensorData};
use hilum::nn::{Array, Arrays};
use serde_json::Value;

use super::{decoding, medvill, networks, training};

/// What a case needs beside its name.
pub struct Setting<'a> {
    pub device: &'a Device,
    pub seed: u64,
    /// Where a peer's files are; `None` where no peer is there.
    pub folder: Option<&'a Path>,
}

/// One line of the table.
pub struct Case {
    pub name: &'static str,
    pub title: &'static str,
}

/// Builds the named cases of a group.
type Build = fn(&[&'static str], &Setting<'_>) -> anyhow::Result<Subject>;

/// Cases over the same weights.
pub struct Group {
    pub row: u8,
    pub name: &'static str,
    pub cases: &'static [Case],
    pub build: Build,
}

/// A group at work.
pub struct Subject {
    /// Sizes and switches that the weights do not tell.
    pub config: Value,
    pub weights: Arrays,
    pub passes: Vec<Pass>,
}

/// A case at work, its weights in memory and its first pass behind it.
pub struct Pass {
    pub case: &'static str,
    /// `in.` what went in, `out.` what came out.
    pub arrays: Arrays,
    pub run: Box<dyn FnMut() -> anyhow::Result<()>>,
}

/// What a pass leaves, read back from its device.
pub type Outputs = Vec<(&'static str, TensorData)>;

impl Pass {
    /// Runs once for the outputs, which also touches all that is made lazily.
    pub fn new(
        case: &'static str,
        inputs: Arrays,
        mut run: impl FnMut() -> anyhow::Result<Outputs> + 'static,
    ) -> anyhow::Result<Self> {
        let mut arrays = inputs;
        for (name, data) in run()? {
            arrays.insert(name.to_owned(), array(&data)?);
        }
        let run = Box::new(move || run().map(drop));
        Ok(Self { case, arrays, run })
    }
}

/// Values that were read back as an array.
pub fn array(data: &TensorData) -> anyhow::Result<Array> {
    let shape = data.shape().to_vec();
    match data.clone().try_to_vec::<f32>() {
        Ok(data) => Ok(Array { shape, data }),
        Err(error) => bail!("an output holds no f32: {error:?}"),
    }
}

const fn case(name: &'static str, title: &'static str) -> Case {
    Case { name, title }
}

/// All groups, in the order of the table.
pub const GROUPS: &[Group] = &[
    Group {
        row: 1,
        name: "encoder-768",
        cases: &[case("encoder-768", "Encoder 12 x 768, 316 tokens")],
        build: networks::encoder,
    },
    Group {
        row: 1,
        name: "encoder-384",
        cases: &[case("encoder-384", "Encoder 4 x 384, 64 tokens")],
        build: networks::encoder,
    },
    Group {
        row: 2,
        name: "resnet50",
        cases: &[
            case("resnet50-x1", "ResNet-50, 512 px"),
            case("resnet50-x16", "ResNet-50, 512 px, batch 16"),
        ],
        build: networks::resnet,
    },
    Group {
        row: 2,
        name: "densenet121",
        cases: &[
            case("densenet121-x1", "DenseNet-121, 224 px"),
            case("densenet121-x16", "DenseNet-121, 224 px, batch 16"),
        ],
        build: networks::densenet,
    },
    Group {
        row: 2,
        name: "vit-b16",
        cases: &[
            case("vit-b16-x1", "ViT-B/16, 224 px"),
            case("vit-b16-x16", "ViT-B/16, 224 px, batch 16"),
        ],
        build: networks::vit,
    },
    Group {
        row: 3,
        name: "medvill",
        cases: &[
            case("medvill-first", "MedViLL paper, image to first word"),
            case("medvill-step-5", "MedViLL paper, a step after 5 words"),
            case("medvill-step-60", "MedViLL paper, a step after 60 words"),
            case("medvill-step-120", "MedViLL paper, a step after 120 words"),
        ],
        build: medvill::paper,
    },
    Group {
        row: 4,
        name: "draft",
        cases: &[case("draft", "Demo, image to the whole draft")],
        build: medvill::demo,
    },
    Group {
        row: 5,
        name: "train-encoder",
        cases: &[case(
            "train-encoder",
            "Training step, encoder 4 x 192, 16 x 128 tokens",
        )],
        build: training::encoder,
    },
    Group {
        row: 5,
        name: "train-resnet",
        cases: &[case(
            "train-resnet",
            "Training step, demo's image encoder, 32 x 224 px",
        )],
        build: training::resnet,
    },
    Group {
        row: 5,
        name: "train-vit",
        cases: &[case("train-vit", "Training step, ViT-S/16, 8 x 224 px")],
        build: training::vit,
    },
    Group {
        row: 7,
        name: "decode",
        cases: decoding::CASES,
        build: decoding::pictures,
    },
];

/// The groups with those of their cases that `words` name, by a row's number, a group's name or a case's; all of them where
/// there are no words.
pub fn select(words: &[String]) -> anyhow::Result<Vec<(&'static Group, Vec<&'static str>)>> {
    let mut found = vec![false; words.len()];
    let mut selected = Vec::new();
    for group in GROUPS {
        let mut cases = Vec::new();
        for case in group.cases {
            let mut wanted = words.is_empty();
            for (word, found) in words.iter().zip(&mut found) {
                if *word == group.row.to_string() || word == group.name || word == case.name {
                    *found = true;
                    wanted = true;
                }
            }
            if wanted {
                cases.push(case.name);
            }
        }
        if !cases.is_empty() {
            selected.push((group, cases));
        }
    }
    if let Some((word, _)) = words.iter().zip(found).find(|(_, found)| !found) {
        let names: Vec<&str> = GROUPS.iter().flat_map(|g| g.cases).map(|c| c.name).collect();
        bail!(
            "there is no row {word:?}; give a row's number or one of {}",
            names.join(", ")
        );
    }
    Ok(selected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(line: &str) -> anyhow::Result<Vec<&'static str>> {
        let words: Vec<String> = line.split_whitespace().map(String::from).collect();
        Ok(select(&words)?.into_iter().flat_map(|(_, cases)| cases).collect())
    }

    #[test]
    fn rows_are_named_by_number_group_and_case() {
        assert_eq!(selected("1").unwrap(), ["encoder-768", "encoder-384"]);
        assert_eq!(selected("medvill-step-60").unwrap(), ["medvill-step-60"]);
        assert_eq!(
            selected("draft resnet50").unwrap(),
            ["resnet50-x1", "resnet50-x16", "draft"]
        );
        assert_eq!(
            selected("").unwrap().len(),
            GROUPS.iter().map(|g| g.cases.len()).sum::<usize>()
        );
        let error = selected("1 speed").unwrap_err().to_string();
        assert!(error.contains("\"speed\"") && error.contains("draft"), "{error}");
    }

    #[test]
    fn names_are_unique_and_hold_no_separator() {
        let mut names: Vec<&str> = GROUPS.iter().flat_map(|g| g.cases).map(|c| c.name).collect();
        assert!(names.iter().all(|name| !name.contains([' ', '\t', '/'])));
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}

//! `mistakes.toml`, read.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::Finding;
use crate::pattern::Pattern;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    clashes: HashMap<String, Vec<String>>,
    inserted: Vec<WrittenInserted>,
    device: Vec<WrittenDevice>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenInserted {
    finding: String,
    denials: Vec<String>,
    #[serde(rename = "as")]
    like: Vec<String>,
    #[serde(default)]
    clashes: Vec<String>,
    said: Vec<[String; 2]>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenDevice {
    names: Vec<String>,
    place: Vec<WrittenPlace>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPlace {
    #[serde(default)]
    loose: bool,
    #[serde(default)]
    alone: bool,
    #[serde(default)]
    noun: bool,
    right: Vec<String>,
    wrong: Vec<String>,
    #[serde(default)]
    moving: Vec<String>,
}

/// The clashes of sentences about the whole chest.
const OVERALL: [&str; 2] = ["chest", "acute"];

/// A finding that can be put in.
pub(super) struct Insertion {
    pub(super) finding: Finding,
    /// What may not be denied beside it.
    pub(super) denials: Vec<Finding>,
    /// What may not be said beside it.
    pub(super) clashes: Vec<Pattern>,
    /// The same, of the whole chest.
    pub(super) overall: Vec<Pattern>,
    /// In the findings, and again in the impression.
    pub(super) said: Vec<[String; 2]>,
}

/// A kind of device.
pub(super) struct Device {
    pub(super) names: Vec<Pattern>,
    pub(super) places: Vec<Place>,
}

/// Where a device may end, and where it may not.
pub(super) struct Place {
    /// It only says that all is well.
    pub(super) loose: bool,
    /// It tells of its device where none is named.
    pub(super) alone: bool,
    /// A preposition goes before it.
    pub(super) noun: bool,
    pub(super) right: Vec<Pattern>,
    pub(super) wrong: Vec<String>,
    /// After a verb of motion.
    pub(super) moving: Vec<String>,
}

pub(super) struct Table {
    pub(super) inserted: Vec<Insertion>,
    pub(super) devices: Vec<Device>,
}

#[allow(clippy::panic)] // the file is part of the program and tested with it
pub(super) static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let written: Written = toml::from_str(include_str!("../mistakes.toml"))
        .unwrap_or_else(|error| panic!("the built-in mistakes are wrong: {error}"));
    let finding = |name: &String| {
        Finding::from_name(name)
            .unwrap_or_else(|| panic!("the built-in mistakes name {name:?}, which is no category"))
    };
    let patterns =
        |texts: &[String]| -> Vec<Pattern> { texts.iter().map(|text| Pattern::new(text)).collect() };
    // What clashes under the names that satisfy `wanted`.
    let clashes = |i: &WrittenInserted, wanted: fn(&str) -> bool| -> Vec<Pattern> {
        let group = |name: &String| {
            written
                .clashes
                .get(name)
                .unwrap_or_else(|| panic!("the built-in mistakes have no clashes {name:?}"))
        };
        let groups = i.like.iter().filter(|name| wanted(name)).flat_map(group);
        groups.map(|text| Pattern::new(text)).collect()
    };
    Table {
        inserted: written
            .inserted
            .iter()
            .map(|i| Insertion {
                finding: finding(&i.finding),
                denials: i.denials.iter().map(finding).collect(),
                clashes: clashes(i, |name| !OVERALL.contains(&name))
                    .into_iter()
                    .chain(patterns(&i.clashes))
                    .collect(),
                overall: clashes(i, |name| OVERALL.contains(&name)),
                said: i.said.clone(),
            })
            .collect(),
        devices: written
            .device
            .into_iter()
            .map(|d| Device {
                names: patterns(&d.names),
                places: d
                    .place
                    .into_iter()
                    .map(|p| Place {
                        loose: p.loose,
                        alone: p.alone,
                        noun: p.noun,
                        right: patterns(&p.right),
                        wrong: p.wrong,
                        moving: p.moving,
                    })
                    .collect(),
            })
            .collect(),
    }
});

//! What a bundle's model says of the trial picture: recorded when the bundle was made, compared where it is opened. The
//! picture and the comparison are in `tasks/trial.rs`.

use serde::{Deserialize, Serialize};

use crate::systems::Task;

/// What a model says of the trial picture, as the CPU of the bundle's maker computed it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Which picture it was. An engine that draws another one compares nothing.
    pub picture: u32,
    /// What was asked.
    pub task: Task,
    /// The words of a draft, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// The same as token ids: another device says exactly these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<u32>,
    /// The numbers of any other task (logits of findings, probabilities): another device comes close to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub numbers: Vec<f32>,
}

//! The systems, one file a paper: config, module, forward, losses.

pub mod learn;
pub mod medvill;

use learn::Sizes;
use medvill::MedVillConfig;

/// How far a system has come, for the shell's table.
pub struct SystemInfo {
    /// The name on the command line.
    pub name: &'static str,
    /// The paper.
    pub paper: &'static str,
    /// What the engine does with it today.
    pub tasks: &'static [&'static str],
    /// Named sizes.
    pub presets: &'static [&'static str],
}

/// The systems that the engine runs.
pub const SYSTEMS: [SystemInfo; 1] = [SystemInfo {
    name: MedVillConfig::SYSTEM,
    paper: "MedViLL: Multi-modal understanding and generation for medical images and text (Moon et al. 2021)",
    tasks: &["draft", "findings", "retrieve", "vqa"],
    presets: MedVillConfig::PRESETS,
}];

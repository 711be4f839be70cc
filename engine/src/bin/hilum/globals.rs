//! What every subcommand takes.

use clap::{Args, ValueEnum};

/// Where tensors live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DeviceChoice {
    /// WebGPU where there is a real adapter, else the CPU.
    #[default]
    Auto,
    /// WebGPU, or an error.
    Webgpu,
    /// The CPU.
    Cpu,
}

/// The global options.
#[derive(Clone, Debug, Args)]
pub struct Globals {
    /// Where to compute.
    #[arg(long, global = true, value_enum, default_value_t)]
    pub device: DeviceChoice,
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    pub json: bool,
    /// Seed of every random draw; 0, or what a config says, where it is not given.
    #[arg(long, global = true)]
    pub seed: Option<u64>,
}

/// Prints a line to stdout; a reader that has closed the pipe has seen enough and is no error.
pub fn say(line: impl std::fmt::Display) -> anyhow::Result<()> {
    use std::io::Write;
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

impl Globals {
    /// Prints `value` with `--json`, else `text`.
    pub fn tell(&self, value: &serde_json::Value, text: impl std::fmt::Display) -> anyhow::Result<()> {
        if self.json { say(value) } else { say(text) }
    }

    /// The device that was asked for, opened.
    ///
    /// # Errors
    /// When WebGPU was asked for by name and cannot be had.
    pub fn open_device(&self) -> anyhow::Result<hilum::device::Chosen> {
        let choice = match self.device {
            DeviceChoice::Auto => hilum::device::DeviceChoice::Auto,
            DeviceChoice::Webgpu => hilum::device::DeviceChoice::WebGpu,
            DeviceChoice::Cpu => hilum::device::DeviceChoice::Cpu,
        };
        Ok(pollster::block_on(hilum::device::choose(choice))?)
    }
}

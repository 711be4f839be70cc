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
    /// Seed of every random draw.
    #[arg(long, global = true, default_value_t = 0)]
    pub seed: u64,
}

impl Globals {
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

//! The one protocol between the page and the worker that holds the engine: one enum each way, one request and one
//! answer for every task.
//!
//! The page sends [`ToEngine::Open`] once, [`ToEngine::Add`] for each further bundle, then images and what it asks about them.
//! Every answer carries the number of its request, so that a late answer to a request that was given up is told apart.
//!
//! One message is not of these enums, for it holds the browser's own objects: `{ folder, files }`, the name under which a
//! folder's bundle is opened and a `Map` from the paths in it to `File`s. It comes before the bundle is opened.

mod review;
mod route;

use hilum_image::{Radiograph, ReportText};
use serde::{Deserialize, Serialize};

pub use review::Review;
pub use route::{Candidate, route};

pub use hilum_task::structured;
pub use hilum_task::{
    Answer, Area, Case, Checked, Closeness, Doubt, Drafted, Found, Looked, Mark, Partial, Piece, Reading,
    Task, TaskRequest, TaskResult, Unlikeness, Word, words,
};

/// Where to compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceChoice {
    /// Whichever is faster in a trial, where there is a hardware adapter, else the CPU.
    #[default]
    Auto,
    /// WebGPU, on a software adapter too.
    WebGpu,
    /// The CPU.
    Cpu,
}

impl DeviceChoice {
    /// As in the page's address, `?device=webgpu`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "webgpu" => Some(Self::WebGpu),
            "cpu" => Some(Self::Cpu),
            _ => None,
        }
    }

    /// As in the page's address.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::WebGpu => "webgpu",
            Self::Cpu => "cpu",
        }
    }
}

/// What a bundle from a folder of the reader's has in the place of an address, before the folder's name.
pub const FOLDER: &str = "folder:";

/// What there is to say of a bundle, whether it is open or not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bundle {
    /// Its name.
    pub name: String,
    /// The SHA-256 of its `bundle.json`.
    pub sha256: String,
    /// Its system.
    pub system: String,
    /// What it was trained on, in its own words.
    pub data: String,
    /// What it can be asked for: the tasks of the bundle, [`Task::Retrieve`] only where it has a gallery; of a published one no more
    /// than the page says.
    pub tasks: Vec<Task>,
    /// Whether it reads text: without that, cases are searched for by a radiograph alone.
    #[serde(default)]
    pub reads_text: bool,
    /// Bytes of its files in all; of a kept bundle, of those that are kept.
    pub bytes: u64,
}

/// A bundle that can be opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    /// Where its files are: an address, or [`FOLDER`] with a name.
    pub at: String,
    /// The bundle.
    pub bundle: Bundle,
}

/// From the page to the engine.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToEngine {
    /// Choose a device, load the bundle, compile what it needs.
    Open {
        /// The device.
        device: DeviceChoice,
        /// Where the bundle's files are: a folder's absolute address on the page's own origin, or [`FOLDER`] with a name.
        bundle: String,
        /// SHA-256 of its `bundle.json`, where that is known: then nothing need be asked of the network when the
        /// browser has it in storage.
        sha256: Option<String>,
        /// What it is asked for, where that is not all that it offers.
        tasks: Option<Vec<Task>>,
        /// Why [`DeviceChoice::Auto`] is not to try the adapter, where a worker that did was given up.
        failed: Option<String>,
    },
    /// Open a further bundle, on the device of the first.
    Add {
        /// Where its files are, as in [`ToEngine::Open`].
        bundle: String,
        /// SHA-256 of its `bundle.json`, where that is known.
        sha256: Option<String>,
        /// What it is asked for, where that is not all that it offers.
        tasks: Option<Vec<Task>>,
    },
    /// Close a bundle.
    Close {
        /// Which.
        sha256: String,
    },
    /// List the bundles that are kept in the browser's storage.
    Stored,
    /// Drop a bundle's files from the browser's storage, but for those that another one that is kept names too; an open bundle
    /// stays open. The answer is what is kept then.
    Free {
        /// Which.
        sha256: String,
    },
    /// Decode a file. It cancels every request about the image before it.
    Image {
        /// The request's number.
        request: u32,
        /// The file's content.
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    /// Take the text of a structured report.
    Report {
        /// The request's number.
        request: u32,
        /// The file's content.
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    /// Run a task on the image that was decoded last. It cancels the request of the same task before it.
    Run {
        /// The request's number.
        request: u32,
        /// What is asked.
        task: TaskRequest,
        /// The SHA-256 of the bundle that is asked; without it, the one that [`route`] names.
        bundle: Option<String>,
    },
    /// Cancel a request: a draft ends after the present token, a search without a result.
    Cancel {
        /// The request's number.
        request: u32,
    },
    /// Answer, to show that the worker is alive.
    Ping,
    /// Destroy the WebGPU device: for tests of what comes after.
    LoseDevice,
}

/// What the engine is busy with before it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// The engine's own program is loading: the page says so by itself.
    Program,
    /// Asking for an adapter.
    Device,
    /// Weights are loading: bytes.
    Weights,
    /// A trial on the CPU: its steps.
    TryingCpu,
    /// A trial on the adapter, in which pipelines are compiled: its steps.
    TryingAdapter,
}

/// Times of getting ready, in milliseconds, on all devices that were tried together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OpenTimes {
    /// Choosing the device.
    pub device: f64,
    /// Reading and verifying the bundle's files, from storage or the network.
    pub files: f64,
    /// Decoding weights and putting them on the device.
    pub upload: f64,
    /// Trials, in which pipelines are compiled.
    pub warm: f64,
}

/// What trials of a bundle on this machine took, where both devices were tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// On the CPU, in milliseconds.
    pub cpu_ms: Option<f64>,
    /// On the adapter, in milliseconds; none where it failed. Its trial ends after [`Trial::MOST`] times the CPU's.
    pub adapter_ms: Option<f64>,
    /// Whether that was at an earlier start.
    pub kept: bool,
}

impl Trial {
    /// An adapter that takes so many times as long as the CPU is not waited for.
    pub const MOST: f64 = 2.0;
}

/// What the engine runs on and with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// "CPU", or "WebGPU" with the adapter's name.
    pub device: String,
    /// Whether that is WebGPU.
    pub webgpu: bool,
    /// Why it is the CPU, where WebGPU would have been taken; or what is wrong with the device.
    pub why: Option<String>,
    /// What was measured.
    pub trial: Trial,
    /// What the reader should know of the device, in a sentence.
    pub note: Option<String>,
    /// Where its files came from, as it was asked for.
    pub at: String,
    /// The bundle.
    pub bundle: Bundle,
    /// Bytes that came over the network or from a folder; the others came from storage.
    pub downloaded: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Why the bundle was not kept in the browser's storage, where it was not.
    pub not_kept: Option<String>,
    /// Times.
    pub times: OpenTimes,
    /// Size of the worker's memory in bytes once the weights were loaded. It never shrinks, so it is the peak
    /// of loading.
    pub memory_loaded: u64,
    /// The same after the trial run.
    pub memory: u64,
}

/// A decoded radiograph, small enough for the screen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shown {
    /// All but its values.
    pub radiograph: Radiograph,
    /// The values, little-endian f32.
    #[serde(with = "serde_bytes")]
    pub values: Vec<u8>,
    /// 1 where a pixel is padding; empty where none is.
    #[serde(with = "serde_bytes")]
    pub padding: Vec<u8>,
    /// Columns and rows of the file's image.
    pub full: (usize, usize),
}

impl Shown {
    /// Packs a radiograph, its longer side shrunk to at most `most` pixels.
    pub fn new(whole: &Radiograph, most: usize) -> Self {
        let mut small = whole.shrunk(most);
        // Lists of numbers would cross as lists of objects; bytes cross as they are.
        let values = std::mem::take(&mut small.values)
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        let padding = small
            .padding
            .take()
            .unwrap_or_default()
            .into_iter()
            .map(u8::from)
            .collect();
        Self {
            radiograph: small,
            values,
            padding,
            full: (whole.width, whole.height),
        }
    }

    /// The radiograph again.
    pub fn unpack(self) -> Radiograph {
        let values = self
            .values
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b))
            .collect();
        let padding = (!self.padding.is_empty()).then(|| self.padding.iter().map(|p| *p == 1).collect());
        Radiograph {
            values,
            padding,
            ..self.radiograph
        }
    }
}

/// From the engine to the page.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromEngine {
    /// On the way to being ready.
    Progress {
        /// What it is busy with.
        phase: Phase,
        /// How far.
        done: u64,
        /// Of how much; 0 where it is not known.
        total: u64,
    },
    /// A bundle is open, the first or a further one.
    Opened(Box<Opened>),
    /// The first cannot be opened: why, and what to do.
    NotOpened(String),
    /// A further bundle cannot be opened; those that are open are as before.
    NotAdded {
        /// Where its files are, as it was asked for.
        bundle: String,
        /// Why, and what to do.
        why: String,
    },
    /// The bundles in the browser's storage.
    Stored(Vec<Listed>),
    /// A decoded image.
    Image {
        /// The request's number.
        request: u32,
        /// The image, or a sentence that says why there is none.
        result: Result<Box<Shown>, String>,
    },
    /// The text of a structured report.
    Report {
        /// The request's number.
        request: u32,
        /// It, or a sentence that says why there is none.
        result: Result<ReportText, String>,
    },
    /// How unlike what a bundle's model was trained on an image is: told once for each, before anything is said of what it
    /// shows.
    Judged {
        /// The image's request.
        request: u32,
        /// The SHA-256 of the bundle.
        bundle: String,
        /// It; nothing where the bundle cannot tell.
        unlikeness: Option<Unlikeness>,
    },
    /// What there is of a task's result before it is whole.
    Partial {
        /// The request's number.
        request: u32,
        /// It.
        partial: Partial,
    },
    /// The end of a task.
    Done {
        /// The request's number.
        request: u32,
        /// The SHA-256 of the bundle that served it; empty where none could.
        bundle: String,
        /// The result, or a sentence that says why there is none.
        result: Result<TaskResult, String>,
    },
    /// The WebGPU device is gone, and all that was on it: this worker is of no use any more.
    Lost(String),
    /// The answer to [`ToEngine::Ping`].
    Pong,
}

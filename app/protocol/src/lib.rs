//! The one protocol between the page and the worker that holds the engine: one enum each way.
//!
//! The page sends [`ToEngine::Open`] once, then pictures and what it asks of them. Every answer carries the
//! number that its request had, so that what comes late, from a request that was given up, is told apart.

use hilum_image::Radiograph;
use serde::{Deserialize, Serialize};

/// Where to compute, as the reader wishes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wish {
    /// WebGPU where there is an adapter that is no software, else the CPU.
    #[default]
    Auto,
    /// WebGPU, on a software adapter too.
    WebGpu,
    /// The CPU.
    Cpu,
}

impl Wish {
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

/// From the page to the engine.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToEngine {
    /// Choose a device, load the bundle, compile what it needs.
    Open {
        /// The device.
        wish: Wish,
        /// The bundle's folder, an absolute address of the page's own origin.
        bundle: String,
        /// SHA-256 of its `bundle.json`, where the page was built with it: then nothing need be asked of the
        /// network when the browser has it in storage.
        sha256: Option<String>,
    },
    /// Decode a file.
    Picture {
        /// The request's number.
        request: u32,
        /// The file's content.
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    /// Draft a report of the picture that was decoded last.
    Draft {
        /// The request's number.
        request: u32,
    },
    /// End the draft after the present word.
    Stop,
    /// Read the fourteen categories from the picture.
    Findings {
        /// The request's number.
        request: u32,
    },
    /// Answer a question of the picture.
    Ask {
        /// The request's number.
        request: u32,
        /// The question.
        question: String,
    },
    /// Search the bundle's gallery.
    Search {
        /// The request's number.
        request: u32,
        /// A report or part of one; without it, the picture is what is searched for.
        text: Option<String>,
    },
    /// End the search.
    StopSearch,
    /// Answer, to show that the worker is alive.
    Ping,
    /// Destroy the WebGPU device: for tests of what comes after.
    LoseDevice,
}

/// What the engine is busy with before it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// The engine's own program, on its way: the page says so by itself.
    Program,
    /// Asking for an adapter.
    Device,
    /// Weights on their way: bytes.
    Weights,
    /// Pipelines: a trial draft, in words.
    Warming,
}

/// Times of getting ready, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OpenTimes {
    /// Choosing the device.
    pub device: f64,
    /// Reading and verifying the bundle's files, from storage or the network.
    pub files: f64,
    /// Decoding weights and putting them on the device.
    pub upload: f64,
    /// Compiling pipelines in a trial draft.
    pub warm: f64,
}

/// What the bundle can be asked for besides a draft.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offers {
    /// Findings.
    pub findings: bool,
    /// Cases like the picture or like a text: it was trained to tell, and there is a gallery.
    pub search: bool,
    /// Answers to questions.
    pub answers: bool,
}

/// What the engine runs on and with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// "CPU", or "WebGPU" with the adapter's name.
    pub device: String,
    /// Whether that is WebGPU.
    pub webgpu: bool,
    /// Why it is the CPU, where WebGPU would have been taken.
    pub why: Option<String>,
    /// The bundle's name.
    pub bundle: String,
    /// Its hash.
    pub sha256: String,
    /// Its system.
    pub system: String,
    /// What it was trained on, in its own words.
    pub data: String,
    /// What it can be asked for.
    pub offers: Offers,
    /// Bytes that came over the network; the others came from storage.
    pub downloaded: u64,
    /// Bytes in all.
    pub bytes: u64,
    /// Why the bundle was not kept in the browser's storage, where it was not.
    pub not_kept: Option<String>,
    /// Times.
    pub times: OpenTimes,
    /// Size of the worker's memory in bytes once the weights were loaded. It never shrinks, so it is the peak
    /// of loading.
    pub memory_loaded: u64,
    /// The same after the trial draft.
    pub memory: u64,
}

/// A decoded picture, small enough for the screen.
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
    /// Columns and rows of the file's picture.
    pub full: (usize, usize),
}

impl Shown {
    /// Packs a picture.
    pub fn new(picture: &Radiograph, most: usize) -> Self {
        let mut small = picture.shrunk(most);
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
            full: (picture.width, picture.height),
        }
    }

    /// The picture again.
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

/// One word piece of a draft, for those who compare.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Piece {
    /// Its text.
    pub text: String,
    /// Its probability.
    pub probability: f32,
    /// By how much its log-probability leads.
    pub lead: f32,
}

/// A draft that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drafted {
    /// The whole text.
    pub text: String,
    /// Its word pieces.
    pub pieces: Vec<Piece>,
    /// Whether the model came to its end, rather than to the limit or a stop.
    pub finished: bool,
    /// Whether the reader stopped it.
    pub stopped: bool,
    /// Milliseconds until the picture was encoded.
    pub encode_ms: f64,
    /// Milliseconds until the first word, the encoder included.
    pub first_ms: f64,
    /// Word pieces a second.
    pub pieces_per_s: f64,
}

/// One category, read from the picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The category.
    pub name: String,
    /// Its calibrated probability.
    pub probability: f64,
    /// The probability from which on it is said to be there.
    pub operating_point: f64,
    /// Whether it is said to be there.
    pub present: bool,
    /// Where, for a category that has a side and is said to be there.
    pub side: Option<String>,
}

/// An answer with its probability.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The answer.
    pub text: String,
    /// Its probability.
    pub probability: f32,
}

/// A case of the gallery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// Its name in its collection.
    pub id: String,
    /// The probability that it belongs to what was searched for.
    pub probability: f32,
    /// The categories that it shows.
    pub labels: Vec<String>,
    /// Its report.
    pub report: String,
    /// Its picture, [`Found::side`] pixels a side, one byte each.
    #[serde(with = "serde_bytes")]
    pub picture: Vec<u8>,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// Where the cases come from.
    pub source: String,
    /// How many were searched.
    pub searched: usize,
    /// Pixels a side of their pictures.
    pub side: usize,
    /// The likeliest, likeliest first.
    pub cases: Vec<Case>,
}

/// What a search is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Search {
    /// The gallery is on its way: bytes.
    Loading,
    /// Cases are compared.
    Comparing,
}

/// From the engine to the page.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromEngine {
    /// On the way to being ready.
    Progress {
        /// With what.
        phase: Phase,
        /// How far.
        done: u64,
        /// Of how much; 0 where it is not known.
        total: u64,
    },
    /// Ready.
    Opened(Opened),
    /// It cannot get ready: why, and what to do.
    NotOpened(String),
    /// A decoded picture.
    Picture {
        /// The request's number.
        request: u32,
        /// The picture, or a sentence of why there is none.
        result: Result<Box<Shown>, String>,
    },
    /// The next words of a draft.
    Words {
        /// The request's number.
        request: u32,
        /// What they add to its text.
        text: String,
    },
    /// The end of a draft.
    Drafted {
        /// The request's number.
        request: u32,
        /// The draft, or a sentence of why there is none.
        result: Result<Drafted, String>,
    },
    /// The end of [`ToEngine::Findings`].
    Findings {
        /// The request's number.
        request: u32,
        /// All fourteen, likeliest first, or a sentence of why there are none.
        result: Result<Vec<Reading>, String>,
    },
    /// The end of [`ToEngine::Ask`].
    Answers {
        /// The request's number.
        request: u32,
        /// The likeliest, likeliest first, or a sentence of why there are none.
        result: Result<Vec<Answer>, String>,
    },
    /// On the way to what is searched for.
    Searching {
        /// The request's number.
        request: u32,
        /// With what.
        phase: Search,
        /// How far.
        done: u64,
        /// Of how much.
        total: u64,
    },
    /// The end of a search that was not stopped.
    Found {
        /// The request's number.
        request: u32,
        /// What was found, or a sentence of why nothing was.
        result: Result<Found, String>,
    },
    /// The WebGPU device is gone, and all that was on it: this worker is of no use any more.
    Lost(String),
    /// The answer to [`ToEngine::Ping`].
    Pong,
}

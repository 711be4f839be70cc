//! Why the worker could not do what the page asked: one sentence each.

use hilum::bundle::BundleError;
use hilum::device::DeviceError;
use hilum::image::ImageError;
use hilum::tasks::TaskError;
use hilum::text::TextError;
use thiserror::Error;

/// Why the worker could not do what the page asked.
#[derive(Debug, Error)]
pub enum WorkerError {
    /// A request came before a bundle was opened.
    #[error("the engine is not ready yet; wait until the page says so")]
    NotReady,
    /// A file did not arrive.
    #[error("{name} could not be loaded ({reason}); check the connection to the server and try again")]
    NotLoaded {
        /// The file.
        name: String,
        /// What the browser says.
        reason: String,
    },
    /// The server refused a file.
    #[error("the server has no {name} (it answered {status}); is the bundle's folder complete?")]
    NotThere {
        /// The file.
        name: String,
        /// The HTTP status.
        status: u16,
    },
    /// A file that goes on after its end.
    #[error("{name} is longer than the {most} bytes that it should have; the bundle is damaged")]
    TooLong {
        /// The file.
        name: String,
        /// Bytes that it may have.
        most: u64,
    },
    /// Another `bundle.json` than the page was built with.
    #[error(
        "the model on the server is not the one that this page was built with; reload the page, or publish page and \
         model together"
    )]
    OtherBundle,
    /// No device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A bundle that cannot be used.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A tokenizer that cannot be used.
    #[error(transparent)]
    Text(#[from] TextError),
    /// A file that is no radiograph.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A task without a result.
    #[error(transparent)]
    Task(#[from] TaskError),
}

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
    /// What is asked of a bundle that was closed since.
    #[error("the bundle that wrote it is closed; open it again, or draft anew")]
    Closed,
    /// A file did not arrive.
    #[error("{name} could not be loaded ({reason}); check the connection to the server and try again")]
    NotLoaded {
        /// The file.
        name: String,
        /// What the browser says.
        reason: String,
    },
    /// A file that a folder's bundle should have.
    #[error("the folder has no {name}, which a bundle of this kind has; copy or export the bundle again")]
    NotInFolder {
        /// The file.
        name: String,
    },
    /// A file of a bundle from a folder that is at hand no more.
    #[error("this browser no longer keeps its {name}; open the bundle from its folder again")]
    NotKept {
        /// The file.
        name: String,
    },
    /// A file of a folder that cannot be read.
    #[error("the browser could not read {name} ({reason}); was it moved or removed?")]
    NotRead {
        /// The file.
        name: String,
        /// What the browser says.
        reason: String,
    },
    /// A bundle that is open.
    #[error("it is open already, as {name}")]
    Open {
        /// Its name.
        name: String,
    },
    /// A bundle that does not say what its manifest records.
    #[error(
        "its words in a trial are not those that its maker recorded: the bundle or this program is damaged, or the device \
         computes wrongly"
    )]
    WrongWords,
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

//! Why a task gave no result.

use thiserror::Error;

use crate::systems::Task;

/// Why a task gave no result.
#[derive(Debug, Error)]
pub enum TaskError {
    /// The bundle was not trained for it.
    #[error("the bundle does not offer {task}; it offers {offered}. Use a bundle whose tasks name it")]
    NotOffered {
        /// What was asked for.
        task: Task,
        /// What it offers.
        offered: String,
    },
    /// The model was not made for it.
    #[error("the model has no {0}; use a bundle whose tasks name it")]
    NoHead(&'static str),
    /// The bundle has no tokenizer, and text is to be read or written.
    #[error("the bundle has no tokenizer, which {0} needs; import or export it with one")]
    NoTokenizer(Task),
    /// Outputs without names, or names without outputs.
    #[error("the model has {outputs} {what} and the bundle names {named}; export it anew")]
    Unnamed {
        /// Labels or answers.
        what: &'static str,
        /// Of the model.
        outputs: usize,
        /// Of the bundle.
        named: usize,
    },
    /// A tokenizer of another vocabulary.
    #[error("the tokenizer has {tokens} tokens, the model {vocabulary}; give the model its own tokenizer")]
    Vocabulary {
        /// Of the tokenizer.
        tokens: usize,
        /// Of the model.
        vocabulary: usize,
    },
    /// There is no gallery to search.
    #[error("the bundle has no gallery; add one with hilum gallery build")]
    NoGallery,
    /// The gallery is not the model's.
    #[error("the bundle's gallery cannot be used: {0}; build it again with hilum gallery build")]
    Gallery(&'static str),
    /// The gate is not the model's.
    #[error(
        "the bundle's gate takes {of} numbers of a picture and its model gives {given}; fit it again with hilum gate fit"
    )]
    Gate {
        /// That the gate takes.
        of: usize,
        /// That the model gives.
        given: usize,
    },
    /// There is no radiograph to ask about.
    #[error("there is no radiograph yet; open one first")]
    NoImage,
    /// Its model reads no text.
    #[error("this bundle compares pictures alone; search with a radiograph")]
    PicturesAlone,
    /// Nothing to search for.
    #[error("the query is empty; name a radiograph, or write a text")]
    EmptyQuery,
    /// There is nothing to check.
    #[error("the report is empty: write or paste the report that is to be checked")]
    EmptyReport,
    /// What is to be checked is no report of a chest radiograph.
    #[error("{0}")]
    Subject(crate::text::Subject),
    /// The radiograph cannot be shown.
    #[error(transparent)]
    Image(#[from] crate::image::ImageError),
    /// The device would not give its values.
    #[error("the device did not return its results: {0}; its memory may be exhausted or it was lost")]
    Device(String),
    /// The model computes no numbers.
    #[error("the model's results are not numbers; the bundle is damaged or the device computes wrongly")]
    NotNumbers,
    /// Words that cannot be encoded.
    #[error(transparent)]
    Text(#[from] crate::text::TextError),
    /// A bundle that cannot be read.
    #[error(transparent)]
    Bundle(#[from] crate::bundle::BundleError),
}

/// The numbers of a tensor, read without blocking.
pub(super) async fn read_back<const D: usize>(
    tensor: burn::tensor::Tensor<D>,
) -> Result<Vec<f32>, TaskError> {
    let data = tensor
        .into_data_async()
        .await
        .map_err(|e| TaskError::Device(format!("{e:?}")))?;
    let values: Vec<f32> = data.iter::<f32>().collect();
    if values.iter().all(|v| v.is_finite()) {
        Ok(values)
    } else {
        Err(TaskError::NotNumbers)
    }
}

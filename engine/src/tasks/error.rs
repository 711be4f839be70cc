//! Why a task gave no result.

use thiserror::Error;

/// Why a task gave no result.
#[derive(Debug, Error)]
pub enum TaskError {
    /// The model was not made for it.
    #[error("the model has no {0}; use a bundle whose tasks name it")]
    NoHead(&'static str),
    /// Answers without names.
    #[error("the model knows {classes} answers and the bundle names {named}; export it anew")]
    Unnamed {
        /// Of the model.
        classes: usize,
        /// Of the bundle.
        named: usize,
    },
    /// The device would not give its values.
    #[error("the device did not return its results: {0}; its memory may be exhausted or it was lost")]
    Device(String),
    /// The model computes no numbers.
    #[error("the model's results are not numbers; the bundle is damaged or the device computes wrongly")]
    NotNumbers,
    /// Words that cannot be encoded.
    #[error(transparent)]
    Text(#[from] crate::text::TextError),
}

/// The numbers of a tensor, read without blocking.
pub(super) async fn numbers<const D: usize>(tensor: burn::tensor::Tensor<D>) -> Result<Vec<f32>, TaskError> {
    let data = tensor
        .into_data_async()
        .await
        .map_err(|e| TaskError::Device(format!("{e:?}")))?;
    let values: Vec<f32> = data.iter::<f32>().collect();
    match values.iter().all(|v| v.is_finite()) {
        true => Ok(values),
        false => Err(TaskError::NotNumbers),
    }
}

//! Where a draft's tokens looked (MedViLL, Figure 5a).

use burn::tensor::Tensor;

use super::error::{TaskError, read_back};
use super::session::Session;
use crate::nn::ints;

/// Where one token looked.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// Attention to each cell of the image, row by row, `K` values; the mean over heads and layers.
    pub cells: Vec<f32>,
    /// What of its attention went to the image; the rest went to words and separators.
    pub share: f32,
}

/// Where each token of a draft looked when it was written. Attention says where numbers came from, not why a word was
/// chosen.
///
/// # Shapes
/// - image `(1, K, F)`; nothing for a draft without tokens
///
/// # Errors
/// A model without attention, and a device that fails.
pub async fn attention(session: &Session, image: Tensor<3>, tokens: &[u32]) -> Result<Vec<Look>, TaskError> {
    if tokens.is_empty() {
        return Ok(Vec::new());
    }
    let ids = tokens.iter().map(|token| *token as i32).collect();
    let ids = ints(ids, [1, tokens.len()], &image.device());
    let attention = session.generator()?.attention(image, ids);
    let attention = attention.ok_or(TaskError::NoHead("attention to the image"))?;
    let cells = attention.dims()[2].max(1);
    let values = read_back(attention).await?;
    let look = |row: &[f32]| Look {
        cells: row.to_vec(),
        share: row.iter().sum(),
    };
    Ok(values.chunks(cells).map(look).collect())
}

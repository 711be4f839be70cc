//! Where a draft's tokens looked (MedViLL, Figure 5a).

use burn::tensor::{Int, Tensor};

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

impl Look {
    /// The share of the image that its map covers: as many cells as a map with equal weights in them and none elsewhere would
    /// have, by its entropy. 1 for a map that is equal everywhere, `1 / K` for one cell, 0 for one without any weight.
    pub fn area(&self) -> f64 {
        let sum: f64 = self.cells.iter().map(|w| f64::from(*w)).sum();
        if sum <= 0.0 {
            return 0.0;
        }
        let shares = self.cells.iter().map(|w| f64::from(*w) / sum);
        let entropy: f64 = shares.filter(|p| *p > 0.0).map(|p| -p * p.ln()).sum();
        entropy.exp() / self.cells.len() as f64
    }
}

/// Where each token of a draft looked when it was written. Attention says where numbers came from, not why a word was
/// chosen.
///
/// # Shapes
/// - image `(1, K, F)`; nothing for a draft without tokens
///
/// # Errors
/// A model without attention, tokens that it could not have written, and a device that fails.
pub async fn attention(session: &Session, image: Tensor<3>, tokens: &[u32]) -> Result<Vec<Look>, TaskError> {
    if tokens.is_empty() {
        return Ok(Vec::new());
    }
    let generator = session.generator()?;
    let ids = checked(session, tokens, &image)?;
    let attention = generator.attention(image, ids);
    read(attention.ok_or(TaskError::NoHead("attention to the image"))?).await
}

/// The same without sparsity, of a model whose attention is sparse; nothing of others.
///
/// # Errors
/// As there.
pub async fn dense_attention(
    session: &Session,
    image: Tensor<3>,
    tokens: &[u32],
) -> Result<Vec<Look>, TaskError> {
    if tokens.is_empty() {
        return Ok(Vec::new());
    }
    let ids = checked(session, tokens, &image)?;
    match session.generator()?.dense_attention(image, ids) {
        Some(attention) => read(attention).await,
        None => Ok(Vec::new()),
    }
}

/// Each token's look of a map of one image, `(1, T, K)`.
async fn read(attention: Tensor<3>) -> Result<Vec<Look>, TaskError> {
    let cells = attention.dims()[2].max(1);
    let values = read_back(attention).await?;
    let look = |row: &[f32]| Look {
        cells: row.to_vec(),
        share: row.iter().sum(),
    };
    Ok(values.chunks(cells).map(look).collect())
}

/// Tokens as a tensor; refused where they are not of the model's vocabulary, or more of them than it writes.
fn checked(session: &Session, tokens: &[u32], image: &Tensor<3>) -> Result<Tensor<2, Int>, TaskError> {
    let most = session.generator()?.max_tokens();
    let vocabulary = session.spec().text.map_or(0, |text| text.vocabulary);
    let needed = tokens.iter().max().map_or(0, |most| *most as usize + 1);
    match (needed > vocabulary, tokens.len() > most) {
        (true, _) => Err(TaskError::Vocabulary {
            tokens: needed,
            vocabulary,
        }),
        (_, true) => Err(TaskError::NoHead(
            "attention for a text that is longer than it writes",
        )),
        _ => {
            let ids = tokens.iter().map(|token| *token as i32).collect();
            Ok(ints(ids, [1, tokens.len()], &image.device()))
        }
    }
}

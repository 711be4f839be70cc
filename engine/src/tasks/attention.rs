//! Where a draft's words looked (MedViLL, Figure 5a).

use burn::tensor::Tensor;

use super::error::{TaskError, numbers};
use crate::systems::learn::ints;
use crate::systems::medvill::MedVill;
use crate::text::Specials;

/// Where one word piece looked.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// Attention to each cell of the map, row by row, `K` values; the mean of all heads of all layers.
    pub cells: Vec<f32>,
    /// What of its attention went to the picture; the rest went to words and separators.
    pub share: f32,
}

/// Where each word piece of a draft looked when it was written. Attention says where numbers came from, not
/// why a word was chosen.
///
/// # Shapes
/// - features `(1, K, features)`; nothing for a draft without words
///
/// # Errors
/// When the device fails.
pub async fn looks(
    model: &MedVill,
    features: Tensor<3>,
    words: &[u32],
    specials: Specials,
) -> Result<Vec<Look>, TaskError> {
    if words.is_empty() {
        return Ok(Vec::new());
    }
    let ids = ints(
        words.iter().map(|w| *w as i32).collect(),
        [1, words.len()],
        &features.device(),
    );
    let layers = model.attention(features, ids, specials);
    let count = layers.len() as f64;
    let Some(sum) = layers.into_iter().reduce(|sum, layer| sum + layer) else {
        return Ok(Vec::new());
    };
    let cells = sum.dims()[2];
    let values = numbers(sum.div_scalar(count)).await?;
    Ok(values
        .chunks(cells)
        .map(|row| Look {
            cells: row.to_vec(),
            share: row.iter().sum(),
        })
        .collect())
}

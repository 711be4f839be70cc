//! Which report belongs to which radiograph (MedViLL, section 4.1, retrieval): a cross-encoder that reads
//! both together.

use burn::tensor::{Tensor, activation::softmax};

use super::error::{TaskError, numbers};
use crate::systems::learn::ints;
use crate::systems::medvill::MedVill;
use crate::text::Specials;

/// Pairs that are read at once.
const AT_ONCE: usize = 50;

/// The probability that picture and report of each pair belong together.
///
/// # Shapes
/// - features `(pictures, K, features)`; pairs hold the index of a picture and that of a text, closing SEP
///   included
///
/// # Errors
/// A device that fails.
pub async fn match_probabilities(
    model: &MedVill,
    features: &Tensor<3>,
    texts: &[&[u32]],
    pairs: &[(usize, usize)],
    specials: Specials,
) -> Result<Vec<f32>, TaskError> {
    let device = features.device();
    let mut found = Vec::with_capacity(pairs.len());
    for part in pairs.chunks(AT_ONCE) {
        let rows = ints(part.iter().map(|p| p.0 as i32).collect(), [part.len()], &device);
        let words: Vec<&[u32]> = part.iter().map(|p| texts[p.1]).collect();
        let pooled = model.judge(features.clone().select(0, rows), &words, specials).0;
        let values = numbers(softmax(model.itm_logits(pooled), 1)).await?;
        found.extend(values.chunks(2).map(|row| row[1]));
    }
    Ok(found)
}

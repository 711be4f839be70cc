//! Image-text matching with hard negatives (eq. 9): in the batch, the likelier drawn the more alike.

use burn::tensor::Tensor;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{ReadTexts, Xvl};
use crate::nn::loss::cross_entropy;
use crate::nn::samples_of;

/// For each row of a square table of probabilities another column, drawn by them; the diagonal is no choice. `None` where there is none.
pub(super) fn draw_negatives(table: &[f32], rows: usize, rng: &mut ChaCha8Rng) -> Option<Vec<usize>> {
    if rows < 2 || table.len() != rows * rows {
        return None;
    }
    let draw = |row: usize| {
        let weight = |column: usize| {
            if column == row {
                0.0
            } else {
                f64::from(table[row * rows + column]).max(1e-9)
            }
        };
        let total: f64 = (0..rows).map(weight).sum();
        let mut left = rng.random::<f64>() * total;
        let chosen = (0..rows).filter(|column| *column != row).find(|&column| {
            left -= weight(column);
            left < 0.0
        });
        // What is left of rounding falls to the last.
        chosen.unwrap_or(if row + 1 == rows { rows - 2 } else { rows - 1 })
    };
    Some((0..rows).map(draw).collect())
}

/// For each study of a batch, the other one whose image and whose text stand for its own in a pair that does not match.
#[derive(Clone, Debug)]
pub struct Negatives {
    /// Images for the texts.
    pub image: Vec<usize>,
    /// Texts for the images.
    pub text: Vec<usize>,
}

impl Xvl {
    /// The loss of both paths, summed (*release*), over the pairs as they are and those of `negatives`.
    ///
    /// # Shapes
    /// - image `(B, 1 + K, width)`, texts `(B, T, width)` -> `(1)`
    pub fn matching_loss(
        &self,
        image: &Tensor<3>,
        texts: &ReadTexts,
        negatives: &Negatives,
    ) -> Option<Tensor<1>> {
        let batch = image.dims()[0];
        let images = Tensor::cat(
            vec![image.clone(), samples_of(image, &negatives.image), image.clone()],
            0,
        );
        let order: Vec<usize> = (0..batch)
            .chain(0..batch)
            .chain(negatives.text.iter().copied())
            .collect();
        let read = ReadTexts {
            hidden: samples_of(&texts.hidden, &order),
            lengths: order.iter().map(|&row| texts.lengths[row]).collect(),
        };
        let targets: Vec<Option<usize>> = (0..3 * batch).map(|row| Some(usize::from(row < batch))).collect();
        let [text, picture] = self.matching_logits(&images, &read);
        Some(cross_entropy(text, &targets)? + cross_entropy(picture, &targets)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::stream;

    #[test]
    fn negatives_are_never_the_own_and_mostly_the_alike() {
        let mut rng = stream(7, 0);
        let table = [0.5, 0.4, 0.1, 0.4, 0.5, 0.1, 0.3, 0.3, 0.4];
        let mut counts = [[0usize; 3]; 3];
        for _ in 0..2000 {
            for (row, column) in draw_negatives(&table, 3, &mut rng)
                .unwrap()
                .into_iter()
                .enumerate()
            {
                counts[row][column] += 1;
            }
        }
        assert!((0..3).all(|i| counts[i][i] == 0), "{counts:?}");
        // 4 to 1 of the first row, level in the last.
        assert!((1500..1700).contains(&counts[0][1]), "{counts:?}");
        assert!((900..1100).contains(&counts[2][0]), "{counts:?}");
        assert!(draw_negatives(&[1.0], 1, &mut rng).is_none());
    }
}

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

/// Reports with a mistake, which do not match the very image that they were written of (*ours*).
#[derive(Clone, Debug)]
pub struct MistakenTexts {
    /// The image of each.
    pub images: Vec<usize>,
    /// The reports.
    pub texts: ReadTexts,
}

impl Xvl {
    /// The loss of both paths, summed (*release*), or of the one that the config names, over the pairs as they are, those of `negatives`,
    /// and mistaken reports.
    ///
    /// # Shapes
    /// - image `(B, 1 + K, width)`, texts `(B, T, width)` -> `(1)`
    pub fn matching_loss(
        &self,
        image: &Tensor<3>,
        texts: &ReadTexts,
        negatives: &Negatives,
        mistaken: Option<&MistakenTexts>,
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
        let mut logits = self.path_logits(&images, &read);
        let mut pairs = 3 * batch;
        if let Some(mistaken) = mistaken {
            let own = samples_of(image, &mistaken.images);
            let [text, picture] = self.path_logits(&own, &mistaken.texts);
            let more = |logits: Option<_>, new| Some(Tensor::cat(vec![logits?, new?], 0));
            logits = match logits {
                [of_text, of_image] => [more(of_text, text), more(of_image, picture)],
            };
            pairs += mistaken.images.len();
        }
        let targets: Vec<Option<usize>> = (0..pairs).map(|row| Some(usize::from(row < batch))).collect();
        match logits.map(|logits| cross_entropy(logits?, &targets)) {
            [Some(text), Some(picture)] => Some(text + picture),
            [one, other] => one.or(other),
        }
    }
}

impl Xvl {
    /// Grad-CAM of each word on the cross-attention of a layer, of the text path's score (Figures 3 and S3). *Ours* is the layer, which the
    /// paper does not name: the middle one, ALBEF's third of six.
    ///
    /// # Shapes
    /// - image `(1, 1 + K, width)`, text of `T` tokens -> `(T, K)`
    pub(super) fn matching_maps(&self, image: Tensor<3>, text: &[u32]) -> Option<Tensor<2>> {
        let read = self.read(&self.texts(&[text]));
        let [_, tokens, width] = read.hidden.dims();
        let patches = image.dims()[1] - 1;
        // The score is read from CLS: (width, 2) -> (1, width), and nothing from the other rows.
        let heads = self.itm_head_t.weight.val();
        let slope = (heads.clone().narrow(1, 1, 1) - heads.narrow(1, 0, 1)).transpose();
        let others = Tensor::zeros([tokens - 1, width], &image.device());
        let score = Tensor::cat(vec![slope, others], 0);
        let (first, layers) = (self.below(), self.config.bert.layers);
        let watched = first + (self.config.fusion - 1) / 2;
        let maps = self
            .encoder
            .grad_cam(first..layers, watched, read.hidden, image, score)?;
        Some(maps.narrow(0, 1, tokens - 1).narrow(1, 1, patches))
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

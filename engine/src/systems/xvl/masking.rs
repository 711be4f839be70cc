//! Words left out; masked words from the picture and the words around them (eq. 7), and masked patches from the text and the patches around
//! them, against a momentum teacher that sees all (eq. 8; iBOT, Zhou et al. 2022, section 3).

use burn::tensor::Tensor;
use burn::tensor::activation::{log_softmax, softmax};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{MimConfig, ReadTexts, Xvl, XvlConfig};
use crate::nn::loss::{cross_entropy, soft_cross_entropy};
use crate::nn::rows_of;
use crate::systems::train::{Memory, replaced};

/// Texts with words masked.
#[derive(Clone, Debug, Default)]
pub struct MaskedTexts {
    /// As they are read, closing SEP included.
    pub texts: Vec<Vec<u32>>,
    /// Text, place and true token of each word that is asked for.
    pub asked: Vec<(usize, usize, u32)>,
}

impl MaskedTexts {
    /// Rows of the words that are asked for, in hidden states of `columns` tokens a text, CLS in front.
    fn rows(&self, columns: usize) -> impl Iterator<Item = usize> {
        self.asked
            .iter()
            .map(move |(text, place, _)| text * columns + place + 1)
    }

    fn targets(&self) -> Vec<Option<usize>> {
        self.asked
            .iter()
            .map(|(.., token)| Some(*token as usize))
            .collect()
    }
}

/// Masks words of texts: each with a chance that over the text is `masked` (less where a keyword's would be above 1), words of Medical Subject Headings `keyword` times as likely as
/// others. The closing SEP is never asked for (*ours*).
pub fn mask_words(texts: &[&[u32]], config: &XvlConfig, mask: u32, rng: &mut ChaCha8Rng) -> MaskedTexts {
    let vocabulary = config.bert.vocabulary as u32;
    let mut masked = MaskedTexts::default();
    for (number, text) in texts.iter().enumerate() {
        let words = text.len().saturating_sub(1);
        let weight = |token: u32| {
            if config.is_mesh(token) {
                config.keyword
            } else {
                1.0
            }
        };
        let total: f64 = text[..words].iter().map(|token| weight(*token)).sum();
        let share = config.masked * words as f64 / total.max(1.0);
        let mut read = text.to_vec();
        for (place, &token) in text[..words].iter().enumerate() {
            if rng.random::<f64>() < share * weight(token) {
                read[place] = replaced(token, mask, rng, |rng| rng.random_range(0..vocabulary));
                masked.asked.push((number, place, token));
            }
        }
        masked.texts.push(read);
    }
    masked
}

/// A text without a share of its words, others each time; its closing SEP stays.
fn leave_out(text: &[u32], share: f64, rng: &mut ChaCha8Rng) -> Vec<u32> {
    let words = text.len().saturating_sub(1);
    let mut stays = |place: usize| share == 0.0 || place == words || rng.random::<f64>() >= share;
    let kept = text.iter().enumerate().filter(|(place, _)| stays(*place));
    kept.map(|(_, token)| *token).collect()
}

/// [`leave_out`] of each text for the student and, others, for the teacher: what two readings have in common is what the text says.
pub(super) fn two_readings(texts: &[&[u32]], share: f64, rng: &mut ChaCha8Rng) -> [Vec<Vec<u32>>; 2] {
    let mut thinned = || texts.iter().map(|text| leave_out(text, share, rng)).collect();
    [thinned(), thinned()]
}

/// Masks blocks of a square grid of patches until their share is `ratio`: each of at least four patches, as far as that many are left
/// to mask, its sides up to 10 to 3 (BEiT, Bao et al. 2022, algorithm 1).
pub fn mask_blocks(side: usize, ratio: f64, rng: &mut ChaCha8Rng) -> Vec<bool> {
    let count = side * side;
    let wanted = ((ratio * count as f64).round() as usize).clamp(1, count);
    let mut masked = vec![false; count];
    let mut done = 0;
    while done < wanted {
        let left = wanted - done;
        let area = rng.random_range(left.min(4)..=left) as f64;
        let aspect = (rng.random_range(-1.0..=1.0) * (10.0f64 / 3.0).ln()).exp();
        let edge = |length: f64| (length.round() as usize).clamp(1, side);
        let (rows, columns) = (edge((area * aspect).sqrt()), edge((area / aspect).sqrt()));
        let (top, start) = (
            rng.random_range(0..=side - rows),
            rng.random_range(0..=side - columns),
        );
        for cell in
            (top..top + rows).flat_map(|row| (start..start + columns).map(move |column| row * side + column))
        {
            if done < wanted && !masked[cell] {
                masked[cell] = true;
                done += 1;
            }
        }
    }
    masked
}

/// The teacher's temperature at a share of the run.
pub fn teacher_temperature(config: &MimConfig, share: f64) -> f64 {
    let [from, to] = config.teacher;
    let warm = if config.warmup > 0.0 {
        (share / config.warmup).min(1.0)
    } else {
        1.0
    };
    from + (to - from) * warm
}

/// The running centre of the teacher's logits as this step finds it; for the next one it moves to their mean and keeps a share `kept` of
/// itself (DINO, Caron et al. 2021, eq. 4). What is remembered lies on the device without gradients, as the logits do.
///
/// # Shapes
/// - teacher `(rows, prototypes)` -> `(prototypes)`
pub(super) fn centre(memory: &mut Memory, name: &str, teacher: &Tensor<2>, kept: f64) -> Tensor<1> {
    let nothing = || Tensor::zeros([teacher.dims()[1]], &teacher.device());
    let centre = memory.centres.get(name).cloned().unwrap_or_else(nothing);
    // (rows, prototypes) -> (prototypes)
    let mean = teacher.clone().mean_dim(0).squeeze_dim::<1>(0);
    let moved = centre.clone().mul_scalar(kept) + mean.mul_scalar(1.0 - kept);
    memory.centres.insert(name.to_owned(), moved);
    centre
}

/// Mean cross-entropy of the student's patches against the teacher's, which are centred and sharpened (eq. 8).
///
/// # Shapes
/// - student, teacher `(patches, prototypes)`, centre `(prototypes)` -> `(1)`
pub fn mim_loss(
    student: Tensor<2>,
    teacher: Tensor<2>,
    centre: Tensor<1>,
    config: &MimConfig,
    temperature: f64,
) -> Tensor<1> {
    // (prototypes) -> (1, prototypes)
    let targets = softmax(
        (teacher - centre.unsqueeze_dim::<2>(0)).div_scalar(temperature),
        1,
    );
    let likelihoods = log_softmax(student.div_scalar(config.student), 1);
    (likelihoods * targets.detach()).sum_dim(1).mean().neg()
}

impl Xvl {
    /// Logits of the words that are asked for, `(asked, V)`.
    ///
    /// # Shapes
    /// - image `(B, 1 + K, width)`
    pub fn mlm_logits(&self, image: &Tensor<3>, masked: &MaskedTexts) -> Tensor<2> {
        let texts: Vec<&[u32]> = masked.texts.iter().map(Vec::as_slice).collect();
        let fused = self.fuse_text(&self.read(&self.texts(&texts)), image);
        let columns = fused.dims()[1];
        self.word_logits(rows_of(fused, masked.rows(columns)))
    }

    /// Eq. 7, with a share `lambda` of the teacher's distribution over the vocabulary in each target; `None` where nothing is asked.
    pub fn mlm_loss(
        &self,
        logits: Tensor<2>,
        masked: &MaskedTexts,
        opinion: Option<(Tensor<2>, f64)>,
    ) -> Option<Tensor<1>> {
        let hard = cross_entropy(logits.clone(), &masked.targets())?;
        Some(match opinion {
            Some((teacher, lambda)) if lambda > 0.0 => {
                let soft = soft_cross_entropy(logits, softmax(teacher, 1).detach()).mean();
                hard.mul_scalar(1.0 - lambda) + soft.mul_scalar(lambda)
            }
            _ => hard,
        })
    }

    /// Logits of the prototypes for some patches of the image's path, by their number in the batch's patches.
    ///
    /// # Shapes
    /// - image `(B, 1 + K, width)`, texts `(B, T, width)` -> `(patches, prototypes)`
    pub fn patch_logits(&self, image: &Tensor<3>, texts: &ReadTexts, patches: &[usize]) -> Tensor<2> {
        let fused = self.fuse_image(image, texts);
        let count = fused.dims()[1] - 1;
        let rows = patches
            .iter()
            .map(|patch| patch / count * (count + 1) + 1 + patch % count);
        self.head.forward(rows_of(fused, rows))
    }

    /// Log-probabilities of the word at a place of each text, which is read as MASK, with the picture in view.
    ///
    /// # Shapes
    /// - image `(B, 1 + K, width)`, `B` texts, closing SEP included, and places -> `(B, V)`
    pub fn masked_logits(&self, image: Tensor<3>, texts: &[&[u32]], places: &[usize]) -> Tensor<2> {
        let hide = |(text, &place): (&&[u32], &usize)| {
            let mut read = text.to_vec();
            if let Some(token) = read.get_mut(place) {
                *token = self.specials.mask;
            }
            read
        };
        let read: Vec<Vec<u32>> = texts.iter().zip(places).map(hide).collect();
        let read: Vec<&[u32]> = read.iter().map(Vec::as_slice).collect();
        let fused = self.fuse_text(&self.read(&self.texts(&read)), &image);
        let columns = fused.dims()[1];
        let rows = places
            .iter()
            .enumerate()
            .map(|(text, place)| text * columns + (place + 1).min(columns - 1));
        log_softmax(self.word_logits(rows_of(fused, rows)), 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::stream;

    #[test]
    fn keywords_are_masked_more_often_and_the_share_of_all_stays() {
        let config = XvlConfig {
            mesh: vec![7, 9],
            ..XvlConfig::tiny()
        };
        let text: Vec<u32> = (6..26).chain([3]).collect();
        let (mut mesh, mut other) = (0, 0);
        let mut rng = stream(3, 0);
        for _ in 0..4000 {
            let masked = mask_words(&[&text], &config, 4, &mut rng);
            for (_, place, token) in masked.asked {
                assert!(place < 20 && token == text[place], "SEP is never asked for");
                if config.is_mesh(token) {
                    mesh += 1
                } else {
                    other += 1
                }
            }
        }
        let each = |count: usize, words: f64| count as f64 / 4000.0 / words;
        let ratio = each(mesh, 2.0) / each(other, 18.0);
        assert!((ratio - 6.0).abs() < 0.4, "{ratio}");
        let share = (mesh + other) as f64 / 4000.0 / 20.0;
        assert!((share - 0.15).abs() < 0.005, "{share}");
    }

    #[test]
    fn student_and_teacher_read_other_words() {
        let text: Vec<u32> = (6..206).chain([3]).collect();
        let mut rng = stream(4, 0);
        let [own, teachers] = two_readings(&[&text, &text], 0.5, &mut rng);
        for (own, teachers) in own.iter().zip(&teachers) {
            assert_eq!((own.last(), teachers.last()), (Some(&3), Some(&3)));
            // Of 200 words each reads about half, and of those of the other one half again.
            let shared = own.iter().filter(|token| teachers.contains(token)).count() - 1;
            assert!(
                (75..125).contains(&own.len()) && (30..70).contains(&shared),
                "{shared}"
            );
        }
        assert_ne!(own[0], own[1]);
        let whole = two_readings(&[&text], 0.0, &mut rng);
        assert_eq!(whole, [[text.clone()], [text]].map(Vec::from));
    }

    #[test]
    fn blocks_cover_the_share_that_is_asked_for() {
        let mut rng = stream(5, 0);
        for (side, ratio, wanted) in [(14, 0.3, 59), (4, 0.3, 5), (8, 0.5, 32), (2, 0.01, 1)] {
            for _ in 0..50 {
                let masked = mask_blocks(side, ratio, &mut rng);
                assert_eq!(masked.iter().filter(|m| **m).count(), wanted);
            }
        }
        // Neighbours are masked together: of scattered patches 3 in 10 would have a masked one to their right.
        let (mut pairs, mut both) = (0, 0);
        for _ in 0..200 {
            let masked = mask_blocks(14, 0.3, &mut rng);
            for cell in (0..195).filter(|c| c % 14 < 13 && masked[*c]) {
                pairs += 1;
                both += usize::from(masked[cell + 1]);
            }
        }
        assert!(
            f64::from(both as u32) / f64::from(pairs as u32) > 0.6,
            "{both} of {pairs}"
        );
    }

    #[test]
    fn the_teacher_warms_up() {
        let config = MimConfig::default();
        for (share, expected) in [(0.0, 0.04), (0.15, 0.055), (0.3, 0.07), (1.0, 0.07)] {
            assert!((teacher_temperature(&config, share) - expected).abs() < 1e-12);
        }
    }
}

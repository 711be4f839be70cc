//! Examples decoded once and held in memory, and the batches made of them: order, shifts and masks from seeded streams.

use burn::tensor::{Device, Tensor, TensorData};
use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::TrainError;
use crate::data::Study;
use crate::image::{WindowChoice, decode_file, prepare};
use crate::text::{Certainty, Finding, Labeler, Side, Tokenizer};

/// A label of the map: present, absent, or not to be learned from.
type Target = Option<bool>;

/// One study, ready.
pub struct Example {
    /// Its name.
    pub id: String,
    /// Prepared picture, 8-bit, `size * size`, row-major.
    pub pixels: Vec<u8>,
    /// Words of the longer of findings and impression, closing SEP included.
    pub words: Vec<u32>,
    /// What is there anywhere, on the left, on the right, by category.
    pub findings: [[Target; 14]; 3],
}

/// Examples of one size.
pub struct Corpus {
    /// Side of the pictures.
    pub size: usize,
    /// The examples.
    pub examples: Vec<Example>,
}

/// The text that MedViLL learns from: the longer of findings and impression.
pub fn training_text(study: &Study) -> &str {
    study.report.longer()
}

impl Corpus {
    /// Decodes and reads `studies`; `progress` is told after each.
    ///
    /// Labels come from the data set where it has them, sides from the report by the labeler.
    ///
    /// # Errors
    /// The first picture that cannot be read, with its path.
    pub fn read(
        studies: &[Study],
        size: usize,
        words: usize,
        tokenizer: &Tokenizer,
        progress: &(dyn Fn() + Sync),
    ) -> Result<Self, TrainError> {
        let labeler = Labeler::new();
        let sep = tokenizer.specials().sep;
        let read = |study: &Study| -> Result<Example, TrainError> {
            let image = |source| TrainError::Image { path: study.image.clone(), source };
            let radiograph = decode_file(&study.image).map_err(image)?;
            let gray = radiograph.display(&WindowChoice::Default).map_err(image)?;
            let pixels = prepare(&gray, size).pixels.iter().map(|p| (p * 255.0).round() as u8).collect();
            let text = training_text(study);
            let mut ids = tokenizer.encode(text, words)?;
            ids.push(sep);
            progress();
            Ok(Example { id: study.id.clone(), pixels, words: ids, findings: targets(study, &labeler) })
        };
        #[cfg(feature = "cli")]
        let examples = {
            use rayon::prelude::*;
            studies.par_iter().map(read).collect::<Result<Vec<_>, _>>()?
        };
        #[cfg(not(feature = "cli"))]
        let examples = studies.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { size, examples })
    }

    /// The batches of one epoch: shuffled, then, within stretches of 16 batches, gathered by length, so that little of a
    /// batch is padding, and shuffled again.
    pub fn batches(&self, seed: u64, epoch: usize, size: usize) -> Vec<Vec<usize>> {
        let mut rng = stream(seed, epoch as u64);
        let mut order: Vec<usize> = (0..self.examples.len()).collect();
        order.shuffle(&mut rng);
        for stretch in order.chunks_mut(16 * size) {
            stretch.sort_by_key(|&i| self.examples[i].words.len());
        }
        let mut batches: Vec<Vec<usize>> = order.chunks(size).map(<[usize]>::to_vec).collect();
        batches.shuffle(&mut rng);
        batches
    }

    /// Pictures of a batch in [0, 1], `(batch, size, size)`; with `rng`, shifted by up to a 28th and of varied contrast.
    pub fn pictures(&self, batch: &[usize], mut rng: Option<&mut ChaCha8Rng>, device: &Device) -> Tensor<3> {
        let size = self.size;
        let mut values = Vec::with_capacity(batch.len() * size * size);
        for &index in batch {
            let pixels = &self.examples[index].pixels;
            let (dx, dy, gain, lift) = match rng.as_deref_mut() {
                Some(rng) => {
                    let reach = (size / 28) as i32;
                    let mut shift = || rng.random_range(-reach..=reach) as isize;
                    let (dx, dy) = (shift(), shift());
                    (dx, dy, rng.random_range(0.85f32..1.15), rng.random_range(-0.08f32..0.08))
                }
                None => (0, 0, 1.0, 0.0),
            };
            for y in 0..size as isize {
                for x in 0..size as isize {
                    let (sx, sy) = (x + dx, y + dy);
                    let inside = (0..size as isize).contains(&sx) && (0..size as isize).contains(&sy);
                    let value = if inside { f32::from(pixels[sy as usize * size + sx as usize]) / 255.0 } else { 0.0 };
                    values.push(((value - 0.5) * gain + 0.5 + lift).clamp(0.0, 1.0));
                }
            }
        }
        Tensor::from_data(TensorData::new(values, [batch.len(), size, size]), device)
    }
}

/// A random stream of its own for each purpose and position, so that a resumed run draws what the first would have drawn.
pub fn stream(seed: u64, position: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(position);
    rng
}

fn targets(study: &Study, labeler: &Labeler) -> [[Target; 14]; 3] {
    let reading = labeler.read(&format!("{} {}", study.report.findings, study.report.impression));
    let labels = study.labels.unwrap_or(reading.labels);
    let sides = reading.sides();
    let mut targets = [[Some(false); 14]; 3];
    for finding in Finding::ALL {
        let index = finding as usize;
        let present = match labels[index] {
            Some(Certainty::Positive) => Some(true),
            Some(Certainty::Uncertain) => None,
            Some(Certainty::Negative) | None => Some(false),
        };
        targets[0][index] = present;
        let side = |own: Side| match (present, sides[index]) {
            (Some(true), Some(side)) => Some(side == own || side == Side::Bilateral),
            (Some(true), None) | (None, _) => None,
            (Some(false), _) => Some(false),
        };
        targets[1][index] = side(Side::Left);
        targets[2][index] = side(Side::Right);
    }
    targets
}

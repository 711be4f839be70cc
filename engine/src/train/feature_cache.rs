//! The features of a corpus's images under a frozen image encoder, computed once.

use burn::tensor::{Device, Tensor, TensorData};
use sha2::Digest;

use super::corpus::Corpus;
use super::error::TrainError;
use super::image_cache::{hex, keep};
use crate::systems::Trainable;

/// Beyond this, maps are computed again at each step instead of being kept in memory.
const MOST_BYTES: usize = 8 << 30;

/// Pictures in one pass.
const AT_ONCE: usize = 32;

/// FeatureCache of a frozen image encoder, one row an example.
pub struct FeatureCache {
    rows: Vec<Vec<f32>>,
    shape: [usize; 2],
}

impl FeatureCache {
    /// The maps of all studies' pictures: those that a run before it kept, where a cache folder keeps them,
    /// else computed;
    /// `None` where they would take too much memory.
    ///
    /// # Errors
    /// A picture that cannot be read, with its path, and a cache that cannot be written.
    pub fn of<S: Trainable>(model: &S, corpus: &Corpus, device: &Device) -> Result<Option<Self>, TrainError> {
        let Some(folder) = corpus.images.folder().filter(|_| !corpus.examples.is_empty()) else {
            return Self::compute(model, corpus, device);
        };
        // What the encoder makes of the first pictures tells it from any other, however it may differ.
        let mut digest = corpus.images.digest()?;
        let first: Vec<usize> = (0..corpus.examples.len().min(AT_ONCE)).collect();
        let pixels = corpus.tensor(corpus.without_augmentation(&first)?, device);
        let Some(features) = model.valid().cached_features(pixels) else {
            return Ok(None);
        };
        digest.update(
            features
                .into_data()
                .iter::<f32>()
                .flat_map(f32::to_le_bytes)
                .collect::<Vec<u8>>(),
        );
        let file = folder.join(format!("maps-{}", hex(&digest.finalize())));
        if let Some(maps) = std::fs::read(&file)
            .ok()
            .and_then(|bytes| Self::from_bytes(&bytes, corpus.examples.len()))
        {
            return Ok(Some(maps));
        }
        let maps = Self::compute(model, corpus, device)?;
        if let Some(maps) = &maps {
            keep(&file, &maps.to_bytes())?;
        }
        Ok(maps)
    }

    /// Tokens and features as two numbers of 32 bits, then all values, little-endian.
    fn to_bytes(&self) -> Vec<u8> {
        let shape = self.shape.iter().flat_map(|&n| (n as u32).to_le_bytes());
        shape
            .chain(self.rows.iter().flatten().flat_map(|value| value.to_le_bytes()))
            .collect()
    }

    fn from_bytes(bytes: &[u8], count: usize) -> Option<Self> {
        let (words, rest) = bytes.as_chunks::<4>();
        let ([tokens, features, values @ ..], []) = (words, rest) else {
            return None;
        };
        let shape = [tokens, features].map(|n| u32::from_le_bytes(*n) as usize);
        let row = shape[0]
            .checked_mul(shape[1])
            .filter(|&row| row > 0 && Some(values.len()) == row.checked_mul(count))?;
        let rows = values
            .chunks(row)
            .map(|row| row.iter().map(|value| f32::from_le_bytes(*value)).collect())
            .collect();
        Some(Self { rows, shape })
    }

    fn compute<S: Trainable>(
        model: &S,
        corpus: &Corpus,
        device: &Device,
    ) -> Result<Option<Self>, TrainError> {
        let model = model.valid();
        let mut rows = Vec::with_capacity(corpus.examples.len());
        let mut shape = [0, 0];
        let indices: Vec<usize> = (0..corpus.examples.len()).collect();
        for batch in indices.chunks(AT_ONCE) {
            let pixels = corpus.tensor(corpus.without_augmentation(batch)?, device);
            let Some(features) = model.cached_features(pixels) else {
                return Ok(None);
            };
            let [_, tokens, width] = features.dims();
            if tokens * width * 4 * corpus.examples.len() > MOST_BYTES {
                return Ok(None);
            }
            shape = [tokens, width];
            let values: Vec<f32> = features.into_data().iter::<f32>().collect();
            rows.extend(values.chunks(tokens * width).map(<[f32]>::to_vec));
        }
        Ok(Some(Self { rows, shape }))
    }

    /// The maps of some studies, `(batch, K, features)`.
    pub fn batch(&self, studies: &[usize], device: &Device) -> Tensor<3> {
        let values: Vec<f32> = studies
            .iter()
            .flat_map(|&study| self.rows[study].iter().copied())
            .collect();
        Tensor::from_data(
            TensorData::new(values, [studies.len(), self.shape[0], self.shape[1]]),
            device,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_maps_are_those_that_were_computed_and_others_are_not_taken() {
        let maps = FeatureCache {
            rows: vec![vec![1.5, -2.0, f32::MIN_POSITIVE, 0.1], vec![0.0; 4]],
            shape: [2, 2],
        };
        let bytes = maps.to_bytes();
        let again = FeatureCache::from_bytes(&bytes, 2).unwrap();
        assert_eq!((again.rows, again.shape), (maps.rows, maps.shape));
        for (bytes, count) in [
            (&bytes[..], 3),
            (&bytes[..bytes.len() - 4], 2),
            (&bytes[..7], 2),
            (&[][..], 0),
        ] {
            assert!(FeatureCache::from_bytes(bytes, count).is_none());
        }
    }
}

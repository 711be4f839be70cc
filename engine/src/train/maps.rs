//! What a frozen image encoder makes of a corpus, computed once.

use burn::tensor::{Device, Tensor, TensorData};

use super::corpus::Corpus;
use super::error::TrainError;
use crate::systems::learn::Learner;

/// Beyond this, maps are computed again at each step instead of being kept in memory.
const MOST_BYTES: usize = 8 << 30;

/// Maps of a frozen image encoder, one row an example.
pub struct Maps {
    rows: Vec<Vec<f32>>,
    shape: [usize; 2],
}

impl Maps {
    /// The maps of all studies' pictures, 32 at a time; `None` where they would take too much memory.
    ///
    /// # Errors
    /// A picture that cannot be read, with its path.
    pub fn compute<S: Learner>(model: &S, corpus: &Corpus, device: &Device) -> Result<Option<Self>, TrainError> {
        let model = model.valid();
        let mut rows = Vec::with_capacity(corpus.examples.len());
        let mut shape = [0, 0];
        let indices: Vec<usize> = (0..corpus.examples.len()).collect();
        for batch in indices.chunks(32) {
            let pixels = corpus.tensor(corpus.plain(batch)?, device);
            let features = model.features(pixels);
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
        let values: Vec<f32> = studies.iter().flat_map(|&study| self.rows[study].iter().copied()).collect();
        Tensor::from_data(TensorData::new(values, [studies.len(), self.shape[0], self.shape[1]]), device)
    }
}

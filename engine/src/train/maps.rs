//! What a frozen image encoder makes of a corpus, computed once.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use super::corpus::Corpus;
use crate::systems::medvill::MedVill;

/// Maps of a frozen image encoder, one row an example.
pub struct Maps {
    rows: Vec<Vec<f32>>,
    shape: [usize; 2],
}

impl Maps {
    /// The maps of all pictures, 32 at a time.
    pub fn compute(model: &MedVill, corpus: &Corpus, device: &Device) -> Self {
        let model = model.valid();
        let mut rows = Vec::with_capacity(corpus.examples.len());
        let mut shape = [0, 0];
        let indices: Vec<usize> = (0..corpus.examples.len()).collect();
        for batch in indices.chunks(32) {
            let features = model.encode_image(model.picture(corpus.pictures(batch, None, device)), |_, _| ());
            let [_, tokens, width] = features.dims();
            shape = [tokens, width];
            let values: Vec<f32> = features.into_data().iter::<f32>().collect();
            rows.extend(values.chunks(tokens * width).map(<[f32]>::to_vec));
        }
        Self { rows, shape }
    }

    /// The maps of some examples, `(batch, K, features)`.
    pub fn batch(&self, batch: &[usize], device: &Device) -> Tensor<3> {
        let values: Vec<f32> = batch.iter().flat_map(|&i| self.rows[i].iter().copied()).collect();
        Tensor::from_data(TensorData::new(values, [batch.len(), self.shape[0], self.shape[1]]), device)
    }
}

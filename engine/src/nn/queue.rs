//! A queue of the newest features (He et al. 2020).

use burn::tensor::{Device, Tensor};

use super::{Array, ParameterError, read_array, vector};

/// A ring of the newest feature vectors, as contrastive losses compare with (He et al. 2020): `(capacity,
/// width)`.
#[derive(Clone, Debug)]
pub struct FeatureQueue {
    rows: Tensor<2>,
    next: usize,
    filled: usize,
}

impl FeatureQueue {
    /// An empty queue.
    pub fn new(capacity: usize, width: usize, device: &Device) -> Self {
        Self {
            rows: Tensor::zeros([capacity, width], device),
            next: 0,
            filled: 0,
        }
    }

    /// Puts `features`, `(batch, width)`, in the place of the oldest; of more than the capacity the last
    /// remain.
    pub fn push(&mut self, features: Tensor<2>) {
        let [capacity, width] = self.rows.dims();
        let [count, _] = features.dims();
        let kept = count.min(capacity);
        let features = features.detach().slice([count - kept..count, 0..width]);
        let first = kept.min(capacity - self.next);
        let mut put = |at: usize, from: usize, to: usize| {
            if to > from {
                let part = features.clone().slice([from..to, 0..width]);
                self.rows = self
                    .rows
                    .clone()
                    .slice_assign([at..at + to - from, 0..width], part);
            }
        };
        put(self.next, 0, first);
        put(0, first, kept);
        self.next = (self.next + kept) % capacity;
        self.filled = (self.filled + kept).min(capacity);
    }

    /// What it holds, in no particular order: `(filled, width)`.
    pub fn features(&self) -> Tensor<2> {
        let width = self.rows.dims()[1];
        self.rows.clone().slice([0..self.filled, 0..width])
    }

    /// Its rows, for a checkpoint.
    ///
    /// # Errors
    /// When the device does not return a value.
    pub fn rows(&self) -> Result<Array, ParameterError> {
        read_array("queue", self.rows.clone())
    }

    /// Where the next row goes, and how many are filled.
    pub fn position(&self) -> [u64; 2] {
        [self.next as u64, self.filled as u64]
    }

    /// The queue of [`FeatureQueue::rows`] and [`FeatureQueue::position`]; `None` where those are not one.
    pub fn restore(rows: &Array, position: [u64; 2], device: &Device) -> Option<Self> {
        let &[capacity, width] = &rows.shape[..] else {
            return None;
        };
        let [next, filled] = position.map(|at| usize::try_from(at).unwrap_or(usize::MAX));
        if next >= capacity.max(1) || filled > capacity || rows.data.len() != capacity * width {
            return None;
        }
        // (capacity * width) -> (capacity, width)
        let rows = vector(rows, device).reshape([capacity, width]);
        Some(Self { rows, next, filled })
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;

    #[test]
    fn the_queue_forgets_its_oldest() {
        let device = Device::flex();
        let mut queue = FeatureQueue::new(5, 1, &device);
        let push = |queue: &mut FeatureQueue, values: &[f32]| {
            queue.push(Tensor::from_data(
                TensorData::new(values.to_vec(), [values.len(), 1]),
                &device,
            ));
        };
        let held = |queue: &FeatureQueue| {
            let mut held: Vec<f32> = queue.features().into_data().iter::<f32>().collect();
            held.sort_by(f32::total_cmp);
            held
        };
        push(&mut queue, &[1.0, 2.0, 3.0]);
        assert_eq!(held(&queue), [1.0, 2.0, 3.0]);
        push(&mut queue, &[4.0, 5.0, 6.0]);
        assert_eq!(held(&queue), [2.0, 3.0, 4.0, 5.0, 6.0]);
        let mut queue = FeatureQueue::restore(&queue.rows().unwrap(), queue.position(), &device).unwrap();
        push(&mut queue, &[7.0, 8.0]);
        assert_eq!(held(&queue), [4.0, 5.0, 6.0, 7.0, 8.0]);
        push(&mut queue, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        assert_eq!(held(&queue), [3.0, 4.0, 5.0, 6.0, 7.0]);
    }
}

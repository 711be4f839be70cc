//! The queue of the newest features that contrastive losses compare with (He et al. 2020, MoCo, section 3.2).

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::{Array, ParameterError};

/// A ring of feature vectors: `(capacity, width)`.
#[derive(Clone, Debug)]
pub struct FeatureQueue {
    rows: Tensor<2>,
    next: usize,
    filled: usize,
}

/// Where a queue stands, beside its rows in a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueMarks {
    /// The row that the next feature takes.
    pub next: u64,
    /// Rows that hold a feature.
    pub filled: u64,
}

impl FeatureQueue {
    /// An empty queue; `capacity` is at least 1.
    pub fn new(capacity: usize, width: usize, device: &Device) -> Self {
        Self {
            rows: Tensor::zeros([capacity, width], device),
            next: 0,
            filled: 0,
        }
    }

    /// Puts `features`, `(batch, width)`, in the place of the oldest; of more than the capacity the last
    /// remain. No gradient flows into the queue.
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

    /// What it holds, in no particular order: `(filled, width)`, `None` while it is empty.
    pub fn features(&self) -> Option<Tensor<2>> {
        (self.filled > 0).then(|| self.rows.clone().narrow(0, 0, self.filled))
    }

    /// Rows that hold a feature.
    pub const fn len(&self) -> usize {
        self.filled
    }

    /// Whether nothing was put in yet.
    pub const fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Its rows, `(capacity, width)`, and where it stands, for a checkpoint.
    ///
    /// # Errors
    /// When the device does not return a value.
    pub fn state(&self) -> Result<(Array, QueueMarks), ParameterError> {
        let data = self.rows.clone().try_into_data().map_err(|e| e.to_string());
        let data = data.and_then(|data| data.try_to_vec::<f32>().map_err(|e| format!("{e:?}")));
        let data = data.map_err(|reason| ParameterError::Read {
            name: "the feature queue".to_owned(),
            reason,
        })?;
        let shape = self.rows.dims().to_vec();
        let marks = QueueMarks {
            next: self.next as u64,
            filled: self.filled as u64,
        };
        Ok((Array { shape, data }, marks))
    }

    /// The queue of [`FeatureQueue::state`]; `None` where rows and marks are none of a queue.
    pub fn restore(rows: &Array, marks: QueueMarks, device: &Device) -> Option<Self> {
        let &[capacity, width] = &rows.shape[..] else {
            return None;
        };
        let next = usize::try_from(marks.next).ok()?;
        let filled = usize::try_from(marks.filled).ok()?;
        // While it fills, the next row is the first that is free.
        let stands = next < capacity && filled <= capacity && (filled == capacity || next == filled);
        if !stands || capacity.checked_mul(width) != Some(rows.data.len()) {
            return None;
        }
        let data = TensorData::new(rows.data.clone(), [capacity, width]);
        Some(Self {
            rows: Tensor::from_data(data, device),
            next,
            filled,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(queue: &mut FeatureQueue, values: &[f32]) {
        queue.push(Tensor::from_data(
            TensorData::new(values.to_vec(), [values.len(), 1]),
            &Device::flex(),
        ));
    }

    fn held(queue: &FeatureQueue) -> Vec<f32> {
        let mut held: Vec<f32> = queue.features().unwrap().into_data().iter::<f32>().collect();
        held.sort_by(f32::total_cmp);
        held
    }

    #[test]
    fn the_queue_forgets_its_oldest() {
        let device = Device::flex();
        let mut queue = FeatureQueue::new(5, 1, &device);
        assert!(queue.is_empty() && queue.features().is_none());
        push(&mut queue, &[1.0, 2.0, 3.0]);
        assert_eq!(held(&queue), [1.0, 2.0, 3.0]);
        push(&mut queue, &[4.0, 5.0, 6.0]);
        assert_eq!(held(&queue), [2.0, 3.0, 4.0, 5.0, 6.0]);
        let (rows, marks) = queue.state().unwrap();
        assert_eq!(marks, QueueMarks { next: 1, filled: 5 });
        let mut queue = FeatureQueue::restore(&rows, marks, &device).unwrap();
        push(&mut queue, &[7.0, 8.0]);
        assert_eq!(held(&queue), [4.0, 5.0, 6.0, 7.0, 8.0]);
        push(&mut queue, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        assert_eq!(held(&queue), [3.0, 4.0, 5.0, 6.0, 7.0]);
    }

    #[test]
    fn what_is_no_queue_is_not_restored() {
        let rows = |shape: &[usize], count: usize| Array {
            shape: shape.to_vec(),
            data: vec![0.0; count],
        };
        let restore = |rows: &Array, next, filled| {
            FeatureQueue::restore(rows, QueueMarks { next, filled }, &Device::flex())
        };
        assert!(restore(&rows(&[3, 2], 6), 2, 3).is_some());
        assert!(restore(&rows(&[3, 2], 6), 2, 2).is_some());
        assert!(restore(&rows(&[3, 2], 6), 3, 3).is_none());
        assert!(restore(&rows(&[3, 2], 6), 0, 4).is_none());
        assert!(restore(&rows(&[3, 2], 6), 0, 2).is_none());
        assert!(restore(&rows(&[3, 2], 5), 0, 3).is_none());
        assert!(restore(&rows(&[6], 6), 0, 3).is_none());
        assert!(restore(&rows(&[usize::MAX, 2], 0), 0, 0).is_none());
    }
}

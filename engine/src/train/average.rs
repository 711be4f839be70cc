//! What follows the weights slowly: their average, and the queue of the newest features.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, Tensor};

use super::optimizer::{array, tensor};
use crate::nn::{Array, Arrays, ParameterError};

/// An exponential average of a module's parameters and statistics: a mean teacher (Tarvainen and Valpola
/// 2017), a momentum encoder (He et al. 2020), or simply smoother weights.
pub struct Average<M> {
    /// The averaged module, which does not learn by itself.
    pub module: M,
    keep: f64,
}

struct Collect(BTreeMap<ParamId, Tensor<1>>);

impl ModuleVisitor for Collect {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        let count = value.shape().num_elements();
        self.0.insert(param.id, value.reshape([count]));
    }
}

struct Blend<'a> {
    new: &'a BTreeMap<ParamId, Tensor<1>>,
    keep: f64,
}

impl ModuleMapper for Blend<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(new) = self.new.get(&param.id).cloned() else {
            return param;
        };
        param.map(|own| {
            let shape = own.dims();
            own.mul_scalar(self.keep) + new.reshape(shape).mul_scalar(1.0 - self.keep)
        })
    }
}

impl<M: Module> Average<M> {
    /// An average that begins as `module`, which must not be on an autodiff device; `keep` of it is kept each
    /// step.
    pub const fn new(module: M, keep: f64) -> Self {
        Self { module, keep }
    }

    /// Takes the student's newest weights in.
    pub fn update(self, student: &M) -> Self {
        let mut new = Collect(BTreeMap::new());
        // `valid` brings running statistics up to the last update; a plain visit finds them one update behind.
        student.valid().visit(&mut new);
        let module = self.module.map(&mut Blend {
            new: &new.0,
            keep: self.keep,
        });
        Self {
            module,
            keep: self.keep,
        }
    }
}

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

    /// Its rows and where it stands, for a checkpoint.
    ///
    /// # Errors
    /// When the device does not return a value.
    pub fn state(&self) -> Result<Arrays, ParameterError> {
        let shape = self.rows.dims();
        let flat = array("queue", &self.rows.clone().reshape([shape[0] * shape[1]]))?;
        // Exact up to 2^24 rows, far beyond any published queue.
        let marks = Array {
            shape: vec![2],
            data: vec![self.next as f32, self.filled as f32],
        };
        let rows = Array {
            shape: shape.to_vec(),
            data: flat.data,
        };
        Ok([("rows".to_owned(), rows), ("marks".to_owned(), marks)].into())
    }

    /// The queue of [`FeatureQueue::state`]; `None` where that is not one.
    pub fn restore(state: &Arrays, device: &Device) -> Option<Self> {
        let (rows, marks) = (state.get("rows")?, state.get("marks")?);
        let (&[capacity, width], &[next, filled]) = (&rows.shape[..], &marks.data[..]) else {
            return None;
        };
        let rows = tensor(rows, device).reshape([capacity, width]);
        Some(Self {
            rows,
            next: next as usize,
            filled: filled as usize,
        })
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::LinearConfig;
    use burn::tensor::TensorData;

    use super::*;

    #[test]
    fn parity_of_the_average() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/golden/optim.json")).unwrap();
        let golden = &golden["average"];
        let numbers = |v: &serde_json::Value| -> Vec<f32> {
            v.as_array()
                .unwrap()
                .iter()
                .map(|v| v.as_f64().unwrap() as f32)
                .collect()
        };
        let device = Device::flex();
        let linear = |values: &serde_json::Value| {
            let data = numbers(values);
            let fresh = LinearConfig::new(data.len(), 1).with_bias(false).init(&device);
            let weights = [(
                "weight".to_owned(),
                Array {
                    shape: vec![1, data.len()],
                    data,
                },
            )];
            crate::nn::load(fresh, &weights.into(), &device, false).unwrap()
        };
        let mut average = Average::new(linear(&golden["start"]), golden["momentum"].as_f64().unwrap());
        let pairs = golden["values"]
            .as_array()
            .unwrap()
            .iter()
            .zip(golden["averages"].as_array().unwrap());
        for (value, expected) in pairs {
            // The student's parameters must be the average's own, moved.
            let student = crate::nn::load(
                average.module.clone(),
                &crate::nn::parameters(&linear(value)).unwrap(),
                &device,
                false,
            );
            average = average.update(&student.unwrap());
            let found = crate::nn::parameters(&average.module).unwrap();
            for (f, e) in found["weight"].data.iter().zip(numbers(expected)) {
                assert!((f - e).abs() < 1e-6, "{f}, PyTorch says {e}");
            }
        }
    }

    #[test]
    fn the_average_follows_slowly() {
        let device = Device::flex();
        let student = LinearConfig::new(1, 1).with_bias(false).init(&device);
        let of = |m: &burn::nn::Linear| m.weight.val().into_scalar::<f32>();
        let start = of(&student);
        let mut average = Average::new(student.clone(), 0.9);
        let mut moved = student;
        moved.weight = moved.weight.map(|w| w.add_scalar(1.0));
        average = average.update(&moved).update(&moved);
        assert!((of(&average.module) - (start + 0.19)).abs() < 1e-5);
    }

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
        let mut queue = FeatureQueue::restore(&queue.state().unwrap(), &device).unwrap();
        push(&mut queue, &[7.0, 8.0]);
        assert_eq!(held(&queue), [4.0, 5.0, 6.0, 7.0, 8.0]);
        push(&mut queue, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        assert_eq!(held(&queue), [3.0, 4.0, 5.0, 6.0, 7.0]);
    }
}

//! AdamW and SGD over a module's parameters by name, with global-norm clipping and an average of the weights.
//!
//! Burn has optimisers of its own; ours keep their memory by parameter name, so that a run goes on in another process exactly
//! as it would have gone on in this one, clip by the global norm, and give each parameter a rate and a decay of its own.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, Gradients, Tensor, TensorData};

use super::config::Method;
use crate::nn::{Array, Arrays, ParameterError, ids};

const EPSILON: f64 = 1e-8;

/// Rate and decay of one parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Learning rate; 0 leaves the parameter alone.
    pub rate: f64,
    /// Weight decay.
    pub decay: f64,
}

/// Gradients by parameter, flattened, summed over the parts of a batch.
#[derive(Default)]
pub struct Sum {
    gradients: BTreeMap<ParamId, Tensor<1>>,
}

struct Add<'a> {
    gradients: &'a Gradients,
    share: f64,
    sum: &'a mut BTreeMap<ParamId, Tensor<1>>,
}

impl ModuleVisitor for Add<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = param.val().grad(self.gradients) else { return };
        let count = gradient.shape().num_elements();
        let mut gradient = gradient.reshape([count]);
        if self.share != 1.0 {
            gradient = gradient.mul_scalar(self.share);
        }
        let sum = match self.sum.remove(&param.id) {
            Some(sum) => sum + gradient,
            None => gradient,
        };
        self.sum.insert(param.id, sum);
    }
}

impl Sum {
    /// Adds the gradients of a part of the batch, times its share of it.
    pub fn add<M: Module>(&mut self, module: &M, gradients: &Gradients, share: f64) {
        module.visit(&mut Add { gradients, share, sum: &mut self.gradients });
    }

    /// The gradients by parameter name, flattened in Burn's layout.
    pub fn by_name<M: Module>(&self, module: &M) -> BTreeMap<String, Tensor<1>> {
        let gradients = ids(module).into_iter().filter_map(|(name, id)| Some((name, self.gradients.get(&id)?.clone())));
        gradients.collect()
    }

    /// Their global norm, in the order of the parameters' names, so that it is the same sum in every process.
    fn norm(by_name: &BTreeMap<String, Tensor<1>>) -> Option<Tensor<1>> {
        let squares = by_name.values().map(|gradient| gradient.clone().square().sum());
        squares.reduce(|sum, square| sum + square).map(Tensor::sqrt)
    }
}

/// The optimiser's memory: one or two tensors a parameter, flattened.
pub struct Optimizer {
    method: Method,
    betas: [f64; 2],
    momentum: f64,
    step: u64,
    memory: BTreeMap<String, Vec<Tensor<1>>>,
}

struct Update<'a> {
    optimizer: &'a mut Optimizer,
    gradients: BTreeMap<String, Tensor<1>>,
    names: BTreeMap<ParamId, String>,
    scale: Tensor<1>,
    pace: &'a dyn Fn(&str, usize) -> Pace,
}

impl ModuleMapper for Update<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(name) = self.names.get(&param.id).cloned() else { return param };
        let Some(gradient) = self.gradients.remove(&name) else { return param };
        let pace = (self.pace)(&name, D);
        if pace.rate == 0.0 {
            return param;
        }
        let gradient = gradient * self.scale.clone();
        param.map(|weight| {
            let grads = weight.is_require_grad();
            let weight = weight.inner();
            let shape = weight.dims();
            let count = weight.shape().num_elements();
            let moved = self.optimizer.moved(&name, weight.reshape([count]), gradient, pace).reshape(shape);
            Tensor::from_inner(moved).set_require_grad(grads)
        })
    }
}

impl Optimizer {
    /// An optimiser that has seen nothing. `betas` are AdamW's, `momentum` is SGD's.
    pub const fn new(method: Method, betas: [f64; 2], momentum: f64) -> Self {
        Self { method, betas, momentum, step: 0, memory: BTreeMap::new() }
    }

    fn moved(&mut self, name: &str, weight: Tensor<1>, gradient: Tensor<1>, pace: Pace) -> Tensor<1> {
        let before = self.memory.remove(name);
        match self.method {
            Method::AdamW => {
                let [beta_1, beta_2] = self.betas;
                let square = gradient.clone().square();
                let (first, second) = match before.and_then(|m| <[Tensor<1>; 2]>::try_from(m).ok()) {
                    Some([first, second]) => (
                        first.mul_scalar(beta_1) + gradient.mul_scalar(1.0 - beta_1),
                        second.mul_scalar(beta_2) + square.mul_scalar(1.0 - beta_2),
                    ),
                    None => (gradient.mul_scalar(1.0 - beta_1), square.mul_scalar(1.0 - beta_2)),
                };
                let corrected = |beta: f64| 1.0 - beta.powf(self.step as f64);
                let first_hat = first.clone().div_scalar(corrected(beta_1));
                let second_hat = second.clone().div_scalar(corrected(beta_2));
                let delta = (first_hat / second_hat.sqrt().add_scalar(EPSILON)).mul_scalar(pace.rate);
                self.memory.insert(name.to_owned(), vec![first, second]);
                weight.mul_scalar(1.0 - pace.rate * pace.decay) - delta
            }
            Method::Sgd => {
                let gradient = match pace.decay {
                    0.0 => gradient,
                    decay => gradient + weight.clone().mul_scalar(decay),
                };
                let velocity = match before.and_then(|m| m.into_iter().next()) {
                    Some(velocity) => velocity.mul_scalar(self.momentum) + gradient,
                    None => gradient,
                };
                let moved = weight - velocity.clone().mul_scalar(pace.rate);
                self.memory.insert(name.to_owned(), vec![velocity]);
                moved
            }
        }
    }

    /// One step. `pace` tells rate and decay of a parameter by name and rank. Returns the moved module and the norm of the
    /// gradients before clipping, which stays on the device: reading it back would cost a round trip.
    pub fn step<M: Module>(
        &mut self,
        module: M,
        gradients: &Sum,
        clip: f64,
        pace: &dyn Fn(&str, usize) -> Pace,
    ) -> (M, Option<Tensor<1>>) {
        let gradients = gradients.by_name(&module);
        let Some(norm) = Sum::norm(&gradients) else { return (module, None) };
        self.step += 1;
        let scale = (norm.clone().add_scalar(1e-6)).recip().mul_scalar(clip).clamp_max(1.0);
        let names = ids(&module).into_iter().map(|(name, id)| (id, name)).collect();
        let mut update = Update { optimizer: self, gradients, names, scale, pace };
        (module.map(&mut update), Some(norm))
    }

    /// Steps taken.
    pub const fn steps(&self) -> u64 {
        self.step
    }

    /// The memory as named tensors, for a checkpoint.
    ///
    /// # Errors
    /// When the device does not return a value.
    pub fn state(&self) -> Result<Arrays, ParameterError> {
        let mut state = Arrays::new();
        for (name, tensors) in &self.memory {
            for (index, tensor) in tensors.iter().enumerate() {
                state.insert(format!("{name}.{index}"), array(name, tensor)?);
            }
        }
        Ok(state)
    }

    /// Goes on with the memory of [`Optimizer::state`] after `step` steps.
    pub fn restore(&mut self, step: u64, state: &Arrays, device: &Device) {
        let device = device.clone().inner();
        self.step = step;
        // Names sort so that index 0 of a parameter comes before its index 1.
        for (key, array) in state {
            if let Some((name, _)) = key.rsplit_once('.') {
                self.memory.entry(name.to_owned()).or_default().push(tensor(array, &device));
            }
        }
    }
}

fn array(name: &str, tensor: &Tensor<1>) -> Result<Array, ParameterError> {
    let data = tensor.clone().try_into_data().map_err(|e| e.to_string());
    let data = data.and_then(|d| d.try_to_vec::<f32>().map_err(|e| format!("{e:?}")));
    let data = data.map_err(|reason| ParameterError::Read { name: name.to_owned(), reason })?;
    Ok(Array { shape: vec![data.len()], data })
}

fn tensor(array: &Array, device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(array.data.clone(), [array.data.len()]), device)
}

/// An exponential average of a module's parameters and statistics: a mean teacher (Tarvainen and Valpola 2017), a momentum
/// encoder (He et al. 2020), or simply smoother weights.
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
        let Some(new) = self.new.get(&param.id).cloned() else { return param };
        param.map(|own| {
            let shape = own.dims();
            own.mul_scalar(self.keep) + new.reshape(shape).mul_scalar(1.0 - self.keep)
        })
    }
}

impl<M: Module> Average<M> {
    /// An average that begins as `module`, which must not be on an autodiff device; `keep` of it is kept each step.
    pub const fn new(module: M, keep: f64) -> Self {
        Self { module, keep }
    }

    /// Takes the student's newest weights in.
    pub fn update(self, student: &M) -> Self {
        let mut new = Collect(BTreeMap::new());
        // `valid` brings running statistics up to the last update; a plain visit finds them one update behind.
        student.valid().visit(&mut new);
        let module = self.module.map(&mut Blend { new: &new.0, keep: self.keep });
        Self { module, keep: self.keep }
    }
}

/// A ring of the newest feature vectors, as contrastive losses compare with (He et al. 2020): `(capacity, width)`.
#[derive(Clone, Debug)]
pub struct FeatureQueue {
    rows: Tensor<2>,
    next: usize,
    filled: usize,
}

impl FeatureQueue {
    /// An empty queue.
    pub fn new(capacity: usize, width: usize, device: &Device) -> Self {
        Self { rows: Tensor::zeros([capacity, width], device), next: 0, filled: 0 }
    }

    /// Puts `features`, `(batch, width)`, in the place of the oldest; of more than the capacity the last remain.
    pub fn push(&mut self, features: Tensor<2>) {
        let [capacity, width] = self.rows.dims();
        let [count, _] = features.dims();
        let kept = count.min(capacity);
        let features = features.detach().slice([count - kept..count, 0..width]);
        let first = kept.min(capacity - self.next);
        let mut put = |at: usize, from: usize, to: usize| {
            if to > from {
                let part = features.clone().slice([from..to, 0..width]);
                self.rows = self.rows.clone().slice_assign([at..at + to - from, 0..width], part);
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
        let marks = Array { shape: vec![2], data: vec![self.next as f32, self.filled as f32] };
        let rows = Array { shape: shape.to_vec(), data: flat.data };
        Ok([("rows".to_owned(), rows), ("marks".to_owned(), marks)].into())
    }

    /// The queue of [`FeatureQueue::state`]; `None` where that is not one.
    pub fn restore(state: &Arrays, device: &Device) -> Option<Self> {
        let (rows, marks) = (state.get("rows")?, state.get("marks")?);
        let (&[capacity, width], &[next, filled]) = (&rows.shape[..], &marks.data[..]) else { return None };
        let rows = tensor(rows, device).reshape([capacity, width]);
        Some(Self { rows, next: next as usize, filled: filled as usize })
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::LinearConfig;
    use burn::tensor::Device;

    use super::*;

    /// `weight x + bias`, then tanh, as `tests/golden/make_optim.py` has it.
    fn loss(model: &burn::nn::Linear, row: &[f32], target: &[f32], device: &Device) -> Tensor<1> {
        let tensor = |v: &[f32]| Tensor::<2>::from_data(TensorData::new(v.to_vec(), [1, v.len()]), device);
        (model.forward(tensor(row)).tanh() - tensor(target)).square().mean()
    }

    #[test]
    fn parity_with_the_optimisers_of_pytorch() {
        let golden: serde_json::Value = serde_json::from_str(include_str!("../../../tests/golden/optim.json")).unwrap();
        let numbers = |v: &serde_json::Value| -> Vec<f32> {
            let flat = |v: &serde_json::Value| v.as_f64().unwrap() as f32;
            v.as_array().unwrap().iter().map(flat).collect()
        };
        let rows = |v: &serde_json::Value| v.as_array().unwrap().iter().map(numbers).collect::<Vec<_>>();
        let toy = &golden["toy"];
        let (inputs, targets) = (rows(&toy["rows"]), rows(&toy["targets"]));
        let device = Device::flex().autodiff();
        for (name, method) in [("sgd", Method::Sgd), ("adamw", Method::AdamW)] {
            let asked = &golden["optimizers"][name];
            let setting = |key: &str| asked["settings"][key].as_f64();
            let mut optimizer = Optimizer::new(method, [0.9, 0.999], setting("momentum").unwrap_or(0.9));
            let start = [
                ("weight", vec![2, 3], rows(&toy["start"]["weight"]).concat()),
                ("bias", vec![2], numbers(&toy["start"]["bias"])),
            ];
            let start = start.map(|(name, shape, data)| (name.to_owned(), Array { shape, data }));
            let fresh = LinearConfig::new(3, 2).init(&device);
            let mut model = crate::nn::load(fresh, &start.into(), &device, false).unwrap();
            let mut taken = 0;
            for expected in asked["steps"].as_array().unwrap() {
                let mut sum = Sum::default();
                for _ in 0..2 {
                    let at = taken % inputs.len();
                    taken += 1;
                    sum.add(&model, &loss(&model, &inputs[at], &targets[at], &device).backward(), 0.5);
                }
                let pace = |_: &str, rank: usize| Pace {
                    rate: setting("lr").unwrap(),
                    decay: if rank > 1 { setting("weight_decay").unwrap() } else { 0.0 },
                };
                let (moved, norm) = optimizer.step(model, &sum, toy["clip"].as_f64().unwrap(), &pace);
                model = moved;
                let gap = f64::from(norm.unwrap().into_scalar::<f32>()) - expected["norm"].as_f64().unwrap();
                assert!(gap.abs() < 1e-5, "{name}: norm {gap}");
                let found = crate::nn::parameters(&model).unwrap();
                for key in ["weight", "bias"] {
                    for (f, e) in found[key].data.iter().zip(numbers(&expected[key])) {
                        assert!((f - e).abs() < 1e-5, "{name} {key}: {f}, PyTorch says {e}");
                    }
                }
            }
        }
    }

    #[test]
    fn parity_of_the_average() {
        let golden: serde_json::Value = serde_json::from_str(include_str!("../../../tests/golden/optim.json")).unwrap();
        let golden = &golden["average"];
        let numbers = |v: &serde_json::Value| -> Vec<f32> {
            v.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
        };
        let device = Device::flex();
        let linear = |values: &serde_json::Value| {
            let data = numbers(values);
            let fresh = LinearConfig::new(data.len(), 1).with_bias(false).init(&device);
            let weights = [("weight".to_owned(), Array { shape: vec![1, data.len()], data })];
            crate::nn::load(fresh, &weights.into(), &device, false).unwrap()
        };
        let mut average = Average::new(linear(&golden["start"]), golden["momentum"].as_f64().unwrap());
        let pairs = golden["values"].as_array().unwrap().iter().zip(golden["averages"].as_array().unwrap());
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
            queue.push(Tensor::from_data(TensorData::new(values.to_vec(), [values.len(), 1]), &device));
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

//! AdamW and SGD over a module's parameters by name, with global-norm clipping.
//!
//! Burn has optimisers of its own; ours keep their memory by parameter name, so that a run goes on in another
//! process exactly as it would have gone on in this one, clip by the global norm, and give each parameter a
//! rate and a decay of its own.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, Gradients, Tensor};

use super::config::Method;
use crate::kernels::{AdamWStep, adamw, runs_cpu_kernels};
use crate::nn::{Arrays, ParameterError, ids, read_array, vector};

const EPSILON: f64 = 1e-8;

/// Rate and decay of one parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ParamOptions {
    /// Learning rate; 0 leaves the parameter alone.
    pub lr: f64,
    /// Weight decay.
    pub weight_decay: f64,
}

/// Gradients by parameter, flattened, summed over the parts of a batch.
#[derive(Default)]
pub struct GradientAccumulator {
    gradients: BTreeMap<ParamId, Tensor<1>>,
}

struct Add<'a> {
    gradients: &'a Gradients,
    share: f64,
    sum: &'a mut BTreeMap<ParamId, Tensor<1>>,
}

impl ModuleVisitor for Add<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = param.val().grad(self.gradients) else {
            return;
        };
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

impl GradientAccumulator {
    /// Adds the gradients of a part of the batch, times its share of it.
    pub fn add<M: Module>(&mut self, module: &M, gradients: &Gradients, share: f64) {
        module.visit(&mut Add {
            gradients,
            share,
            sum: &mut self.gradients,
        });
    }

    /// The gradients by parameter name, flattened in Burn's layout.
    pub fn by_name<M: Module>(&self, module: &M) -> BTreeMap<String, Tensor<1>> {
        let gradients = ids(module)
            .into_iter()
            .filter_map(|(name, id)| Some((name, self.gradients.get(&id)?.clone())));
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
    options: &'a dyn Fn(&str, usize) -> ParamOptions,
}

impl ModuleMapper for Update<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(name) = self.names.get(&param.id).cloned() else {
            return param;
        };
        let Some(gradient) = self.gradients.remove(&name) else {
            return param;
        };
        let options = (self.options)(&name, D);
        if options.lr == 0.0 {
            return param;
        }
        let scale = self.scale.clone();
        param.map(|weight| {
            let grads = weight.is_require_grad();
            let weight = weight.inner();
            let shape = weight.dims();
            let count = weight.shape().num_elements();
            let moved = self
                .optimizer
                .moved(&name, weight.reshape([count]), gradient, scale, options)
                .reshape(shape);
            Tensor::from_inner(moved).set_require_grad(grads)
        })
    }
}

impl Optimizer {
    /// An optimiser that has seen nothing. `betas` are AdamW's, `momentum` is SGD's.
    pub const fn new(method: Method, betas: [f64; 2], momentum: f64) -> Self {
        Self {
            method,
            betas,
            momentum,
            step: 0,
            memory: BTreeMap::new(),
        }
    }

    fn moved(
        &mut self,
        name: &str,
        weight: Tensor<1>,
        gradient: Tensor<1>,
        scale: Tensor<1>,
        options: ParamOptions,
    ) -> Tensor<1> {
        let before = self.memory.remove(name);
        match self.method {
            Method::AdamW => {
                let moments = before.and_then(|m| <[Tensor<1>; 2]>::try_from(m).ok());
                if runs_cpu_kernels(&weight.device()) {
                    let moments = moments.unwrap_or_else(|| [(); 2].map(|()| weight.zeros_like()));
                    let step = AdamWStep {
                        rate: options.lr,
                        decay: options.weight_decay,
                        betas: self.betas,
                        epsilon: EPSILON,
                        step: self.step,
                    };
                    let (moved, moments) = adamw(weight, moments, gradient, scale, step);
                    self.memory.insert(name.to_owned(), moments.into());
                    return moved;
                }
                let gradient = gradient * scale;
                let [beta_1, beta_2] = self.betas;
                let square = gradient.clone().square();
                let (first, second) = match moments {
                    Some([first, second]) => (
                        first.mul_scalar(beta_1) + gradient.mul_scalar(1.0 - beta_1),
                        second.mul_scalar(beta_2) + square.mul_scalar(1.0 - beta_2),
                    ),
                    None => (gradient.mul_scalar(1.0 - beta_1), square.mul_scalar(1.0 - beta_2)),
                };
                let corrected = |beta: f64| 1.0 - beta.powf(self.step as f64);
                let first_hat = first.clone().div_scalar(corrected(beta_1));
                let second_hat = second.clone().div_scalar(corrected(beta_2));
                let delta = (first_hat / second_hat.sqrt().add_scalar(EPSILON)).mul_scalar(options.lr);
                self.memory.insert(name.to_owned(), vec![first, second]);
                weight.mul_scalar(1.0 - options.lr * options.weight_decay) - delta
            }
            Method::Sgd => {
                let gradient = gradient * scale;
                let gradient = match options.weight_decay {
                    0.0 => gradient,
                    decay => gradient + weight.clone().mul_scalar(decay),
                };
                let velocity = match before.and_then(|m| m.into_iter().next()) {
                    Some(velocity) => velocity.mul_scalar(self.momentum) + gradient,
                    None => gradient,
                };
                let moved = weight - velocity.clone().mul_scalar(options.lr);
                self.memory.insert(name.to_owned(), vec![velocity]);
                moved
            }
        }
    }

    /// One step. `options` tells rate and decay of a parameter by name and rank. Returns the moved module and
    /// the norm of the gradients before clipping, which stays on the device: reading it back would cost a
    /// round trip.
    pub fn step<M: Module>(
        &mut self,
        module: M,
        gradients: &GradientAccumulator,
        clip: f64,
        options: &dyn Fn(&str, usize) -> ParamOptions,
    ) -> (M, Option<Tensor<1>>) {
        let gradients = gradients.by_name(&module);
        let Some(norm) = GradientAccumulator::norm(&gradients) else {
            return (module, None);
        };
        self.step += 1;
        let scale = (norm.clone().add_scalar(1e-6))
            .recip()
            .mul_scalar(clip)
            .clamp_max(1.0);
        let names = ids(&module).into_iter().map(|(name, id)| (id, name)).collect();
        let mut update = Update {
            optimizer: self,
            gradients,
            names,
            scale,
            options,
        };
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
                state.insert(format!("{name}.{index}"), read_array(name, tensor.clone())?);
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
                self.memory
                    .entry(name.to_owned())
                    .or_default()
                    .push(vector(array, &device));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::LinearConfig;
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::nn::Array;

    /// `weight x + bias`, then tanh, as `tests/golden/make_optim.py` has it.
    fn loss(model: &burn::nn::Linear, row: &[f32], target: &[f32], device: &Device) -> Tensor<1> {
        let tensor = |v: &[f32]| Tensor::<2>::from_data(TensorData::new(v.to_vec(), [1, v.len()]), device);
        (model.forward(tensor(row)).tanh() - tensor(target))
            .square()
            .mean()
    }

    #[test]
    fn parity_with_the_optimisers_of_pytorch() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/golden/optim.json")).unwrap();
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
                let mut sum = GradientAccumulator::default();
                for _ in 0..2 {
                    let at = taken % inputs.len();
                    taken += 1;
                    sum.add(
                        &model,
                        &loss(&model, &inputs[at], &targets[at], &device).backward(),
                        0.5,
                    );
                }
                let options = |_: &str, rank: usize| ParamOptions {
                    lr: setting("lr").unwrap(),
                    weight_decay: if rank > 1 {
                        setting("weight_decay").unwrap()
                    } else {
                        0.0
                    },
                };
                let (moved, norm) = optimizer.step(model, &sum, toy["clip"].as_f64().unwrap(), &options);
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
}

//! AdamW over a module's parameters by name (Loshchilov and Hutter 2019), with global-norm clipping.
//!
//! Burn has an AdamW of its own; ours keeps its state by parameter name, so that a checkpoint can be resumed in another
//! process, clips by the global norm, and gives each parameter its own rate and decay.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor, TensorData};

use crate::nn::{Array, Arrays, ParameterError, ids};

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// Rate and decay of one parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Learning rate; 0 leaves the parameter alone.
    pub rate: f64,
    /// Decoupled weight decay.
    pub decay: f64,
}

/// First and second moments of one parameter, flattened.
type Moments = (Tensor<1>, Tensor<1>);

/// The optimiser's memory.
#[derive(Default)]
pub struct AdamW {
    step: i32,
    moments: BTreeMap<String, Moments>,
}

struct SquaredNorm<'a> {
    gradients: &'a Gradients,
    sum: Option<Tensor<1>>,
}

impl ModuleVisitor for SquaredNorm<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = param.val().grad(self.gradients) {
            let square = gradient.square().sum();
            self.sum = Some(match self.sum.take() {
                Some(sum) => sum + square,
                None => square,
            });
        }
    }
}

struct Update<'a> {
    gradients: &'a Gradients,
    names: BTreeMap<burn::module::ParamId, String>,
    scale: Tensor<1>,
    step: i32,
    moments: &'a mut BTreeMap<String, Moments>,
    pace: &'a dyn Fn(&str, usize) -> Pace,
}

impl ModuleMapper for Update<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(name) = self.names.get(&param.id).cloned() else { return param };
        let Some(gradient) = param.val().grad(self.gradients) else { return param };
        let pace = (self.pace)(&name, D);
        if pace.rate == 0.0 {
            return param;
        }
        let shape = gradient.dims();
        let count = gradient.shape().num_elements();
        let gradient = gradient.reshape([count]) * self.scale.clone();
        let square = gradient.clone().square();
        let (first, second) = match self.moments.remove(&name) {
            Some((first, second)) => (
                first.mul_scalar(BETA_1) + gradient.mul_scalar(1.0 - BETA_1),
                second.mul_scalar(BETA_2) + square.mul_scalar(1.0 - BETA_2),
            ),
            None => (gradient.mul_scalar(1.0 - BETA_1), square.mul_scalar(1.0 - BETA_2)),
        };
        let first_hat = first.clone().div_scalar(1.0 - BETA_1.powi(self.step));
        let second_hat = second.clone().div_scalar(1.0 - BETA_2.powi(self.step));
        let delta = (first_hat / second_hat.sqrt().add_scalar(EPSILON)).mul_scalar(pace.rate).reshape(shape);
        self.moments.insert(name, (first, second));
        param.map(|weight| {
            let grads = weight.is_require_grad();
            let inner = weight.inner();
            let moved = inner.mul_scalar(1.0 - pace.rate * pace.decay) - delta;
            Tensor::from_inner(moved).set_require_grad(grads)
        })
    }
}

impl AdamW {
    /// One step. `pace` tells rate and decay of a parameter by name and rank. Returns the moved module and the norm of the
    /// gradients before clipping.
    pub fn step<M: Module>(
        &mut self,
        module: M,
        gradients: &Gradients,
        clip: f64,
        pace: &dyn Fn(&str, usize) -> Pace,
    ) -> (M, Option<Tensor<1>>) {
        let mut norm = SquaredNorm { gradients, sum: None };
        module.visit(&mut norm);
        let Some(sum) = norm.sum else { return (module, None) };
        self.step += 1;
        let norm = sum.sqrt();
        // Kept on the device: reading the norm back would cost a round trip a step.
        let scale = (norm.clone().add_scalar(1e-6)).recip().mul_scalar(clip).clamp_max(1.0);
        let names = ids(&module).into_iter().map(|(name, id)| (id, name)).collect();
        let mut update = Update { gradients, names, scale, step: self.step, moments: &mut self.moments, pace };
        (module.map(&mut update), Some(norm))
    }

    /// The memory as named tensors, for a checkpoint.
    ///
    /// # Errors
    /// When the device does not return a value.
    pub fn state(&self) -> Result<Arrays, ParameterError> {
        let mut state = Arrays::new();
        state.insert("step".to_owned(), Array { shape: vec![1], data: vec![self.step as f32] });
        for (name, (first, second)) in &self.moments {
            for (suffix, tensor) in [("first", first), ("second", second)] {
                let data = tensor.clone().try_into_data().map_err(|e| e.to_string());
                let data = data.and_then(|d| d.try_to_vec::<f32>().map_err(|e| format!("{e:?}")));
                let data = data.map_err(|reason| ParameterError::Read { name: name.clone(), reason })?;
                state.insert(format!("{name}.{suffix}"), Array { shape: vec![data.len()], data });
            }
        }
        Ok(state)
    }

    /// The memory of [`AdamW::state`] again.
    pub fn restore(state: &Arrays, device: &burn::tensor::Device) -> Self {
        let device = device.clone().inner();
        let tensor = |p: &Array| Tensor::from_data(TensorData::new(p.data.clone(), [p.data.len()]), &device);
        let moments = state.iter().filter_map(|(key, first)| {
            let name = key.strip_suffix(".first")?;
            let second = state.get(&format!("{name}.second"))?;
            Some((name.to_owned(), (tensor(first), tensor(second))))
        });
        let step = state.get("step").and_then(|p| p.data.first()).map_or(0, |s| *s as i32);
        Self { step, moments: moments.collect() }
    }
}

/// The rate at `step` of `steps`: a linear rise, then half a cosine down to a hundredth (Loshchilov and Hutter 2017).
pub fn warmup_cosine(step: usize, steps: usize, warmup: f64, peak: f64) -> f64 {
    let rise = (warmup * steps as f64).max(1.0);
    let at = step as f64;
    if at < rise {
        return peak * (at + 1.0) / rise;
    }
    let share = ((at - rise) / (steps as f64 - rise).max(1.0)).min(1.0);
    peak * (0.01 + 0.99 * 0.5 * (1.0 + (std::f64::consts::PI * share).cos()))
}

#[cfg(test)]
mod tests {
    use burn::nn::LinearConfig;
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn adamw_takes_the_first_steps_of_pytorch() {
        // torch.optim.AdamW(lr=0.1, weight_decay=0.01) on w = 1, gradient 2w: 0.899, then 0.79806...
        let device = Device::flex().autodiff();
        let mut module = LinearConfig::new(1, 1).with_bias(false).init(&device);
        module.weight = module.weight.map(|w| w.ones_like().detach().require_grad());
        let mut optimizer = AdamW::default();
        let pace = |_: &str, _: usize| Pace { rate: 0.1, decay: 0.01 };
        let mut weight = 1.0f64;
        let (mut m, mut v) = (0.0f64, 0.0f64);
        for step in 1..=5 {
            let loss = module.weight.val().square().sum();
            let (moved, norm) = optimizer.step(module, &loss.backward(), 1e9, &pace);
            module = moved;
            let gradient = 2.0 * weight;
            assert!((norm.unwrap().into_scalar::<f32>() as f64 - gradient.abs()).abs() < 1e-5);
            m = 0.9 * m + 0.1 * gradient;
            v = 0.999 * v + 0.001 * gradient * gradient;
            let (mh, vh) = (m / (1.0 - 0.9f64.powi(step)), v / (1.0 - 0.999f64.powi(step)));
            weight = weight * (1.0 - 0.1 * 0.01) - 0.1 * mh / (vh.sqrt() + 1e-8);
            let found: f32 = module.weight.val().into_scalar();
            assert!((f64::from(found) - weight).abs() < 1e-5, "step {step}: {found} {weight}");
        }
    }

    #[test]
    fn the_rate_rises_then_falls() {
        let rates: Vec<f64> = (0..100).map(|s| warmup_cosine(s, 100, 0.1, 1.0)).collect();
        assert!(rates[0] > 0.0 && rates[9] == 1.0 && rates[99] < 0.02);
        assert!(rates[..10].is_sorted() && rates[10..].is_sorted_by(|a, b| a >= b));
    }
}

//! The exponential average of a module's weights: mean teacher, momentum encoder.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;

/// An exponential average of a module's parameters and statistics: a mean teacher (Tarvainen and Valpola
/// 2017), a momentum encoder (He et al. 2020), or simply smoother weights.
pub struct Ema<M> {
    /// The averaged module, which does not learn by itself.
    pub module: M,
    decay: f64,
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
    decay: f64,
}

impl ModuleMapper for Blend<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(new) = self.new.get(&param.id).cloned() else {
            return param;
        };
        param.map(|own| {
            let shape = own.dims();
            own.mul_scalar(self.decay) + new.reshape(shape).mul_scalar(1.0 - self.decay)
        })
    }
}

impl<M: Module> Ema<M> {
    /// An average that begins as `module`, which must not be on an autodiff device; `decay` of it is kept
    /// each step.
    pub const fn new(module: M, decay: f64) -> Self {
        Self { module, decay }
    }

    /// Takes the student's newest weights in.
    pub fn update(self, student: &M) -> Self {
        let mut new = Collect(BTreeMap::new());
        // `valid` brings running statistics up to the last update; a plain visit finds them one update
        // behind.
        student.valid().visit(&mut new);
        let module = self.module.map(&mut Blend {
            new: &new.0,
            decay: self.decay,
        });
        Self {
            module,
            decay: self.decay,
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::LinearConfig;
    use burn::tensor::Device;

    use super::*;
    use crate::nn::Array;

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
        let mut average = Ema::new(linear(&golden["start"]), golden["momentum"].as_f64().unwrap());
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
        let mut average = Ema::new(student.clone(), 0.9);
        let mut moved = student;
        moved.weight = moved.weight.map(|w| w.add_scalar(1.0));
        average = average.update(&moved).update(&moved);
        assert!((of(&average.module) - (start + 0.19)).abs() < 1e-5);
    }
}

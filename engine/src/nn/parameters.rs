//! A module's parameters by name, in PyTorch's layout: linear weights are `(out, in)` outside and `(in, out)`
//! inside.

use std::borrow::Cow;
use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use thiserror::Error;

/// A dense tensor off any device, in row-major order. A scalar has the shape `[]` and one element.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// As many values as the product of `shape`.
    pub data: Vec<f32>,
}

/// Arrays by name.
pub type Arrays = BTreeMap<String, Array>;

/// A dense integer tensor in row-major order, such as token ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntArray {
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// As many values as the product of `shape`.
    pub data: Vec<i64>,
}

/// A float or an integer tensor.
#[derive(Clone, Debug, PartialEq)]
pub enum AnyArray {
    /// f16, bf16, f32 and f64, as f32.
    Float(Array),
    /// Integers of every width, and booleans as 0 and 1.
    Int(IntArray),
}

/// Float and integer arrays by name.
pub type AnyArrays = BTreeMap<String, AnyArray>;

impl AnyArray {
    /// The extents, outermost first.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::Float(array) => &array.shape,
            Self::Int(array) => &array.shape,
        }
    }

    /// The array where it holds floats.
    pub fn float(&self) -> Option<&Array> {
        match self {
            Self::Float(array) => Some(array),
            Self::Int(_) => None,
        }
    }

    /// The array where it holds integers.
    pub fn int(&self) -> Option<&IntArray> {
        match self {
            Self::Int(array) => Some(array),
            Self::Float(_) => None,
        }
    }
}

/// Why weights do not fit a module.
#[derive(Debug, Error)]
pub enum ParameterError {
    /// A tensor of the module has no weights.
    #[error("the weights lack {name} {shape:?}; is this another preset or system?")]
    Missing {
        /// Which tensor.
        name: String,
        /// The shape that the module has.
        shape: Vec<usize>,
    },
    /// A tensor has another shape.
    #[error("{name} is {found:?} in the weights, {expected:?} in the module; is this another preset?")]
    Shape {
        /// Which tensor.
        name: String,
        /// In the module.
        expected: Vec<usize>,
        /// In the weights.
        found: Vec<usize>,
    },
    /// Weights that no tensor takes.
    #[error(
        "the weights hold {name}, which the module does not have ({count} such); is this another system?"
    )]
    LeftOver {
        /// The first.
        name: String,
        /// How many.
        count: usize,
    },
    /// A device that would not give its values.
    #[error("the device did not return {name}: {reason}; its memory may be exhausted or the adapter lost")]
    Read {
        /// Which tensor.
        name: String,
        /// What it said.
        reason: String,
    },
}

/// Tracks where a traversal stands.
#[derive(Default)]
struct Path {
    names: Vec<String>,
    containers: Vec<String>,
}

impl Path {
    fn enter(&mut self, name: &str, container: &str) {
        self.names.push(name.to_owned());
        self.containers.push(container.to_owned());
    }

    fn leave(&mut self) {
        self.names.pop();
        self.containers.pop();
    }

    /// The checkpoint's name of where the traversal stands.
    fn name(&self) -> String {
        let last = self.names.len().saturating_sub(1);
        let parts = self.names.iter().enumerate().filter_map(|(i, part)| {
            let below = |name: &str| i > 0 && self.names[i - 1].starts_with(name);
            Some(match part.as_str() {
                // Which kind of image encoder a model has is its config's to say.
                _ if self.containers[i].starts_with("Enum:") => return None,
                // Burn says gamma and beta; checkpoints say weight and bias.
                "gamma" if i == last => "weight".into(),
                "beta" if i == last => "bias".into(),
                // torchvision keeps the shortcut in a `Sequential`, and counts a dense block's layers from 1.
                "conv" if below("downsample") => "0".into(),
                "bn" if below("downsample") => "1".into(),
                part if below("denseblock") => match part.parse::<usize>() {
                    Ok(index) => format!("denselayer{}", index + 1).into(),
                    Err(_) => Cow::from(part),
                },
                part => part.into(),
            })
        });
        parts.collect::<Vec<Cow<'_, str>>>().join(".")
    }

    fn in_linear(&self) -> bool {
        self.containers.last().is_some_and(|c| c == "Struct:Linear")
            || self
                .containers
                .iter()
                .rev()
                .nth(1)
                .is_some_and(|c| c == "Struct:Linear")
    }
}

fn transposed(shape: &[usize], data: &[f32]) -> Vec<f32> {
    let (rows, columns) = (shape[0], shape[1]);
    let mut out = Vec::with_capacity(data.len());
    for column in 0..columns {
        out.extend((0..rows).map(|row| data[row * columns + column]));
    }
    out
}

/// What is read of each parameter.
#[derive(Clone, Copy)]
enum Read<'a> {
    Nothing,
    Values,
    Gradients(&'a Gradients),
}

struct Collect<'a> {
    path: Path,
    found: Result<Arrays, ParameterError>,
    ids: BTreeMap<String, ParamId>,
    read: Read<'a>,
}

impl ModuleVisitor for Collect<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.leave();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = self.path.name();
        self.ids.insert(name.clone(), param.id);
        let Ok(found) = &mut self.found else { return };
        // A parameter that nobody has used yet has no memory on the device, and looking at its shape gives it
        // none.
        let mut shape: Vec<usize> = param.lazy_shape().to_vec();
        let transpose = D == 2 && self.path.in_linear();
        let mut data = Vec::new();
        let tensor = match self.read {
            Read::Nothing => None,
            Read::Values => Some(param.val()),
            Read::Gradients(gradients) => match param.val().grad(gradients) {
                Some(gradient) => Some(gradient),
                None => return,
            },
        };
        if let Some(tensor) = tensor {
            match tensor
                .try_into_data()
                .map_err(|e| e.to_string())
                .and_then(|d| d.try_to_vec::<f32>().map_err(|e| format!("{e:?}")))
            {
                Ok(values) => data = values,
                Err(reason) => {
                    self.found = Err(ParameterError::Read { name, reason });
                    return;
                }
            }
            if transpose {
                data = transposed(&shape, &data);
            }
        }
        if transpose {
            shape.reverse();
        }
        found.insert(name, Array { shape, data });
    }
}

fn collect<'a, M: Module>(module: &M, read: Read<'a>) -> Collect<'a> {
    let mut visitor = Collect {
        path: Path::default(),
        found: Ok(BTreeMap::new()),
        ids: BTreeMap::new(),
        read,
    };
    module.visit(&mut visitor);
    visitor
}

/// All parameters and running statistics of a module, read back from its device.
///
/// # Errors
/// When the device does not return a value.
pub fn parameters<M: Module>(module: &M) -> Result<Arrays, ParameterError> {
    collect(module, Read::Values).found
}

/// The gradients of all parameters that have one, under the parameters' names and in their layout.
///
/// # Errors
/// When the device does not return a value.
pub fn gradients<M: Module>(module: &M, gradients: &Gradients) -> Result<Arrays, ParameterError> {
    collect(module, Read::Gradients(gradients)).found
}

/// Names and shapes alone, without touching the device.
pub fn shapes<M: Module>(module: &M) -> BTreeMap<String, Vec<usize>> {
    let found = collect(module, Read::Nothing).found.unwrap_or_default();
    found.into_iter().map(|(name, p)| (name, p.shape)).collect()
}

/// The identity of each parameter by name, for optimiser groups.
pub fn ids<M: Module>(module: &M) -> BTreeMap<String, ParamId> {
    collect(module, Read::Nothing).ids
}

struct Place {
    path: Path,
    device: Device,
    weights: Arrays,
    problem: Option<ParameterError>,
}

impl ModuleMapper for Place {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.leave();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.name();
        let Some(weights) = self.weights.remove(&name) else {
            return param;
        };
        let inner = param.lazy_shape().to_vec();
        let transpose = D == 2 && self.path.in_linear();
        let mut expected = inner.clone();
        if transpose {
            expected.reverse();
        }
        if weights.shape != expected || weights.data.len() != expected.iter().product::<usize>() {
            if self.problem.is_none() {
                self.problem = Some(ParameterError::Shape {
                    name,
                    expected,
                    found: weights.shape,
                });
            }
            return param;
        }
        let data = if transpose {
            transposed(&weights.shape, &weights.data)
        } else {
            weights.data
        };
        let tensor = Tensor::from_data(TensorData::new(data, inner), &self.device);
        let id = param.id;
        param.transform_for_load(tensor, id)
    }
}

/// Puts `weights` in the place of the module's own where the names agree; the others stay as they are, and
/// take no memory if nobody has used them. So a model is loaded piece by piece.
///
/// # Errors
/// The first tensor of another shape, with both shapes, or that the module does not have.
pub fn place<M: Module>(module: M, weights: Arrays, device: &Device) -> Result<M, ParameterError> {
    let mut mapper = Place {
        path: Path::default(),
        device: device.clone(),
        weights,
        problem: None,
    };
    let module = module.map(&mut mapper);
    if let Some(problem) = mapper.problem {
        return Err(problem);
    }
    match mapper.weights.keys().next() {
        Some(name) => Err(ParameterError::LeftOver {
            name: name.clone(),
            count: mapper.weights.len(),
        }),
        None => Ok(module),
    }
}

/// The module with `weights` in place of its own.
///
/// # Errors
/// The first tensor that is missing (unless allowed), of another shape, or left over, with both shapes.
pub fn load<M: Module>(
    module: M,
    weights: &Arrays,
    device: &Device,
    allow_missing: bool,
) -> Result<M, ParameterError> {
    let missing = shapes(&module)
        .into_iter()
        .find(|(name, _)| !weights.contains_key(name));
    match missing {
        Some((name, shape)) if !allow_missing => Err(ParameterError::Missing { name, shape }),
        _ => place(module, weights.clone(), device),
    }
}

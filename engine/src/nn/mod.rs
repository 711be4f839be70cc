//! Blocks that the systems share. Names of fields are the names of checkpoint tensors, so that loading reads like the file.

mod attention;
mod bert;
mod parameters;
mod resnet;

pub use attention::{Attend, KeyValueCache, SelfAttention};
pub use bert::{BertConfig, BertLayer, Encoder, MlmHead, TextEmbeddings};
pub use parameters::{Array, Arrays, ParameterError, ids, load, parameters, place, shapes};
pub use resnet::{Block, ResNet, ResNetConfig};

use burn::nn::{Initializer, Linear};
use burn::tensor::Device;

/// A linear layer as BERT initialises it: weights normal with sd 0.02, biases zero.
pub fn linear(input: usize, output: usize, device: &Device) -> Linear {
    let weight = Initializer::Normal { mean: 0.0, std: 0.02 }.init([input, output], device);
    let bias = Some(Initializer::Zeros.init([output], device));
    Linear { weight, bias }
}

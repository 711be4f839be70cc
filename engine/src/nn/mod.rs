//! Blocks that the systems share. Names of fields are the names of checkpoint tensors, so that loading reads
//! like the file.

mod attention;
mod bert;
mod densenet;
mod ema;
mod layers;
pub mod loss;
mod parameters;
mod queue;
mod resnet;
mod tensor;

pub use attention::{Attend, KeyValueCache, SelfAttention};
pub use bert::{BertConfig, BertLayer, Encoder, MlmHead, TextEmbeddings};
pub use densenet::{DenseNet, DenseNetConfig};
pub use ema::Ema;
pub use layers::{LayerNorm, dense, linear, norm_channels};
pub use parameters::{
    AnyArray, AnyArrays, Array, Arrays, IntArray, ParameterError, gradients, ids, load, parameters, place,
    shapes,
};
pub use queue::FeatureQueue;
pub use resnet::{Block, ResNet, ResNetConfig};
pub use tensor::{column, indices, ints, padded, read_array, stream, vector};

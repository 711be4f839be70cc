//! Blocks that the systems share. Names of fields are the names of checkpoint tensors, so that loading reads
//! like the file.

mod attention;
mod bert;
mod densenet;
mod layers;
mod parameters;
mod resnet;

pub use attention::{Attend, KeyValueCache, SelfAttention};
pub use bert::{BertConfig, BertLayer, Encoder, MlmHead, TextEmbeddings};
pub use densenet::{DenseNet, DenseNetConfig};
pub use layers::{LayerNorm, dense, linear, norm_channels};
pub use parameters::{Array, Arrays, ParameterError, gradients, ids, load, parameters, place, shapes};
pub use resnet::{Block, ResNet, ResNetConfig};

//! Blocks that the systems share. Names of fields are the names of checkpoint tensors, so that loading reads
//! like the file.

mod attention;
mod bert;
mod cross_attention;
mod decode;
mod densenet;
pub mod ema;
mod grad_cam;
mod image_encoder;
mod layers;
pub mod loss;
pub mod names;
mod parameters;
mod positions;
mod projection;
mod prototypes;
pub mod queue;
mod residual;
mod resnet;
mod tensor;
mod trace;
mod transformer;
pub mod vit;

pub use attention::{AttentionPass, KeyValueCache, SelfAttention};
pub use bert::{BertConfig, MlmHead, TextEmbeddings};
pub use cross_attention::{CrossAttention, Memory};
pub use decode::DecodeState;
pub use densenet::{DenseNet, DenseNetConfig};
pub use ema::Ema;
pub use image_encoder::{ImageEncoder, ImageEncoderConfig, check_norm, normalize};
use layers::linear_of;
pub use layers::{
    INITIALIZER_RANGE, LayerNorm, convolve, convolve_norm, dense, linear, norm_channels, pool_largest,
    tied_dense,
};
pub use parameters::{
    AnyArray, AnyArrays, Array, Arrays, IntArray, ParameterError, gradients, ids, load, parameters, place,
    shapes,
};
pub use positions::{SinCos, sincos_positions};
pub use projection::Projection;
pub use prototypes::{PrototypeConfig, PrototypeHead};
pub use queue::{FeatureQueue, QueueMarks};
pub use residual::{DropPath, Residual};
pub use resnet::{Block, ResNet, ResNetConfig};
pub use tensor::{
    column, column_of, indices, ints, padded, read_array, rows_of, samples_of, stream, unit, vector,
};
pub use trace::{Trace, TraceError};
pub use transformer::{Cross, Encoder, LayerConfig, TransformerLayer};
pub use vit::{Vit, VitConfig};

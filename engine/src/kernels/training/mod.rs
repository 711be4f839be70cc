//! Ops whose gradients are kernels too: training on the CPU. Each gives what its reference gives under Burn's own
//! gradients, in fewer passes.
//!
//! Convolution and batch norm are not chosen by `nn::layers` yet: each alone equals Burn's, but a training step with
//! both is further from PyTorch's than `tests/step.rs` allows.

mod adamw;
mod attention;
mod batch_norm;
mod conv;
pub(super) mod gradient;
mod layer_norm;
mod linear;

pub use adamw::{AdamWStep, adamw};
pub use attention::attention_recorded;
pub use batch_norm::batch_norm_recorded;
pub use conv::conv_recorded;
pub use gradient::records_kernels;
pub use layer_norm::layer_norm_recorded;
pub use linear::linear_recorded;

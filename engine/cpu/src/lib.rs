//! The kernels of the CPU: slices in, slices out, no tensor library.
//!
//! All are vectorised for the best instructions that the processor has, found at run time (AVX-512, AVX2 with
//! FMA, NEON, WebAssembly's SIMD, none), and share the work among rayon's threads. Matrices are row-major,
//! batches come first. What each computes, with its plain reference, is tested beside it over odd sizes and
//! the tails of vectors.

mod activation;
mod attention;
mod attention_backward;
mod batch_norm;
mod conv;
mod conv_backward;
mod direct;
mod elementwise;
mod matrix;
mod norm;
mod norm_backward;
mod optimizer;
mod pool;
mod sums;
mod winograd;

pub use activation::{dense_backward, gelu_backward, gelu_of};
pub use attention::{AttentionShape, Visible, attention, decode_attention};
pub use attention_backward::{Attended, AttendedGradients, attention_backward, attention_train};
pub use batch_norm::{BatchNorm, BatchNormGradients, BatchStatistics, batch_norm_backward, batch_norm_train};
pub use conv::{ConvShape, PackedConv, conv};
pub use conv_backward::conv_backward;
pub use elementwise::{Affine, Map, add, gelu, map, relu, scale_channels};
pub use matrix::{Matrix, PackedMatrix, dense, dense_unpacked, matmul, side_by_side};
pub use norm::layer_norm;
pub use norm_backward::{LayerNormGradients, layer_norm_backward};
pub use optimizer::{AdamW, adamw};
pub use pool::{PoolShape, max_pool, max_pool_backward};

#[cfg(test)]
mod testing {
    /// Numbers between -1 and 1 that look random and are the same everywhere.
    pub fn numbers(count: usize, seed: u64) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    /// Asserts that two slices agree within `tolerance`, absolutely.
    pub fn close(expected: &[f32], found: &[f32], tolerance: f32, what: &str) {
        assert_eq!(expected.len(), found.len(), "{what}");
        for (i, (e, f)) in expected.iter().zip(found).enumerate() {
            assert!(
                (e - f).abs() <= tolerance,
                "{what}: value {i} is {f}, expected {e}"
            );
        }
    }
}

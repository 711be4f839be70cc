//! Masked attention, forward: MedViLL's schemes computed from lengths and positions
//! (`shaders/attention.wgsl`, and on the CPU).

use std::ops::Range;

use burn::backend::{
    Backend, Dispatch, Flex, backend_extension,
    tensor::{FloatTensor, IntTensor},
};
use burn::cubecl::prelude::CubeCount;
use burn::tensor::{Bool, Int, Tensor, activation::softmax};
use burn_wgpu::CubeBackend;
use hilum_cpu::{AttentionShape, Visible};

use super::cpu::{dims, tensor, values};
use super::launch::{Kernel, contiguous, empty_like};

pub(super) const SOURCE: &str = include_str!("../../../shaders/attention.wgsl");

/// Largest head that the kernels take: MRM's image decoder has 6 heads of 128.
pub const MAX_HEAD_DIM: usize = 128;

/// Keys that a tile of the kernel holds for heads of `head_dim`: a multiple of its four lanes, at most 16, so
/// that 16 rows of queries, the tile's keys and values, and their scores fit WebGPU's default 16 KiB of
/// workgroup memory.
pub(super) fn columns(head_dim: usize) -> usize {
    const BUDGET: usize = 16_384;
    const ROWS: usize = 16;
    const LANES: usize = 4;
    const BYTES: usize = size_of::<f32>();
    let left = BUDGET.saturating_sub(ROWS * head_dim * BYTES);
    let column = (2 * head_dim + ROWS) * BYTES;
    (left / column / LANES * LANES).clamp(LANES, 16)
}

/// Which columns a row may attend to; `context` is the leading block of CLS, visual tokens and SEP.
///
/// Figure 2 of MedViLL (Moon et al. 2021) draws the first, second, third and fifth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MaskKind {
    /// Every row sees every column that is no padding.
    Bidirectional,
    /// All rows see the context; text rows also the text up to and including themselves.
    Seq2Seq,
    /// Text rows as [`MaskKind::Seq2Seq`]; context rows see all columns.
    BidirectionalAutoregressive {
        /// Whether context rows see padding too, as the released code has it.
        padding: bool,
    },
    /// Two blocks, bidirectional within each, blind to each other.
    NonCrossing,
    /// Pseudo-masked language model (UniLMv2, Bao et al. 2020): after the words come as many MASK tokens, the t-th of
    /// which sees the context, the words before t and itself: every step of left-to-right decoding at once.
    PseudoMasked {
        /// How many words stand in front of their masked copies.
        words: usize,
    },
}

impl MaskKind {
    const fn code(self) -> (u32, u32) {
        match self {
            Self::Bidirectional => (0, 0),
            Self::Seq2Seq => (1, 0),
            Self::BidirectionalAutoregressive { padding: false } => (2, 0),
            Self::BidirectionalAutoregressive { padding: true } => (3, 0),
            Self::NonCrossing => (4, 0),
            Self::PseudoMasked { words } => (5, words as u32),
        }
    }

    /// The kind of a [`MaskKind::code`].
    const fn from_code(kind: u32, words: u32) -> Self {
        match kind {
            0 => Self::Bidirectional,
            1 => Self::Seq2Seq,
            2 => Self::BidirectionalAutoregressive { padding: false },
            3 => Self::BidirectionalAutoregressive { padding: true },
            4 => Self::NonCrossing,
            _ => Self::PseudoMasked {
                words: words as usize,
            },
        }
    }

    /// The columns of `keys` that [`MaskKind::may_attend`] lets `row` see.
    fn visible(self, row: usize, context: usize, length: usize, keys: usize) -> [Range<usize>; 2] {
        let none = 0..0;
        let causal = 0..context.max(if row >= context { row + 1 } else { 0 });
        let ranges = match self {
            Self::Bidirectional => [0..length, none],
            Self::Seq2Seq => [causal, none],
            Self::BidirectionalAutoregressive { .. } if row >= context => [causal, none],
            Self::BidirectionalAutoregressive { padding: true } => [0..keys, none],
            Self::BidirectionalAutoregressive { padding: false } => [0..context.max(length), none],
            Self::NonCrossing if row < context => [0..context.min(length), none],
            Self::NonCrossing => [context..length.max(context), none],
            Self::PseudoMasked { words } if row < context + words => [causal, none],
            Self::PseudoMasked { words } => [0..row - words, row..row + 1],
        };
        ranges.map(|range| range.start.min(keys)..range.end.min(keys))
    }

    /// Whether `row` may attend to `column`, with a context of `context` columns and `length` columns that
    /// are no padding.
    pub const fn may_attend(self, row: usize, column: usize, context: usize, length: usize) -> bool {
        match self {
            Self::Bidirectional => column < length,
            Self::Seq2Seq => column < context || (row >= context && column <= row),
            Self::BidirectionalAutoregressive { padding } => {
                column < context
                    || if row >= context {
                        column <= row
                    } else {
                        padding || column < length
                    }
            }
            Self::NonCrossing => (row < context) == (column < context) && column < length,
            Self::PseudoMasked { words } => {
                if row < context + words {
                    column < context || (row >= context && column <= row)
                } else {
                    column < row - words || column == row
                }
            }
        }
    }
}

/// A mask: its kind and the sizes that it is computed from.
#[derive(Clone, Debug)]
pub struct Mask {
    /// Which cells it masks.
    pub kind: MaskKind,
    /// Columns of the leading block.
    pub context: usize,
    /// Position in the sequence of query row 0.
    pub query_start: usize,
    /// Columns that are no padding, one count a sample: `(batch)`.
    pub lengths: Vec<usize>,
}

impl Mask {
    /// Every row sees all of its sample's columns but padding, as encoders and cross-attention have it;
    /// `lengths` are the columns' (keys').
    pub const fn padding(lengths: Vec<usize>) -> Self {
        Self {
            kind: MaskKind::Bidirectional,
            context: 0,
            query_start: 0,
            lengths,
        }
    }

    /// Every row sees the columns up to and including its own, as left-to-right decoders have it. Padding
    /// stands behind what is real, so that no real row sees it.
    pub fn causal(batch: usize) -> Self {
        Self {
            kind: MaskKind::Seq2Seq,
            context: 0,
            query_start: 0,
            lengths: vec![0; batch],
        }
    }

    /// The mask as ranges of columns for the CPU's kernels.
    pub(super) fn visible(&self, queries: usize, keys: usize) -> Visible {
        let mut visible = Visible::new(queries);
        for &length in &self.lengths {
            for row in self.query_start..self.query_start + queries {
                visible.push(&self.kind.visible(row, self.context, length, keys));
            }
        }
        visible
    }

    /// The mask as a tensor for the reference, true where a cell is masked: `(batch, 1, queries,
    /// keys)`.
    pub fn masked(&self, queries: usize, keys: usize, device: &burn::tensor::Device) -> Tensor<4, Bool> {
        let mut cells = Vec::with_capacity(self.lengths.len() * queries * keys);
        for &length in &self.lengths {
            for row in 0..queries {
                for column in 0..keys {
                    cells.push(
                        !self
                            .kind
                            .may_attend(self.query_start + row, column, self.context, length),
                    );
                }
            }
        }
        let data = burn::tensor::TensorData::new(cells, [self.lengths.len(), 1, queries, keys]);
        Tensor::from_data(data, device)
    }
}

/// The plain reference, differentiable: softmax over the allowed columns, zeros for a row that has none.
///
/// # Shapes
/// - query `(batch, queries, width)`, key and value `(batch, keys, width)`, masked `(batch, 1, queries,
///   keys)`
/// - output `(batch, queries, width)`
///
/// `drop` is applied to the probabilities, as PyTorch's BERT does.
pub fn attention_reference(
    query: Tensor<3>,
    key: Tensor<3>,
    value: Tensor<3>,
    masked: Tensor<4, Bool>,
    heads: usize,
    drop: impl FnOnce(Tensor<4>) -> Tensor<4>,
) -> Tensor<3> {
    let [batch, queries, width] = query.dims();
    let keys = key.dims()[1];
    let dim = width / heads;
    // (B, S, H * D) -> (B, H, S, D)
    let split = |x: Tensor<3>, rows: usize| x.reshape([batch, rows, heads, dim]).swap_dims(1, 2);
    let query = split(query, queries).mul_scalar(1.0 / (dim as f32).sqrt());
    let scores = query.matmul(split(key, keys).swap_dims(2, 3));
    // A finite floor keeps a fully masked row finite; the second fill makes it zero instead of uniform.
    let scores = scores.mask_fill(masked.clone(), -3.0e38);
    let weights = softmax(scores, 3).mask_fill(masked, 0.0);
    drop(weights)
        .matmul(split(value, keys))
        .swap_dims(1, 2)
        .reshape([batch, queries, width])
}

/// The kernel behind Burn's dispatch.
#[backend_extension(Cube, Flex)]
pub(super) trait AttentionBackend: Backend {
    /// See [`masked_attention`].
    fn attention_forward(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        lengths: IntTensor<Self>,
        heads: usize,
        params: [u32; 4],
    ) -> FloatTensor<Self>;
}

impl AttentionBackend for Flex {
    fn attention_forward(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        lengths: IntTensor<Self>,
        heads: usize,
        [context, query_start, kind, words]: [u32; 4],
    ) -> FloatTensor<Self> {
        let ([batch, queries, width], [_, keys, _]) = (dims(&query), dims(&key));
        let mask = Mask {
            kind: MaskKind::from_code(kind, words),
            context: context as usize,
            query_start: query_start as usize,
            lengths: lengths
                .as_slice::<i32>()
                .unwrap_or_default()
                .iter()
                .map(|&n| n as usize)
                .collect(),
        };
        let visible = mask.visible(queries, keys);
        let shape = AttentionShape {
            batch,
            queries,
            keys,
            heads,
            head_dim: width / heads,
        };
        let mut output = vec![0.0; batch * queries * width];
        let (key, value) = (values(&key), values(&value));
        hilum_cpu::attention(&values(&query), &key, &value, shape, &visible, &mut output);
        tensor(output, query.layout().shape().clone())
    }
}

impl AttentionBackend for CubeBackend {
    fn attention_forward(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        lengths: IntTensor<Self>,
        heads: usize,
        [context, query_start, kind, words]: [u32; 4],
    ) -> FloatTensor<Self> {
        let (query, key, value) = (contiguous(query), contiguous(key), contiguous(value));
        let shape = query.meta.shape();
        let (batch, queries, width) = (shape[0], shape[1], shape[2]);
        let keys = key.meta.shape()[1];
        let output = empty_like(&query);
        let head_dim = width / heads;
        let constants = vec![
            ("head_dim", head_dim.to_string()),
            ("columns", columns(head_dim).to_string()),
        ];
        let kernel = Kernel {
            name: "attention",
            source: SOURCE,
            constants,
        };
        let count = CubeCount::Static(queries.div_ceil(16) as u32, heads as u32, batch as u32);
        let params = [
            batch as u32,
            queries as u32,
            keys as u32,
            heads as u32,
            context,
            query_start,
            kind,
            words,
        ];
        kernel.launch(
            vec![query, key, value, contiguous(lengths), output.clone()],
            &params,
            count,
        );
        output
    }
}

/// Masked attention by the kernel. The device must satisfy [`super::runs_kernels`]; on WebGPU heads are at most
/// [`MAX_HEAD_DIM`] wide.
///
/// # Shapes
/// - query `(batch, queries, width)`, key and value `(batch, keys, width)`, lengths `(batch)`, 32-bit
/// - output `(batch, queries, width)`
///
/// # Panics
/// When shapes disagree: a kernel never sees sizes that its guards were not computed from.
pub fn masked_attention(
    query: Tensor<3>,
    key: Tensor<3>,
    value: Tensor<3>,
    lengths: Tensor<1, Int>,
    mask: &Mask,
    heads: usize,
) -> Tensor<3> {
    let [batch, _, width] = query.dims();
    let [key_batch, keys, key_width] = key.dims();
    assert_eq!(
        value.dims(),
        [key_batch, keys, key_width],
        "keys and values differ in shape"
    );
    assert!(
        key_batch == batch && key_width == width,
        "queries and keys differ in batch or width"
    );
    assert_eq!(lengths.dims(), [batch], "one length a sample");
    assert!(
        heads > 0
            && width % heads == 0
            && (width / heads <= MAX_HEAD_DIM || !super::runs_wgsl(&query.device())),
        "heads do not fit the kernel"
    );
    let (kind, words) = mask.kind.code();
    let lengths = lengths.cast(burn::tensor::IntDType::I32);
    let output = <Dispatch as AttentionBackend>::attention_forward(
        query.into_dispatch(),
        key.into_dispatch(),
        value.into_dispatch(),
        lengths.into_dispatch(),
        heads,
        [mask.context as u32, mask.query_start as u32, kind, words],
    );
    Tensor::from_dispatch(output)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution, TensorData};

    use super::*;
    use crate::kernels::launch::tests::{close, cpu_and_webgpu};

    /// The kernels of all devices beside the reference.
    fn compare(batch: usize, queries: usize, keys: usize, heads: usize, dim: usize, mask: &Mask) {
        let cpu = Device::flex();
        let random = |rows: usize| {
            Tensor::<3>::random([batch, rows, heads * dim], Distribution::Normal(0.0, 1.5), &cpu)
        };
        let (q, k, v) = (random(queries), random(keys), random(keys));
        let masked = mask.masked(queries, keys, &cpu);
        let expected = attention_reference(q.clone(), k.clone(), v.clone(), masked, heads, |p| p);
        let lengths: Vec<i32> = mask.lengths.iter().map(|&n| n as i32).collect();
        for (name, device) in cpu_and_webgpu() {
            let there = |x: &Tensor<3>| x.clone().to_device(&device);
            let lengths = Tensor::<1, Int>::from_data(TensorData::new(lengths.clone(), [batch]), &device);
            let found = masked_attention(there(&q), there(&k), there(&v), lengths, mask, heads);
            let what = format!("{name}: {mask:?} {batch}x{queries}x{keys}, {heads} heads of {dim}");
            close(expected.clone(), found, 2e-5, &what);
        }
    }

    #[test]
    fn kernel_equals_reference_under_every_rule_and_odd_sizes() {
        let sizes = [
            (1, 1, 1, 4),
            (3, 17, 1, 16),
            (2, 33, 4, 32),
            (2, 50, 3, 20),
            (1, 70, 2, 64),
            (2, 16, 2, 7),
            (2, 19, 2, 65),
            (1, 37, 3, 80),
            (2, 29, 2, 96),
            (2, 33, 2, 127),
            (1, 53, 3, 128),
        ];
        for (batch, tokens, heads, dim) in sizes {
            let context = (tokens / 2).max(1);
            let lengths: Vec<usize> = (0..batch).map(|b| tokens - b * (tokens / 4)).collect();
            let kinds = [
                MaskKind::Bidirectional,
                MaskKind::Seq2Seq,
                MaskKind::BidirectionalAutoregressive { padding: false },
                MaskKind::BidirectionalAutoregressive { padding: true },
                MaskKind::NonCrossing,
                MaskKind::PseudoMasked {
                    words: (tokens - context) / 2,
                },
            ];
            for kind in kinds {
                let mask = Mask {
                    kind,
                    context,
                    query_start: 0,
                    lengths: lengths.clone(),
                };
                compare(batch, tokens, tokens, heads, dim, &mask);
            }
        }
    }

    #[test]
    fn kernel_takes_fewer_queries_than_keys() {
        for (queries, keys) in [(1, 19), (2, 64), (5, 21)] {
            let mask = Mask {
                kind: MaskKind::Seq2Seq,
                context: 7,
                query_start: keys - queries,
                lengths: vec![keys; 2],
            };
            for dim in [16, 128] {
                compare(2, queries, keys, 2, dim, &mask);
            }
        }
    }

    #[test]
    fn kernel_takes_more_queries_than_keys() {
        for (queries, keys, dim) in [(19, 1, 12), (33, 5, 64), (21, 17, 96)] {
            let mask = Mask::padding(vec![keys, keys / 2]);
            compare(2, queries, keys, 2, dim, &mask);
        }
    }

    #[test]
    fn a_row_that_may_attend_to_nothing_is_zero() {
        let cpu = Device::flex();
        let mask = Mask {
            kind: MaskKind::Bidirectional,
            context: 3,
            query_start: 0,
            lengths: vec![0, 5],
        };
        let ones = Tensor::<3>::ones([2, 5, 8], &cpu);
        let masked = mask.masked(5, 5, &cpu);
        let out = attention_reference(ones.clone(), ones.clone(), ones, masked, 2, |p| p);
        let sums: Vec<f32> = out.sum_dims(&[1, 2]).into_data().iter::<f32>().collect();
        assert_eq!(sums, [0.0, 40.0]);
        compare(2, 5, 5, 2, 4, &mask);
    }

    #[test]
    fn visible_columns_are_those_that_a_row_may_attend_to() {
        let kinds = [
            MaskKind::Bidirectional,
            MaskKind::Seq2Seq,
            MaskKind::BidirectionalAutoregressive { padding: false },
            MaskKind::BidirectionalAutoregressive { padding: true },
            MaskKind::NonCrossing,
            MaskKind::PseudoMasked { words: 3 },
        ];
        for (kind, context) in kinds
            .into_iter()
            .flat_map(|kind| [0, 1, 4].map(|context| (kind, context)))
        {
            let (code, words) = kind.code();
            assert_eq!(MaskKind::from_code(code, words), kind);
            // Fewer keys than rows too: a mask that is longer than what is there.
            for (length, keys, row) in (0..12)
                .flat_map(|l| [5, 10].map(|k| (l, k)))
                .flat_map(|(l, k)| (0..10).map(move |r| (l, k, r)))
            {
                let ranges = kind.visible(row, context, length, keys);
                let expected: Vec<usize> = (0..keys)
                    .filter(|&c| kind.may_attend(row, c, context, length))
                    .collect();
                let found: Vec<usize> = ranges.into_iter().flatten().collect();
                assert_eq!(
                    found, expected,
                    "{kind:?}, row {row}, context {context}, length {length}"
                );
            }
        }
    }

    #[test]
    fn seq2seq_text_is_causal_and_context_is_blind_to_text() {
        let kind = MaskKind::Seq2Seq;
        assert!(kind.may_attend(6, 6, 4, 8) && kind.may_attend(6, 0, 4, 8));
        assert!(!kind.may_attend(6, 7, 4, 8) && !kind.may_attend(0, 4, 4, 8));
        // A masked copy sees what the decoder sees when it predicts that word, and no more.
        let pseudo = MaskKind::PseudoMasked { words: 3 };
        for t in 0..3 {
            let sees: Vec<usize> = (0..10)
                .filter(|&c| pseudo.may_attend(4 + 3 + t, c, 4, 10))
                .collect();
            let mut expected: Vec<usize> = (0..4 + t).collect();
            expected.push(4 + 3 + t);
            assert_eq!(sees, expected);
        }
    }
}

//! Small helpers around tensors: integers onto a device, sequences of one length, a random stream a purpose.

use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{Array, ParameterError};

/// A tensor of 32-bit integers, such as token ids, positions and row numbers.
pub fn ints<const D: usize>(values: Vec<i32>, shape: [usize; D], device: &Device) -> Tensor<D, Int> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Row numbers or token ids as a tensor, `(count)`.
pub fn indices(values: impl IntoIterator<Item = usize>, device: &Device) -> Tensor<1, Int> {
    let values: Vec<i32> = values.into_iter().map(|value| value as i32).collect();
    let count = values.len();
    ints(values, [count], device)
}

/// One column of the same token id, `(batch, 1)`.
pub fn column(id: u32, batch: usize, device: &Device) -> Tensor<2, Int> {
    ints(vec![id as i32; batch], [batch, 1], device)
}

/// Sequences of tokens as one tensor, padded with `pad` to `longest`: `(sequences, longest)`.
pub fn padded<'a>(
    sequences: impl Iterator<Item = &'a [u32]>,
    longest: usize,
    pad: u32,
    device: &Device,
) -> Tensor<2, Int> {
    let mut ids = Vec::new();
    let mut count = 0;
    for tokens in sequences {
        count += 1;
        ids.extend(tokens.iter().take(longest).map(|token| *token as i32));
        ids.extend(std::iter::repeat_n(
            pad as i32,
            longest.saturating_sub(tokens.len()),
        ));
    }
    ints(ids, [count, longest], device)
}

/// One column of hidden states, `(B, T, width)` -> `(B, width)`.
pub fn column_of(hidden: &Tensor<3>, column: usize) -> Tensor<2> {
    let [batch, _, width] = hidden.dims();
    hidden.clone().narrow(1, column, 1).reshape([batch, width])
}

/// Rows of hidden states by their number in the flattened batch, `(B, T, width)` -> `(rows, width)`.
pub fn rows_of(hidden: Tensor<3>, rows: impl IntoIterator<Item = usize>) -> Tensor<2> {
    let [batch, columns, width] = hidden.dims();
    let device = hidden.device();
    hidden
        .reshape([batch * columns, width])
        .select(0, indices(rows, &device))
}

/// Some samples of a batch, in that order; all of them in theirs as they are.
pub fn samples_of(batch: &Tensor<3>, rows: &[usize]) -> Tensor<3> {
    let all = rows.len() == batch.dims()[0] && rows.iter().enumerate().all(|(i, row)| i == *row);
    if all {
        return batch.clone();
    }
    batch
        .clone()
        .select(0, indices(rows.iter().copied(), &batch.device()))
}

/// Rows made unit length.
///
/// # Shapes
/// - x `(rows, width)` -> the same
pub fn unit(x: Tensor<2>) -> Tensor<2> {
    let length = x.clone().square().sum_dim(1).sqrt().clamp_min(1e-12);
    x / length
}

/// A random stream for each purpose and position, so that a resumed run draws what the first would have drawn.
pub fn stream(seed: u64, position: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(position);
    rng
}

/// A tensor's values off the device.
///
/// # Errors
/// When the device does not return them; `name` is for the sentence.
pub fn read_array<const D: usize>(name: &str, tensor: Tensor<D>) -> Result<Array, ParameterError> {
    let shape = tensor.dims().to_vec();
    let data = tensor.try_into_data().map_err(|e| e.to_string());
    let data = data.and_then(|d| d.try_to_vec::<f32>().map_err(|e| format!("{e:?}")));
    let data = data.map_err(|reason| ParameterError::Read {
        name: name.to_owned(),
        reason,
    })?;
    Ok(Array { shape, data })
}

/// The values of an array as a vector on a device.
pub fn vector(array: &Array, device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(array.data.clone(), [array.data.len()]), device)
}

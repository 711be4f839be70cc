//! Products of matrices, with weights packed once, bias and GELU.

use rten_gemm::{BiasVector, GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedBMatrix};
use rten_tensor::NdTensorView;

use crate::elementwise::gelu;

/// The product's implementation for this processor: a choice, and no more than that to make.
pub(crate) fn executor() -> GemmExecutor {
    GemmExecutor::new()
}

/// A matrix somewhere in a slice.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// The values; those before the first of the matrix are cut off.
    pub values: &'a [f32],
    /// Rows and columns.
    pub shape: [usize; 2],
    /// Steps from one row to the next and from one column to the next.
    pub strides: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// A matrix row by row.
    pub const fn rows(values: &'a [f32], rows: usize, columns: usize) -> Self {
        Self {
            values,
            shape: [rows, columns],
            strides: [columns, 1],
        }
    }

    /// Rows as columns and columns as rows.
    pub const fn transposed(self) -> Self {
        Self {
            shape: [self.shape[1], self.shape[0]],
            strides: [self.strides[1], self.strides[0]],
            ..self
        }
    }

    pub(crate) fn view(self) -> NdTensorView<'a, f32, 2> {
        let [rows, columns] = self.shape;
        let used = match rows * columns {
            0 => 0,
            _ => (rows - 1) * self.strides[0] + (columns - 1) * self.strides[1] + 1,
        };
        assert!(
            used <= self.values.len(),
            "a matrix of {rows} x {columns} does not fit its values"
        );
        match NdTensorView::from_data_with_strides(self.shape, &self.values[..used], self.strides) {
            Ok(view) => view,
            Err(error) => panic!("a view of {rows} x {columns}: {error}"),
        }
    }
}

/// `a b`, plus what `output` holds where `accumulate`.
///
/// # Shapes
/// - a `(rows, inner)`, b `(inner, columns)`, output `(rows, columns)` row by row
///
/// # Panics
/// When shapes disagree.
pub fn matmul(a: Matrix, b: Matrix, accumulate: bool, output: &mut [f32]) {
    if output.is_empty() {
        return;
    }
    let options = GemmOptions {
        beta: if accumulate { 1.0 } else { 0.0 },
        ..GemmOptions::default()
    };
    let outcome = executor().gemm(
        output,
        GemmInputA::Unpacked(a.view()),
        GemmInputB::Unpacked(b.view()),
        options,
    );
    if let Err(error) = outcome {
        panic!("{:?} times {:?}: {error}", a.shape, b.shape);
    }
}

/// Weights laid out as the product reads them.
pub struct PackedMatrix {
    packed: PackedBMatrix<f32>,
    shape: [usize; 2],
}

impl std::fmt::Debug for PackedMatrix {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "PackedMatrix({:?})", self.shape)
    }
}

impl PackedMatrix {
    /// Packs weights of `(inputs, outputs)`.
    pub fn new(weights: Matrix) -> Self {
        Self {
            packed: executor().prepack_b(weights.view()),
            shape: weights.shape,
        }
    }

    /// Inputs and outputs.
    pub const fn shape(&self) -> [usize; 2] {
        self.shape
    }
}

/// A linear layer: `x w + b`, and GELU after it where wanted.
///
/// # Shapes
/// - x `(rows, inputs)`, weights `(inputs, outputs)`, bias `(outputs)`, output `(rows, outputs)`
///
/// # Panics
/// When shapes disagree.
pub fn dense(x: &[f32], weights: &PackedMatrix, bias: Option<&[f32]>, activate: bool, output: &mut [f32]) {
    if output.is_empty() {
        return;
    }
    let [inputs, outputs] = weights.shape;
    let rows = output.len() / outputs;
    let options = GemmOptions {
        bias: bias.map(BiasVector::Row),
        ..GemmOptions::default()
    };
    let outcome = executor().gemm(
        output,
        GemmInputA::Unpacked(Matrix::rows(x, rows, inputs).view()),
        GemmInputB::Packed(&weights.packed),
        options,
    );
    if let Err(error) = outcome {
        panic!("{rows} rows through {inputs} x {outputs}: {error}");
    }
    if activate {
        gelu(output);
    }
}

/// What `product` makes of each of three, in one sharing of the threads instead of three.
pub fn side_by_side<T: Send, U: Send>([a, b, c]: [T; 3], product: impl Fn(T) -> U + Sync) -> [U; 3] {
    let (a, (b, c)) = rayon::join(|| product(a), || rayon::join(|| product(b), || product(c)));
    [a, b, c]
}

/// Rows from which weights are packed for one product: fewer are multiplied one by one, which reads weights as they
/// lie.
const FEW: usize = 4;

/// [`dense`] with weights as they lie, for those that are not worth a packed copy.
///
/// # Panics
/// When shapes disagree.
pub fn dense_unpacked(x: &[f32], weights: Matrix, bias: Option<&[f32]>, activate: bool, output: &mut [f32]) {
    let [inputs, outputs] = weights.shape;
    if output.is_empty() {
        return;
    }
    let rows = output.len() / outputs;
    assert!(
        x.len() == rows * inputs && bias.is_none_or(|bias| bias.len() == outputs),
        "rows, weights and bias of a linear layer disagree"
    );
    if let Some(bias) = bias {
        for row in output.chunks_exact_mut(outputs) {
            row.copy_from_slice(bias);
        }
    }
    let accumulate = bias.is_some();
    if rows < FEW && inputs > 0 {
        for (x, output) in x.chunks_exact(inputs).zip(output.chunks_exact_mut(outputs)) {
            matmul(Matrix::rows(x, 1, inputs), weights, accumulate, output);
        }
    } else {
        matmul(Matrix::rows(x, rows, inputs), weights, accumulate, output);
    }
    if activate {
        gelu(output);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::testing::{close, numbers};

    /// `a b` in double precision.
    pub fn plain(a: Matrix, b: Matrix) -> Vec<f32> {
        let ([rows, inner], columns) = (a.shape, b.shape[1]);
        let at = |m: &Matrix, r: usize, c: usize| f64::from(m.values[r * m.strides[0] + c * m.strides[1]]);
        let mut output = Vec::new();
        for row in 0..rows {
            for column in 0..columns {
                output.push(
                    (0..inner)
                        .map(|i| at(&a, row, i) * at(&b, i, column))
                        .sum::<f64>() as f32,
                );
            }
        }
        output
    }

    #[test]
    fn products_equal_plain_loops() {
        for (rows, inner, columns) in [
            (1, 1, 1),
            (2, 40, 300),
            (3, 5, 7),
            (17, 33, 31),
            (64, 192, 100),
            (130, 70, 257),
        ] {
            let (x, w) = (numbers(rows * inner, 1), numbers(inner * columns, 2));
            let (x, w) = (Matrix::rows(&x, rows, inner), Matrix::rows(&w, inner, columns));
            let expected = plain(x, w);
            let mut found = vec![f32::NAN; rows * columns];
            matmul(x, w, false, &mut found);
            close(&expected, &found, 2e-5, "product");
            matmul(x, w, true, &mut found);
            let twice: Vec<f32> = expected.iter().map(|y| 2.0 * y).collect();
            close(&twice, &found, 4e-5, "product on top");
            let bias = numbers(columns, 3);
            let mut found = vec![f32::NAN; rows * columns];
            dense(x.values, &PackedMatrix::new(w), Some(&bias), false, &mut found);
            let expected: Vec<f32> = expected
                .iter()
                .enumerate()
                .map(|(i, y)| y + bias[i % columns])
                .collect();
            close(&expected, &found, 2e-5, "linear layer");
            found.fill(f32::NAN);
            dense_unpacked(x.values, w, Some(&bias), false, &mut found);
            close(&expected, &found, 2e-5, "linear layer, weights as they lie");
            // The same weights, given column by column.
            let across: Vec<f32> = (0..columns)
                .flat_map(|c| (0..inner).map(move |r| (r, c)))
                .map(|(r, c)| w.values[r * columns + c])
                .collect();
            found.fill(f32::NAN);
            dense_unpacked(
                x.values,
                Matrix::rows(&across, columns, inner).transposed(),
                Some(&bias),
                false,
                &mut found,
            );
            close(
                &expected,
                &found,
                2e-5,
                "linear layer, weights as they lie, transposed",
            );
        }
    }

    #[test]
    fn views_with_steps_are_read_where_they_lie() {
        let values = numbers(9 * 40, 1);
        // Columns 8..16 of rows of 40, and their transpose.
        let part = Matrix {
            values: &values[8..],
            shape: [9, 8],
            strides: [40, 1],
        };
        let mut found = vec![0.0; 81];
        matmul(part, part.transposed(), false, &mut found);
        close(&plain(part, part.transposed()), &found, 1e-5, "gram");
    }
}

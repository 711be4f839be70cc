//! Named arrays: how tensors are held where no device is involved.

use half::{bf16, f16};
use safetensors::tensor::Dtype;

use super::BundleError;

pub use crate::nn::{AnyArray, AnyArrays, Array, Arrays, IntArray};

impl Array {
    /// An array of `shape` over `data`.
    ///
    /// # Errors
    /// [`BundleError::Tensor`] when `data` has not as many values as `shape` says.
    pub fn new(shape: Vec<usize>, data: Vec<f32>) -> Result<Self, BundleError> {
        let array = Self { shape, data };
        array.check("without a name")?;
        Ok(array)
    }

    /// Errors when the length of `data` is not the product of `shape`; `name` is for the sentence only.
    pub(super) fn check(&self, name: &str) -> Result<(), BundleError> {
        if elements(&self.shape) == Some(self.data.len()) {
            return Ok(());
        }
        let why = format!(
            "its shape {:?} does not hold its {} values",
            self.shape,
            self.data.len()
        );
        Err(BundleError::Tensor {
            name: name.to_owned(),
            why,
        })
    }
}

/// The product of `shape`, or nothing where it overflows.
pub fn elements(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1_usize, |product, &extent| product.checked_mul(extent))
}

/// `bytes` as the elements of `dtype`, little-endian, or nothing for a type that has no counterpart here.
#[cfg(not(target_family = "wasm"))]
pub(super) fn from_bytes(dtype: Dtype, shape: &[usize], bytes: &[u8]) -> Option<AnyArray> {
    let shape = shape.to_vec();
    if let Some(data) = floats(dtype, bytes) {
        return Some(AnyArray::Float(Array { shape, data }));
    }
    integers(dtype, bytes).map(|data| AnyArray::Int(IntArray { shape, data }))
}

/// The floating-point types, as f32.
pub(super) fn floats(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    Some(match dtype {
        Dtype::F32 => words(bytes, f32::from_le_bytes),
        Dtype::F16 => words(bytes, |b| f16::from_le_bytes(b).to_f32()),
        Dtype::BF16 => words(bytes, |b| bf16::from_le_bytes(b).to_f32()),
        // Weights are never computed in f64 here, so the precision is given up once, at the door.
        Dtype::F64 => words(bytes, |b| f64::from_le_bytes(b) as f32),
        _ => return None,
    })
}

/// The integer types, as i64; nothing where a u64 does not fit.
#[cfg(not(target_family = "wasm"))]
fn integers(dtype: Dtype, bytes: &[u8]) -> Option<Vec<i64>> {
    Some(match dtype {
        Dtype::I64 => words(bytes, i64::from_le_bytes),
        Dtype::I32 => words(bytes, |b| i32::from_le_bytes(b).into()),
        Dtype::I16 => words(bytes, |b| i16::from_le_bytes(b).into()),
        Dtype::I8 => words(bytes, |b| i8::from_le_bytes(b).into()),
        Dtype::U8 | Dtype::BOOL => words(bytes, |b| u8::from_le_bytes(b).into()),
        Dtype::U16 => words(bytes, |b| u16::from_le_bytes(b).into()),
        Dtype::U32 => words(bytes, |b| u32::from_le_bytes(b).into()),
        Dtype::U64 => words(bytes, |b| i64::try_from(u64::from_le_bytes(b)).ok())
            .into_iter()
            .collect::<Option<_>>()?,
        _ => return None,
    })
}

/// `bytes` cut into words of `N` bytes and read by `read`.
fn words<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|&word| read(word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_must_hold_what_its_shape_says() {
        assert!(Array::new(vec![2, 3], vec![0.0; 6]).is_ok());
        assert!(Array::new(vec![], vec![1.0]).is_ok());
        let error = Array::new(vec![2, 3], vec![0.0; 5]).unwrap_err().to_string();
        assert!(error.contains("[2, 3]") && error.contains("5 values"), "{error}");
        assert!(Array::new(vec![usize::MAX, 2], vec![]).is_err());
    }

    #[test]
    fn every_width_is_read() {
        let float = |dtype, bytes: &[u8]| floats(dtype, bytes).unwrap();
        assert_eq!(float(Dtype::F16, &f16::from_f32(1.5).to_le_bytes()), [1.5]);
        assert_eq!(float(Dtype::BF16, &bf16::from_f32(-2.0).to_le_bytes()), [-2.0]);
        assert_eq!(float(Dtype::F64, &0.25_f64.to_le_bytes()), [0.25]);
        let int = |dtype, bytes: &[u8]| integers(dtype, bytes).unwrap();
        assert_eq!(int(Dtype::I64, &(-7_i64).to_le_bytes()), [-7]);
        assert_eq!(int(Dtype::I8, &[255, 1]), [-1, 1]);
        assert_eq!(int(Dtype::BOOL, &[0, 1]), [0, 1]);
        assert!(integers(Dtype::U64, &u64::MAX.to_le_bytes()).is_none());
    }
}

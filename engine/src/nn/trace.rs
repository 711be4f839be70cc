//! Named intermediates of a pass, for parity with reference tensors and for looking inside.

use std::fmt::Display;

use burn::tensor::{Int, Tensor};
use thiserror::Error;

use super::{Array, Arrays, ParameterError};

/// Why a trace cannot be read.
#[derive(Debug, Error)]
pub enum TraceError {
    /// Two intermediates under one name: one of them would be lost.
    #[error("two intermediates of the pass are named {name}; number them")]
    Twice {
        /// The name.
        name: String,
    },
    /// A device that would not give its values.
    #[error(transparent)]
    Read(#[from] ParameterError),
}

/// A value that waits on its device.
#[derive(Clone, Debug)]
struct Kept {
    name: String,
    shape: Vec<usize>,
    values: Tensor<1>,
}

/// Intermediates by name. Off, as a pass gets it by default, it costs nothing: names are not even formatted.
///
/// A pass takes `&mut Trace` and puts what it computes, `trace.put(format_args!("layer{number}"), &x)`.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    kept: Option<Vec<Kept>>,
    prefix: String,
}

impl Trace {
    /// Keeps nothing.
    pub const fn off() -> Self {
        Self {
            kept: None,
            prefix: String::new(),
        }
    }

    /// Keeps everything.
    pub const fn on() -> Self {
        Self {
            kept: Some(Vec::new()),
            prefix: String::new(),
        }
    }

    /// Whether it keeps anything: for what is computed for the trace alone.
    pub const fn is_on(&self) -> bool {
        self.kept.is_some()
    }

    /// Keeps `tensor`, of any shape, under `name`.
    pub fn put<const D: usize>(&mut self, name: impl Display, tensor: &Tensor<D>) {
        if let Some(kept) = &mut self.kept {
            let count = tensor.shape().num_elements();
            kept.push(Kept {
                name: format!("{}{name}", self.prefix),
                shape: tensor.dims().to_vec(),
                // (..) -> (count)
                values: tensor.clone().reshape([count]),
            });
        }
    }

    /// Keeps a loss, `(1)`, as the scalar that other libraries have: shape `[]`.
    pub fn put_scalar(&mut self, name: impl Display, tensor: &Tensor<1>) {
        self.put(name, tensor);
        if let Some(last) = self.kept.as_mut().and_then(|kept| kept.last_mut()) {
            last.shape.clear();
        }
    }

    /// Keeps integers, exact up to 2^24.
    pub fn put_ints<const D: usize>(&mut self, name: impl Display, tensor: &Tensor<D, Int>) {
        if self.is_on() {
            self.put(name, &tensor.clone().float());
        }
    }

    /// What `pass` puts, with `prefix` before its names: for a part that a model runs more than once.
    pub fn under<T>(&mut self, prefix: &str, pass: impl FnOnce(&mut Self) -> T) -> T {
        if !self.is_on() {
            return pass(self);
        }
        let length = self.prefix.len();
        self.prefix.push_str(prefix);
        let value = pass(self);
        self.prefix.truncate(length);
        value
    }

    /// Reads everything back; where reading blocks (natively), see [`Trace::into_arrays`].
    ///
    /// # Errors
    /// [`TraceError::Twice`], or the device does not return a value.
    pub async fn into_arrays_async(self) -> Result<Arrays, TraceError> {
        let mut arrays = Arrays::new();
        for Kept { name, shape, values } in self.kept.unwrap_or_default() {
            let data = values.into_data_async().await.map_err(|e| e.to_string());
            insert(
                &mut arrays,
                name,
                shape,
                data.map(|data| data.iter::<f32>().collect()),
            )?;
        }
        Ok(arrays)
    }

    /// Reads everything back, blocking.
    ///
    /// # Errors
    /// [`TraceError::Twice`], or the device does not return a value.
    pub fn into_arrays(self) -> Result<Arrays, TraceError> {
        let mut arrays = Arrays::new();
        for Kept { name, shape, values } in self.kept.unwrap_or_default() {
            let data = values.try_into_data().map_err(|e| e.to_string());
            insert(
                &mut arrays,
                name,
                shape,
                data.map(|data| data.iter::<f32>().collect()),
            )?;
        }
        Ok(arrays)
    }
}

fn insert(
    arrays: &mut Arrays,
    name: String,
    shape: Vec<usize>,
    data: Result<Vec<f32>, String>,
) -> Result<(), TraceError> {
    if arrays.contains_key(&name) {
        return Err(TraceError::Twice { name });
    }
    match data {
        Ok(data) => drop(arrays.insert(name, Array { shape, data })),
        Err(reason) => return Err(ParameterError::Read { name, reason }.into()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    struct Unformatted;

    impl Display for Unformatted {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("a trace that is off formats no name")
        }
    }

    #[test]
    fn off_it_keeps_nothing_and_formats_no_name() {
        let mut trace = Trace::off();
        let x = Tensor::<1>::zeros([2], &Device::flex());
        trace.put(Unformatted, &x);
        trace.put_scalar(Unformatted, &x);
        trace.under("part.", |trace| trace.put(Unformatted, &x));
        assert!(!trace.is_on() && trace.into_arrays().unwrap().is_empty());
    }

    #[test]
    fn on_it_reads_back_by_name() {
        let device = Device::flex();
        let mut trace = Trace::on();
        let x = Tensor::<2>::from_data([[1.0, 2.0], [3.0, 4.0]], &device);
        // Transposed: values come back in the order of the shape, not of memory.
        trace.under("image.", |trace| {
            trace.put(format_args!("layer{}", 3), &x.clone().transpose())
        });
        trace.put_scalar("loss", &x.clone().mean());
        trace.put_ints("ids", &Tensor::<1, Int>::from_data([7, 9], &device));
        let arrays = trace.into_arrays().unwrap();
        let names: Vec<&str> = arrays.keys().map(String::as_str).collect();
        assert_eq!(names, ["ids", "image.layer3", "loss"]);
        assert_eq!(arrays["image.layer3"].data, [1.0, 3.0, 2.0, 4.0]);
        assert_eq!(arrays["image.layer3"].shape, [2, 2]);
        assert_eq!(
            (&arrays["loss"].shape[..], arrays["loss"].data[0]),
            (&[][..], 2.5)
        );
        assert_eq!(arrays["ids"].data, [7.0, 9.0]);
    }

    #[test]
    fn a_name_that_is_put_twice_is_an_error() {
        let mut trace = Trace::on();
        let x = Tensor::<1>::zeros([1], &Device::flex());
        trace.put("layer", &x);
        trace.put("layer", &x);
        assert!(matches!(trace.into_arrays(), Err(TraceError::Twice { name }) if name == "layer"));
    }
}

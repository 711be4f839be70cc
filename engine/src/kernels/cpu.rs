//! Between Burn's tensors on the CPU and the slices of `hilum-cpu`.

use std::any::{Any, TypeId};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use burn::backend::flex::{FlexTensor, Layout};
use burn::tensor::{Bytes, DType, Shape};

/// A tensor's values row by row, copied only where they lie otherwise.
pub(super) fn values(tensor: &FlexTensor) -> Cow<'_, [f32]> {
    match tensor.as_slice::<f32>() {
        Some(values) => Cow::Borrowed(values),
        None => {
            let laid_out = tensor.to_contiguous();
            Cow::Owned(laid_out.as_slice::<f32>().unwrap_or_default().to_vec())
        }
    }
}

/// A tensor of `values` row by row.
pub(super) fn tensor(values: Vec<f32>, shape: Shape) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(shape), DType::F32)
}

/// The sizes of a tensor.
///
/// # Panics
/// When it has another number of dimensions: what calls a kernel has checked them.
pub(super) fn dims<const D: usize>(tensor: &FlexTensor) -> [usize; D] {
    std::array::from_fn(|axis| tensor.layout().shape()[axis])
}

/// Bytes that are kept of what is made of weights. In a page, where memory is scarce, it is made of small models alone.
const MOST: usize = if cfg!(target_family = "wasm") {
    32 << 20
} else {
    usize::MAX
};

/// What was made of weights, and the weights' blocks of memory, as long as those live.
struct Made {
    of: Vec<Weak<Bytes>>,
    bytes: usize,
    value: Arc<dyn Any + Send + Sync>,
}

impl Made {
    fn lives(&self) -> bool {
        self.of.iter().all(|block| block.strong_count() > 0)
    }
}

/// What is made, and of which part of which blocks.
type Key = (TypeId, Vec<Vec<usize>>);

static MADE: LazyLock<Mutex<HashMap<Key, Made>>> = LazyLock::new(Mutex::default);

fn kept() -> MutexGuard<'static, HashMap<Key, Made>> {
    MADE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What `make` makes of weights, made once as long as they live unchanged; nothing where there is no room for as many
/// bytes as the weights have.
///
/// Weights are known by their blocks of memory. None is written while it is known here: Burn writes in place
/// only where nobody else refers to a block, and gives up the block where somebody does. So a block that is still
/// there holds what it held.
pub(super) fn made_once<T: Send + Sync + 'static>(
    of: &[&FlexTensor],
    make: impl FnOnce() -> T,
) -> Option<Arc<T>> {
    let blocks: Vec<Arc<Bytes>> = of.iter().map(|tensor| tensor.data_arc()).collect();
    let places = of.iter().zip(&blocks).map(|(tensor, block)| {
        let layout = tensor.layout();
        let mut place = vec![Arc::as_ptr(block).addr(), layout.start_offset()];
        place.extend(layout.shape().iter());
        place.extend(layout.strides().iter().map(|step| step.cast_unsigned()));
        place
    });
    let key = (TypeId::of::<T>(), places.collect());
    let bytes = of
        .iter()
        .map(|tensor| tensor.layout().num_elements() * size_of::<f32>())
        .sum();
    let known = kept()
        .get(&key)
        .filter(|made| made.lives())
        .map(|made| made.value.clone());
    if let Some(Ok(value)) = known.map(Arc::downcast::<T>) {
        return Some(value);
    }
    if !has_room(bytes, MOST) {
        return None;
    }
    // Made without the lock: it may be work for all threads, one of which may ask for something else meanwhile.
    let value = Arc::new(make());
    let made = Made {
        of: blocks.iter().map(Arc::downgrade).collect(),
        bytes,
        value: value.clone(),
    };
    kept().insert(key, made);
    Some(value)
}

/// Forgets what was made of weights that are gone, and tells whether `bytes` more are within `most`.
fn has_room(bytes: usize, most: usize) -> bool {
    let mut kept = kept();
    kept.retain(|_, made| made.lives());
    let sum = kept.values().map(|made| made.bytes).sum::<usize>();
    sum.saturating_add(bytes) <= most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_of_weights_is_made_again_when_they_change() {
        let weights = tensor(vec![1.0, 2.0], Shape::new([2]));
        let sum = |weights: &FlexTensor| {
            *made_once(&[weights], || values(weights).iter().sum::<f32>()).expect("room")
        };
        assert_eq!(sum(&weights), 3.0);
        // Another tensor of the same block is the same.
        let again = made_once::<f32>(&[&weights.clone()], || unreachable!("it is known"));
        assert_eq!(again.as_deref(), Some(&3.0));
        let mut changed = weights;
        changed.storage_mut::<f32>()[0] = 5.0;
        assert_eq!(sum(&changed), 7.0);
        // What is made in one form is not taken for another.
        assert_eq!(made_once(&[&changed], || 7_u8).as_deref(), Some(&7));
        assert!(
            has_room(1 << 20, usize::MAX) && !has_room(1, 8),
            "two things of eight bytes are kept"
        );
        let address = Arc::as_ptr(&changed.data_arc()).addr();
        drop(changed);
        let _other = made_once(&[&tensor(vec![0.0], Shape::new([1]))], || 0.0_f32);
        let made = kept();
        assert!(
            !made.keys().any(|(_, places)| places[0][0] == address),
            "what is gone is forgotten"
        );
    }
}

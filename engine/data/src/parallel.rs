//! A map over all cores where there are threads, in order.

/// Applies `f` to each item; the first error ends it. On all cores with the feature `rayon`, else one after another.
///
/// # Errors
/// Those of `f`.
pub fn par_map<T: Sync, R: Send, E: Send>(
    items: &[T],
    f: impl Fn(&T) -> Result<R, E> + Sync + Send,
) -> Result<Vec<R>, E> {
    #[cfg(feature = "rayon")]
    {
        use rayon::prelude::*;
        items.par_iter().map(f).collect()
    }
    #[cfg(not(feature = "rayon"))]
    items.iter().map(f).collect()
}

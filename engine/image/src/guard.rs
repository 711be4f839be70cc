//! The last resort against a decoder of another crate that panics: the panic becomes an error.
//!
//! WebAssembly cannot unwind; there the page's worker is restarted instead.

use super::error::ImageError;

/// Runs `decode`; a panic inside becomes [`ImageError::Decoder`] with `format`, and prints nothing.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn guarded<T>(
    format: &'static str,
    decode: impl FnOnce() -> Result<T, ImageError>,
) -> Result<T, ImageError> {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
    use std::sync::Once;

    thread_local! {
        static QUIET: Cell<bool> = const { Cell::new(false) };
    }
    static HOOK: Once = Once::new();
    // Installed once and for all threads; it changes nothing for a thread that is not decoding.
    HOOK.call_once(|| {
        let previous = take_hook();
        set_hook(Box::new(move |info| {
            if !QUIET.get() {
                previous(info);
            }
        }));
    });
    let outer = QUIET.replace(true);
    // Nothing that `decode` borrows is used again after a panic: its results are dropped with it.
    let result = catch_unwind(AssertUnwindSafe(decode));
    QUIET.set(outer);
    result.unwrap_or(Err(ImageError::Decoder(format)))
}

/// Runs `decode`.
#[cfg(target_family = "wasm")]
pub(crate) fn guarded<T>(
    _: &'static str,
    decode: impl FnOnce() -> Result<T, ImageError>,
) -> Result<T, ImageError> {
    decode()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error() {
        let result: Result<(), _> = guarded("JPEG 2000", || panic!("not shown"));
        assert!(matches!(result, Err(ImageError::Decoder("JPEG 2000"))));
        assert_eq!(guarded("x", || Ok(3)).ok(), Some(3));
    }
}

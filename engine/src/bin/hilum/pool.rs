//! The command's own thread among those that share its products.

/// Bytes of a thread's stack: what the first thread of a process has.
const STACK: usize = 8 << 20;

/// Runs `work` on a thread of the pool that products, norms and attention are shared among.
///
/// From any other thread each of them would wake the pool and wait to be woken itself: of a decoding step a tenth was
/// spent so. A pool of one thread is left alone: what `work` asks of it from threads of its own
/// (pictures ahead of training) would never run.
pub fn enter<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    // A thread of the pool has less of a stack than the first one unless it is told.
    let _ = rayon::ThreadPoolBuilder::new().stack_size(STACK).build_global();
    match rayon::current_num_threads() {
        1 => work(),
        _ => rayon::scope(|_| work()),
    }
}

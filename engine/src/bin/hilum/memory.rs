//! Blocks of memory that are freed stay with the process.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
use std::{env, ffi::OsString, os::unix::process::CommandExt, process::Command};

/// What glibc is told. It returns every freed block above 128 KiB to the kernel, and every tensor is one: each
/// operation would have its pages mapped and cleared anew.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEEP: &str = "glibc.malloc.mmap_threshold=1073741824:glibc.malloc.trim_threshold=8589934592:\
                    glibc.malloc.top_pad=67108864";

/// Starts the command anew, once, with an allocator that keeps freed blocks. Elsewhere than on glibc, and where the
/// user has settings of their own for it, nothing happens.
pub fn keep_blocks() {
    // glibc reads its settings before `main`.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const SETTINGS: &str = "GLIBC_TUNABLES";
        let given = env::var_os(SETTINGS);
        let own = |name: &str| env::var_os(name).is_some();
        let told = given
            .as_ref()
            .is_some_and(|given| given.to_string_lossy().contains("glibc.malloc."));
        if told || own("MALLOC_MMAP_THRESHOLD_") || own("MALLOC_TRIM_THRESHOLD_") {
            return;
        }
        let Ok(program) = env::current_exe() else { return };
        let settings = match given {
            Some(mut given) => {
                given.push(":");
                given.push(KEEP);
                given
            }
            None => OsString::from(KEEP),
        };
        let mut arguments = env::args_os();
        let name = arguments.next().unwrap_or_else(|| program.clone().into());
        // It comes back where that fails, and the command goes on as it is.
        let _ = Command::new(program)
            .arg0(name)
            .args(arguments)
            .env(SETTINGS, settings)
            .exec();
    }
}

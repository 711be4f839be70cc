//! Keeps a library's noise from being taken for an error of ours.
//!
//! On a machine without a desktop session (a container, ssh, a service) a layer of the Vulkan loader asks
//! libwayland for a screen whenever adapters are listed, and libwayland prints that `XDG_RUNTIME_DIR` is not
//! set. It reads the variable from its own process, where it cannot be set safely once the program runs: the
//! command starts itself anew with it, in the same process.

/// Starts the command anew where `XDG_RUNTIME_DIR` is unset or no absolute path; returns where it need not or
/// cannot.
#[cfg(target_os = "linux")]
pub fn settle() {
    use std::os::unix::process::CommandExt;

    const NAME: &str = "XDG_RUNTIME_DIR";
    // Below it no socket can ever be, so that nobody can offer one.
    const NOWHERE: &str = "/dev/null";

    if std::env::var_os(NAME).is_some_and(|dir| dir.as_encoded_bytes().starts_with(b"/")) {
        return;
    }
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    let mut arguments = std::env::args_os();
    let mut command = std::process::Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    // It returns only when it fails; then the noise is the lesser evil.
    let _ = command.args(arguments).env(NAME, NOWHERE).exec();
}

/// Elsewhere nothing prints.
#[cfg(not(target_os = "linux"))]
pub fn settle() {}

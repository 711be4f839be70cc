//! Chromium and its driver, for the page's tests.

use crate::{apt, shell};
use std::path::{Path, PathBuf};

/// Debian's packages. Ubuntu's packages of these names only point to another store, so there the driver is
/// looked for.
const PACKAGES: [&str; 2] = ["chromium", "chromium-driver"];
const PLACES: [&str; 3] = [
    "/usr/bin/chromedriver",
    "/usr/lib/chromium-browser/chromedriver",
    "/snap/bin/chromium.chromedriver",
];

/// Finds the driver, installing it with its browser where there is none.
///
/// # Errors
/// A sentence that says what to install.
pub fn ensure() -> Result<PathBuf, String> {
    if let Some(driver) = find() {
        return Ok(driver);
    }
    apt::ensure(&PACKAGES)?;
    find().ok_or_else(|| {
        format!(
            "{} are installed, yet there is no chromedriver",
            PACKAGES.join(" and ")
        )
    })
}

fn find() -> Option<PathBuf> {
    let works =
        |path: &Path| shell::capture(shell::command(&path.to_string_lossy()).arg("--version")).is_some();
    PLACES
        .iter()
        .map(PathBuf::from)
        .find(|path| path.exists() && works(path))
}

//! A build folder that several checkouts share. Cargo tells a changed source by its time alone, so that what another
//! checkout built after a file was last written here would pass for this file's.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::SystemTime;

use crate::shell;

/// What the programs are built from.
const SOURCES: [&str; 5] = ["app", "engine", "shaders", "tests", "xtask"];

/// The file of a build folder that names the checkout it last served.
const LAST: &str = "checkout.txt";

/// Makes the build folder this checkout's: where it last served another one, all sources count as new.
///
/// # Errors
/// A sentence when a source or the build folder cannot be written.
pub fn claim() -> Result<(), String> {
    claim_in(&shell::target_dir(), &shell::root())
        .map_err(|error| format!("the build folder could not be made this checkout's: {error}."))
}

fn claim_in(target: &Path, root: &Path) -> io::Result<()> {
    let (last, own) = (target.join(LAST), root.to_string_lossy().into_owned());
    let now = SystemTime::now();
    match fs::read_to_string(&last) {
        Ok(served) if served == own => return Ok(()),
        Ok(_) => SOURCES
            .iter()
            .try_for_each(|folder| touch(&root.join(folder), now))?,
        Err(_) => fs::create_dir_all(target)?,
    }
    fs::write(last, own)
}

fn touch(path: &Path, now: SystemTime) -> io::Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            touch(&entry?.path(), now)?;
        }
        return Ok(());
    }
    if path.is_file() {
        File::options().append(true).open(path)?.set_modified(now)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn sources_are_new_to_a_build_folder_that_served_another_checkout() {
        let here = std::env::temp_dir().join(format!("hilum-checkout-{}", std::process::id()));
        let (target, root) = (here.join("target"), here.join("clone"));
        fs::create_dir_all(root.join("engine/src")).unwrap();
        let source = root.join("engine/src/lib.rs");
        fs::write(&source, "").unwrap();
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let age = || {
            let file = File::options().append(true).open(&source).unwrap();
            file.set_modified(long_ago).unwrap();
            claim_in(&target, &root).unwrap();
            fs::metadata(&source).unwrap().modified().unwrap()
        };
        assert_eq!(age(), long_ago);
        assert_eq!(age(), long_ago);
        fs::write(target.join(LAST), "/another/clone").unwrap();
        assert!(age() > long_ago);
        fs::remove_dir_all(here).unwrap();
    }
}

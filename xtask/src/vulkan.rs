//! The Vulkan driver on which WebGPU is tested: a GPU's own, or Mesa's software driver (lavapipe).

use crate::{apt, shell};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Debian's and Ubuntu's packages: the software driver (with those of the common GPUs) and the loader.
pub const PACKAGES: [&str; 2] = ["mesa-vulkan-drivers", "libvulkan1"];

/// The variables by which the loader is told its drivers: the present name and the one before it.
const LOADER_VARIABLES: [&str; 2] = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"];

const MANIFEST_FOLDERS: [&str; 4] = [
    "/etc/vulkan/icd.d",
    "/usr/share/vulkan/icd.d",
    "/usr/local/etc/vulkan/icd.d",
    "/usr/local/share/vulkan/icd.d",
];

/// What WebGPU will run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Driver {
    /// The system has another interface (Metal, Direct3D) that needs no set-up.
    System,
    /// Whoever called us named the driver in the loader's variables.
    Named,
    /// A GPU; the loader chooses among the installed drivers.
    Gpu,
    /// No GPU: the software driver, by its manifest.
    Software(PathBuf),
}

impl Driver {
    /// Points a command's Vulkan loader at this driver.
    pub fn apply(&self, command: &mut Command) {
        // Without a GPU the other drivers only cost start-up time and warnings.
        if let Self::Software(manifest) = self {
            for variable in LOADER_VARIABLES {
                command.env(variable, manifest);
            }
        }
    }

    /// The driver in words.
    pub fn words(&self) -> String {
        match self {
            Self::System => "the system's own graphics interface".into(),
            Self::Named => "the Vulkan driver named in the environment".into(),
            Self::Gpu => "the GPU's Vulkan driver".into(),
            Self::Software(manifest) => format!("the software driver {}", manifest.display()),
        }
    }
}

/// Finds a driver, installing the software driver where there is none.
///
/// # Errors
/// A sentence that says what to install.
pub fn ensure() -> Result<Driver, String> {
    if let Some(driver) = find() {
        return Ok(driver);
    }
    apt::ensure(&PACKAGES)?;
    find().ok_or_else(|| {
        format!(
            "{} are installed, yet no Vulkan driver was found",
            PACKAGES.join(" and ")
        )
    })
}

fn find() -> Option<Driver> {
    if cfg!(any(target_os = "macos", target_os = "windows")) {
        return Some(Driver::System);
    }
    if !loader_present() {
        return None;
    }
    if LOADER_VARIABLES
        .iter()
        .any(|variable| std::env::var_os(variable).is_some_and(|value| !value.is_empty()))
    {
        return Some(Driver::Named);
    }
    choose(
        &manifests(),
        render_node_present(),
        Path::new("/dev/nvidia0").exists(),
    )
}

/// `render_node`: the kernel offers a GPU to Mesa's drivers; `nvidia`: to NVIDIA's, which needs its own manifest.
fn choose(manifests: &[PathBuf], render_node: bool, nvidia: bool) -> Option<Driver> {
    let named = |start: &str| {
        manifests.iter().find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(start))
        })
    };
    if (render_node && !manifests.is_empty()) || (nvidia && named("nvidia").is_some()) {
        return Some(Driver::Gpu);
    }
    named("lvp_icd").cloned().map(Driver::Software)
}

fn manifests() -> Vec<PathBuf> {
    let entries = MANIFEST_FOLDERS.iter().flat_map(fs::read_dir).flatten().flatten();
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .collect();
    paths.sort();
    paths
}

fn render_node_present() -> bool {
    let nodes = fs::read_dir("/dev/dri").into_iter().flatten().flatten();
    nodes
        .into_iter()
        .any(|entry| entry.file_name().to_string_lossy().starts_with("renderD"))
}

fn loader_present() -> bool {
    // Not in the PATH of everyone.
    let list = shell::capture(Command::new("ldconfig").arg("-p"))
        .or_else(|| shell::capture(Command::new("/sbin/ldconfig").arg("-p")));
    // Where the list cannot be read, only the tests themselves can tell.
    list.is_none_or(|list| list.contains("libvulkan.so.1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names
            .iter()
            .map(|name| Path::new("/usr/share/vulkan/icd.d").join(name))
            .collect()
    }

    #[test]
    fn without_a_gpu_the_software_driver_is_pinned_among_several() {
        let all = paths(&["intel_icd.x86_64.json", "lvp_icd.x86_64.json", "nvidia_icd.json"]);
        assert_eq!(choose(&all, false, false), Some(Driver::Software(all[1].clone())));
        assert_eq!(choose(&all, true, false), Some(Driver::Gpu));
        assert_eq!(choose(&all, false, true), Some(Driver::Gpu));
    }

    #[test]
    fn an_nvidia_card_without_its_vulkan_driver_is_no_gpu() {
        let mesa = paths(&["lvp_icd.x86_64.json"]);
        assert_eq!(
            choose(&mesa, false, true),
            Some(Driver::Software(mesa[0].clone()))
        );
        assert_eq!(choose(&[], true, true), None);
        assert_eq!(choose(&paths(&["intel_icd.x86_64.json"]), false, false), None);
    }

    #[test]
    fn only_the_software_driver_is_forced_on_the_loader() {
        let mut command = Command::new("true");
        Driver::Gpu.apply(&mut command);
        assert_eq!(command.get_envs().count(), 0);
        Driver::Software("/lvp.json".into()).apply(&mut command);
        assert_eq!(command.get_envs().count(), LOADER_VARIABLES.len());
    }
}

//! From arrays to a model on a device.

use burn::tensor::Device;

use super::{Arrays, BundleError, Manifest};
use crate::nn;
use crate::systems::medvill::{self, MedVill, MedVillConfig};

/// The model that a manifest describes, with `arrays` as its weights.
///
/// # Errors
/// A system that this engine does not run, a config that cannot run, and weights that do not fit it.
pub fn load_model(manifest: &Manifest, arrays: &Arrays, device: &Device) -> Result<MedVill, BundleError> {
    let unusable = |why: String| BundleError::Manifest { why };
    if manifest.system != medvill::NAME {
        return Err(unusable(format!("its system is {:?} and this engine runs {}", manifest.system, medvill::NAME)));
    }
    let config: MedVillConfig =
        serde_json::from_value(manifest.config.clone()).map_err(|e| unusable(format!("its config is wrong ({e})")))?;
    let model = MedVill::new(&config, device).map_err(|e| unusable(e.to_string()))?;
    nn::load(model, arrays, device, false).map_err(|e| unusable(e.to_string()))
}

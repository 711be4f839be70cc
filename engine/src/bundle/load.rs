//! From shards to a model on a device.

use std::collections::BTreeSet;

use burn::tensor::Device;

use super::{Arrays, BundleError, FileEntry, Manifest, ShardDecoder};
use crate::nn;
use crate::systems::Model;
use crate::text::Specials;

fn unusable(why: String) -> BundleError {
    BundleError::Manifest { why }
}

/// Builds a model shard by shard: each is verified, decoded and put on the device before the next one is
/// asked for, so that beside the weights on the device no more than one shard is in memory.
pub struct ModelLoader {
    model: Model,
    device: Device,
    decoder: ShardDecoder,
    missing: BTreeSet<String>,
}

impl ModelLoader {
    /// A loader for the model that a manifest describes; `specials` are those of its tokenizer.
    ///
    /// # Errors
    /// A system that this engine does not run, and a config that cannot run.
    pub fn new(manifest: &Manifest, specials: Specials, device: &Device) -> Result<Self, BundleError> {
        let model = Model::new(&manifest.system, &manifest.config, specials, device)?;
        let missing = nn::shapes(&model).into_keys().collect();
        Ok(Self {
            model,
            device: device.clone(),
            decoder: ShardDecoder::new(),
            missing,
        })
    }

    /// Takes the next shard, in the manifest's order.
    ///
    /// # Errors
    /// A shard that is not what was exported, and weights that do not fit the model.
    pub fn push(self, entry: &FileEntry, bytes: &[u8]) -> Result<Self, BundleError> {
        let Self {
            model,
            device,
            mut decoder,
            missing,
        } = self;
        let arrays = decoder.push(entry, bytes)?;
        Self {
            model,
            device,
            decoder,
            missing,
        }
        .place(arrays)
    }

    fn place(mut self, arrays: Arrays) -> Result<Self, BundleError> {
        arrays.keys().for_each(|name| _ = self.missing.remove(name));
        self.model = nn::place(self.model, arrays, &self.device).map_err(|e| unusable(e.to_string()))?;
        Ok(self)
    }

    /// The model.
    ///
    /// # Errors
    /// A tensor that no shard held.
    pub fn finish(self) -> Result<Model, BundleError> {
        self.decoder.finish()?;
        match self.missing.first() {
            None => Ok(self.model),
            Some(name) => Err(unusable(format!(
                "its shards lack {name}; was it exported from another preset?"
            ))),
        }
    }
}

/// The model that a manifest describes, with `arrays` as its weights.
///
/// # Errors
/// A system that this engine does not run, a config that cannot run, and weights that do not fit it.
pub fn load_model(
    manifest: &Manifest,
    arrays: Arrays,
    specials: Specials,
    device: &Device,
) -> Result<Model, BundleError> {
    ModelLoader::new(manifest, specials, device)?
        .place(arrays)?
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::{Dtype, write};
    use crate::text::Tokenizer;

    /// `HILUM_PAPER_BUNDLE=DIR cargo test --release -p hilum --lib paper_bundle -- --ignored`: then `?bundle=` opens it in the page.
    #[test]
    #[ignore = "writes 0.3 GB; it is for measuring how the page loads"]
    fn paper_bundle_of_random_weights() {
        let dir = std::env::var_os("HILUM_PAPER_BUNDLE")
            .map(std::path::PathBuf::from)
            .expect("HILUM_PAPER_BUNDLE names a folder");
        let system = "medvill";
        let config = Model::config_for(system, "paper", &Arrays::new()).unwrap();
        let model = Model::new(system, &config, Specials::BERT, &Device::flex()).unwrap();
        let weights = nn::parameters(&model).unwrap();
        let tokens = model.as_system().spec().text.unwrap().vocabulary;
        let names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(str::to_owned);
        let words = (names.len()..tokens).map(|i| format!("word{i}"));
        let vocabulary: Vec<String> = names.into_iter().chain(words).collect();
        let tokenizer = Tokenizer::from_vocab_txt(&vocabulary.join("\n"))
            .unwrap()
            .to_json()
            .unwrap();
        let manifest = Manifest::new("paper", system, "paper", config);
        let manifest = write(&dir, manifest, &weights, Some(&tokenizer), Dtype::F16).unwrap();
        let numbers: usize = weights.values().map(|array| array.data.len()).sum();
        println!("{numbers} weights, {} bytes in shards", manifest.shard_bytes());
    }
}

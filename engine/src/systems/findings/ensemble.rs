//! Several classifiers as one (Lakshminarayanan et al. 2017): their encoders side by side, and one linear layer whose logits are
//! the mean of theirs.
//!
//! With the mean of the cells these are the mean of the members' logits; with log-sum-exp, which bends, the members' maps are
//! averaged before it.

use super::FindingsConfig;
use crate::nn::{Array, Arrays};

const WEIGHT: &str = "classifier.weight";
const BIAS: &str = "classifier.bias";

/// Config and weights of the members, all of one config, as one. `None` for no members, for members that are ensembles, and for
/// weights that are not of this config.
pub(super) fn ensemble(config: &FindingsConfig, members: &[&Arrays]) -> Option<(FindingsConfig, Arrays)> {
    if members.is_empty() || config.encoders != 1 {
        return None;
    }
    let share = 1.0 / members.len() as f32;
    let (labels, features) = (config.labels.len(), config.features());
    let mut weights = Arrays::new();
    // (labels, members * F): a label's weights of the first member, of the second, ..
    let mut weight = Vec::with_capacity(labels * members.len() * features);
    for label in 0..labels {
        for member in members {
            let rows = member.get(WEIGHT).filter(|a| a.shape == [labels, features])?;
            weight.extend(
                rows.data[label * features..][..features]
                    .iter()
                    .map(|v| v * share),
            );
        }
    }
    let mut bias = vec![0.0; labels];
    for (at, member) in members.iter().enumerate() {
        let own = member.get(BIAS).filter(|a| a.shape == [labels])?;
        bias.iter_mut()
            .zip(&own.data)
            .for_each(|(sum, v)| *sum += v * share);
        for (name, array) in *member {
            let Some(inside) = name.strip_prefix("image.") else {
                continue;
            };
            let name = match at {
                0 => name.clone(),
                _ => format!("others.{}.{inside}", at - 1),
            };
            weights.insert(name, array.clone());
        }
    }
    let mut put =
        |name: &str, shape: Vec<usize>, data| weights.insert(name.to_owned(), Array { shape, data });
    put(WEIGHT, vec![labels, members.len() * features], weight);
    put(BIAS, vec![labels], bias);
    let config = FindingsConfig {
        encoders: members.len(),
        projection: 0,
        ..config.clone()
    };
    Some((config, weights))
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution, Tensor};

    use super::*;
    use crate::nn::{load, parameters};
    use crate::systems::System;
    use crate::systems::findings::Classifier;

    #[test]
    fn an_ensemble_has_the_mean_of_its_members_logits() {
        let device = Device::flex();
        let config = FindingsConfig::tiny();
        let members: Vec<Classifier> = (0..3)
            .map(|seed| {
                device.seed(seed);
                Classifier::init(&config, &device).unwrap()
            })
            .collect();
        let weights: Vec<Arrays> = members.iter().map(|m| parameters(m).unwrap()).collect();
        let (whole, arrays) = ensemble(&config, &weights.iter().collect::<Vec<_>>()).unwrap();
        let model = Classifier::init(&whole, &device).unwrap();
        let model = load(model, &arrays, &device, false).unwrap();
        let image = Tensor::<4>::random([2, 1, 64, 64], Distribution::Uniform(0.0, 1.0), &device);
        let logits = |model: &Classifier| model.pool(model.cell_logits(model.encode_image(image.clone())));
        let mean = members.iter().map(logits).reduce(|sum, l| sum + l).unwrap() / 3.0;
        let apart = (logits(&model) - mean).abs().max().into_scalar::<f32>();
        assert!(apart < 1e-5, "{apart}");
        assert_eq!(model.spec().features, 3 * config.features());
        assert!(
            ensemble(&whole, &[&arrays]).is_none(),
            "of ensembles there is none"
        );
        assert!(ensemble(&config, &[]).is_none());
    }

    #[test]
    fn mirrored_reading_is_that_of_the_mirror_image_turned_back() {
        let device = Device::flex();
        let config = FindingsConfig {
            mirror: true,
            ..FindingsConfig::tiny()
        };
        let model = Classifier::init(&config, &device).unwrap();
        let image = Tensor::<4>::random([1, 1, 64, 64], Distribution::Uniform(0.0, 1.0), &device);
        let cells = |image: Tensor<4>| {
            model
                .encode_image(image)
                .reshape([1, 2, 2, config.features() as i32])
        };
        let turned = cells(image.clone().flip([3])).flip([2]);
        let apart = (cells(image) - turned).abs().max().into_scalar::<f32>();
        assert!(apart < 1e-5, "{apart}");
    }
}

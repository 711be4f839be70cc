//! Rows 1 and 2: networks alone, inference.

use anyhow::bail;
use burn::module::Module;
use burn::tensor::Tensor;
use hilum::kernels::Mask;
use hilum::nn::{
    Arrays, AttentionPass, DenseNet, DenseNetConfig, Encoder, LayerConfig, ResNet, ResNetConfig, Vit,
    VitConfig,
};
use serde_json::json;

use super::case::{Pass, Setting, Subject};
use super::weights::{drawn, input, tensor};

/// A post-norm encoder, all tokens seen.
pub fn encoder(cases: &[&'static str], setting: &Setting<'_>) -> anyhow::Result<Subject> {
    let [case] = cases else {
        bail!("an encoder is one case")
    };
    let (layers, layer, tokens) = match *case {
        "encoder-768" => (12, LayerConfig::new(768, 12, 3072), 316),
        _ => (4, LayerConfig::new(384, 6, 1536), 64),
    };
    let encoder = Encoder::from_layers(&vec![layer.clone(); layers], setting.device);
    let (encoder, weights) = drawn(encoder, setting.seed, setting.device)?;
    let x = input(&[1, tokens, layer.width], setting.seed);
    let tokens_in = tensor::<3>(&x, setting.device);
    let run = move || {
        let attend = AttentionPass::new(Mask::padding(vec![tokens]));
        let out = encoder.forward(tokens_in.clone(), &attend, |_, _| ());
        Ok(vec![("out.tokens", out.into_data())])
    };
    let inputs = Arrays::from([("in.tokens".to_owned(), x)]);
    Ok(Subject {
        config: json!({ "heads": layer.heads, "norm_eps": layer.norm_eps }),
        weights,
        passes: vec![Pass::new(case, inputs, run)?],
    })
}

/// A network from pixels, one case a batch size.
fn from_pixels<M: Module + 'static, const D: usize>(
    network: M,
    size: usize,
    forward: fn(&M, Tensor<4>) -> Tensor<D>,
    cases: &[&'static str],
    setting: &Setting<'_>,
) -> anyhow::Result<Subject> {
    let (network, weights) = drawn(network, setting.seed, setting.device)?;
    let mut passes = Vec::new();
    for case in cases {
        let batch = if case.ends_with("-x16") { 16 } else { 1 };
        let x = input(&[batch, 3, size, size], setting.seed);
        let pixels = tensor::<4>(&x, setting.device);
        let network = network.clone();
        let run = move || Ok(vec![("out.map", forward(&network, pixels.clone()).into_data())]);
        passes.push(Pass::new(case, Arrays::from([("in.pixels".to_owned(), x)]), run)?);
    }
    Ok(Subject {
        config: json!({}),
        weights,
        passes,
    })
}

/// ResNet-50 at 512 px, to its last map.
pub fn resnet(cases: &[&'static str], setting: &Setting<'_>) -> anyhow::Result<Subject> {
    let network = ResNet::new(&ResNetConfig::resnet50(), setting.device);
    from_pixels(network, 512, |net, x| net.forward(x, |_, _| ()), cases, setting)
}

/// DenseNet-121 at 224 px, to its last map.
pub fn densenet(cases: &[&'static str], setting: &Setting<'_>) -> anyhow::Result<Subject> {
    let network = DenseNet::new(&DenseNetConfig::densenet121(), setting.device);
    from_pixels(network, 224, |net, x| net.forward(x, |_, _| ()), cases, setting)
}

/// ViT-B/16 at 224 px, all tokens.
pub fn vit(cases: &[&'static str], setting: &Setting<'_>) -> anyhow::Result<Subject> {
    let config = VitConfig::vit_b16();
    let network = Vit::new(&config, setting.device)?;
    let subject = from_pixels(network, config.size, |net, x| net.forward(x), cases, setting)?;
    let config = json!({ "heads": config.heads, "norm_eps": config.norm_eps });
    Ok(Subject { config, ..subject })
}

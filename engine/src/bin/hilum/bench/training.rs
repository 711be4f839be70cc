//! Row 5: training steps as the loop takes them: forward, backward, clipping by the global norm, AdamW.

use anyhow::{Context, bail};
use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use hilum::kernels::Mask;
use hilum::nn::{self, Arrays, AttentionPass, Encoder, LayerConfig, ResNet, ResNetConfig, Vit, VitConfig};
use hilum::systems::Model;
use hilum::train::{GradientAccumulator, Method, Optimizer, ParamOptions};
use serde_json::{Value, json};

use super::case::{Pass, Setting, Subject, array};
use super::weights::{drawn, input, tensor};

const LR: f64 = 1e-4;
const WEIGHT_DECAY: f64 = 0.01;
const BETAS: [f64; 2] = [0.9, 0.999];
const CLIP: f64 = 1.0;
/// Steps whose losses are compared.
const COMPARED: usize = 3;

/// What is trained on what: the mean of squares between the network's output and a random target.
struct Lesson<M, F, const I: usize, const O: usize> {
    network: M,
    forward: F,
    input: [usize; I],
    output: [usize; O],
    config: Value,
}

impl<M, F, const I: usize, const O: usize> Lesson<M, F, I, O>
where
    M: Module + 'static,
    F: Fn(&M, Tensor<I>) -> Tensor<O> + 'static,
{
    fn subject(self, cases: &[&'static str], setting: &Setting<'_>) -> anyhow::Result<Subject> {
        let [case] = cases else {
            bail!("a training step is one case")
        };
        let device = setting.device.clone().autodiff();
        let (mut model, weights) = drawn(self.network, setting.seed, &device)?;
        let (x, target) = (
            input(&self.input, setting.seed),
            input(&self.output, setting.seed + 1),
        );
        let (pixels, wanted) = (tensor::<I>(&x, &device), tensor::<O>(&target, &device));
        let forward = self.forward;
        let mut optimizer = Optimizer::new(Method::AdamW, BETAS, 0.0);
        let options = |_: &str, rank: usize| ParamOptions {
            lr: LR,
            weight_decay: if rank > 1 { WEIGHT_DECAY } else { 0.0 },
        };
        let mut step = move |watch: Option<&mut Arrays>| -> anyhow::Result<f32> {
            let loss = (forward(&model, pixels.clone()) - wanted.clone()).square().mean();
            let gradients = loss.backward();
            let mut sum = GradientAccumulator::default();
            sum.add(&model, &gradients, 1.0);
            if let Some(arrays) = watch {
                let named = nn::gradients(&model, &gradients)?.into_iter();
                arrays.extend(named.map(|(name, gradient)| (format!("grad.{name}"), gradient)));
            }
            model = optimizer.step(model.clone(), &sum, CLIP, &options).0;
            Ok(loss.inner().into_scalar::<f32>())
        };
        let mut arrays = Arrays::from([("in.input".to_owned(), x), ("in.target".to_owned(), target)]);
        let mut losses = vec![step(Some(&mut arrays))?];
        for _ in 1..COMPARED {
            losses.push(step(None)?);
        }
        arrays.insert(
            "out.losses".to_owned(),
            array(&TensorData::new(losses, [COMPARED]))?,
        );
        let run = Box::new(move || step(None).map(drop));
        let mut config = self.config;
        config["optimizer"] = json!({ "lr": LR, "weight_decay": WEIGHT_DECAY, "betas": BETAS, "clip": CLIP });
        Ok(Subject {
            config,
            weights,
            passes: vec![Pass { case, arrays, run }],
        })
    }
}

/// The encoder of the runs that train from scratch: 4 x 192.
pub fn encoder(cases: &[&'static str], setting: &Setting<'_>) -> anyhow::Result<Subject> {
    const SHAPE: [usize; 3] = [16, 128, 192];
    let layer = LayerConfig::new(SHAPE[2], 3, 768);
    let device = setting.device.clone().autodiff();
    Lesson {
        network: Encoder::from_layers(&vec![layer.clone(); 4], &device),
        forward: |encoder: &Encoder, x: Tensor<3>| {
            let [batch, tokens, _] = x.dims();
            let attend = AttentionPass::new(Mask::padding(vec![tokens; batch]));
            encoder.forward(x, &attend, |_, _| ())
        },
        input: SHAPE,
        output: SHAPE,
        config: json!({ "heads": layer.heads, "norm_eps": layer.norm_eps }),
    }
    .subject(cases, setting)
}

/// The image encoder of the demo, batch norm by the batch's own statistics.
pub fn resnet(cases: &[&'static str], setting: &Setting<'_>) -> anyhow::Result<Subject> {
    let preset = Model::config_for("medvill", "demo", &Arrays::new())?;
    let config: ResNetConfig =
        serde_json::from_value(preset["image"].clone()).context("the demo's image encoder")?;
    let device = setting.device.clone().autodiff();
    Lesson {
        network: ResNet::new(&config, &device),
        forward: |net: &ResNet, x: Tensor<4>| net.forward(x, |_, _| ()),
        input: [32, config.channels, 224, 224],
        output: [32, config.features(), 7, 7],
        config: preset["image"].clone(),
    }
    .subject(cases, setting)
}

/// ViT-S/16, all tokens.
pub fn vit(cases: &[&'static str], setting: &Setting<'_>) -> anyhow::Result<Subject> {
    let config = VitConfig::vit_s16();
    let device = setting.device.clone().autodiff();
    Lesson {
        network: Vit::new(&config, &device)?,
        forward: |net: &Vit, x: Tensor<4>| net.forward(x),
        input: [8, config.channels, config.size, config.size],
        output: [8, config.grid() * config.grid() + 1, config.width],
        config: json!({ "heads": config.heads, "norm_eps": config.norm_eps }),
    }
    .subject(cases, setting)
}

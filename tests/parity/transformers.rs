//! Parity of what the transformers of several systems share: ViT, fixed positions, masked patches, losses. The reference tensors are timm's and those of two systems'
//! released code.

use hilum::nn::loss::{binary_cross_entropy, cross_entropy, similarities, soft_cross_entropy};
use hilum::nn::names::from_timm;
use hilum::nn::vit::{Pooling, Positions, gather_tokens};
use hilum::nn::{LayerConfig, SinCos, Vit, VitConfig, linear, sincos_positions};

use super::*;

/// `NAME.io.safetensors` and `NAME.weights.safetensors`.
fn case(dir: &Path, name: &str) -> (AnyArrays, Arrays) {
    let given = checkpoint::read_safetensors_any(&dir.join(format!("{name}.io.safetensors")));
    let weights = checkpoint::read(&dir.join(format!("{name}.weights.safetensors")));
    (given.unwrap(), weights.unwrap())
}

fn tensor<const D: usize>(array: &Array, device: &Device) -> Tensor<D> {
    let shape: [usize; D] = array.shape.clone().try_into().unwrap();
    Tensor::from_data(TensorData::new(array.data.clone(), shape), device)
}

fn floats<const D: usize>(given: &AnyArrays, name: &str, device: &Device) -> Tensor<D> {
    tensor(given[name].float().unwrap(), device)
}

/// Those whose names begin with one of `parts`.
fn only(arrays: &Arrays, parts: &[&str]) -> Arrays {
    let kept = |name: &String| parts.iter().any(|part| name.starts_with(part));
    let mut arrays = arrays.clone();
    arrays.retain(|name, _| kept(name));
    arrays
}

fn report(name: &str, device: &str, worst: f32) {
    println!("parity {name} on {device}: largest difference {worst:.2e}");
}

#[test]
fn parity_sincos() {
    let Some(dir) = parity_dir() else { return };
    let given = checkpoint::read_safetensors_any(&dir.join("sincos.safetensors")).unwrap();
    let mut worst = 0.0;
    for (name, frequencies) in [
        ("mae_64_grid4", SinCos::Mae),
        ("mrm_64_grid4", SinCos::MrmRelease),
    ] {
        let found = sincos_positions(64, [4, 4], true, frequencies);
        expect(&mut worst, &given, name, &found, "no device");
    }
    assert!(worst < 1e-6, "computed in f64: {worst}");
    report("sincos", "no device", worst);
}

fn check_vit(name: &str, pooling: Pooling) {
    let Some(dir) = parity_dir() else { return };
    let (given, weights) = case(&dir, name);
    let config = VitConfig {
        pooling,
        ..VitConfig::tiny()
    };
    let mut own = from_timm(&weights);
    own.retain(|name, _| !name.starts_with("head."));
    for (label, device) in test_devices() {
        let vit = nn::load(Vit::new(&config, &device).unwrap(), &own, &device, false).unwrap();
        let head = nn::load(linear(64, 14, &device), &below(&weights, "head."), &device, false).unwrap();
        let pixels = floats(&given, "in.image", &device);
        let mut worst = 0.0;
        let patches = values(vit.patches(pixels.clone()));
        expect(&mut worst, &given, "out.patch_embed", &patches, label);
        let features = vit.pool(&vit.forward(pixels));
        expect(
            &mut worst,
            &given,
            "out.features",
            &values(features.clone()),
            label,
        );
        let logits = values(head.forward(features));
        expect(&mut worst, &given, "out.logits", &logits, label);
        report(name, label, worst);
    }
}

#[test]
fn parity_vit_timm_cls() {
    check_vit("vit_timm_cls", Pooling::Cls);
}

#[test]
fn parity_vit_timm_gap() {
    check_vit("vit_timm_gap", Pooling::Mean);
}

/// MRM's encoder over the patches that it sees, and its image decoder: the released code's frequencies,
/// positions before masking.
#[test]
fn parity_masked_autoencoder_of_mrm_tiny() {
    let Some(dir) = parity_dir() else { return };
    let (given, weights) = case(&dir, "mrm_tiny");
    let config = VitConfig {
        positions: Positions::Fixed(SinCos::MrmRelease),
        ..VitConfig::tiny()
    };
    let own = from_timm(&weights);
    let encoder = only(&own, &["patch_embed.", "cls_token", "blocks.", "norm."]);
    let decoder: Arrays = below(&own, "decoder_blocks.")
        .into_iter()
        .map(|(name, array)| (format!("layer.{name}"), array))
        .collect();
    let noise = given["in.mask_noise"].float().unwrap();
    let order: Vec<i32> = noise
        .data
        .chunks(16)
        .flat_map(|noise| {
            let mut order: Vec<i32> = (0..16).collect();
            order.sort_by(|a, b| noise[*a as usize].total_cmp(&noise[*b as usize]));
            order
        })
        .collect();
    for (label, device) in test_devices() {
        let vit = nn::load(Vit::new(&config, &device).unwrap(), &encoder, &device, false).unwrap();
        let pixels: Tensor<4> = floats(&given, "in.image_small_bicubic", &device);
        let order = Tensor::<2, Int>::from_data(TensorData::new(order.clone(), [2, 16]), &device);
        let mut worst = 0.0;
        let embedded = vit.embed(vit.patches(pixels.clone()), None);
        expect(
            &mut worst,
            &given,
            "out.patch_plus_pos",
            &values(vit.patch_tokens(&embedded)),
            label,
        );
        let latent = vit.forward_visible(pixels, order.narrow(1, 0, 4));
        expect(&mut worst, &given, "out.latent", &values(latent.clone()), label);

        let part = |name: &str, input, output| {
            let weights = below(&own, name);
            nn::load(linear(input, output, &device), &weights, &device, false).unwrap()
        };
        let block = LayerConfig {
            pre_norm: true,
            norm_eps: 1e-6,
            ..LayerConfig::new(48, 4, 192)
        };
        let blocks = Encoder::from_layers(&[block.clone(), block], &device);
        let blocks = nn::load(blocks, &decoder, &device, false).unwrap();
        let norm = nn::load(
            nn::LayerNorm::new(48, 1e-6, &device),
            &below(&own, "decoder_norm."),
            &device,
            false,
        )
        .unwrap();
        let small = part("decoder_embed.", 64, 48).forward(latent);
        let masks = tensor::<3>(&own["mask_token"], &device).expand([2, 12, 48]);
        let shuffled = Tensor::cat(vec![small.clone().narrow(1, 1, 4), masks], 1);
        let restore = int_tensor(&given, "out.ids_restore", &device);
        let tokens = Tensor::cat(vec![small.narrow(1, 0, 1), gather_tokens(shuffled, restore)], 1);
        let tokens = tokens + tensor(&own["decoder_pos_embed"], &device);
        let attend = AttentionPass::new(Mask::padding(vec![17; 2]));
        let decoded = norm.forward(blocks.forward(tokens, &attend, |_, _| ()));
        let pred = part("decoder_pred.", 48, 3072).forward(decoded).narrow(1, 1, 16);
        expect(&mut worst, &given, "out.pred", &values(pred), label);
        report("mrm_tiny, encoder and image decoder", label, worst);
    }
}

#[test]
fn parity_losses() {
    let Some(dir) = parity_dir() else { return };
    let (given, weights) = case(&dir, "xvl_tiny");
    let (closed, _) = case(&dir, "closed_form_losses");
    for (label, device) in test_devices() {
        let mut worst = 0.0;
        // ALBEF, eq. 6: targets are 0.4 of what the momentum encoders say and 0.6 of the pairs.
        let feature = |name: &str| -> Tensor<2> { floats(&given, name, &device) };
        let with_queue =
            |name: &str, queue: &str| Tensor::cat(vec![feature(name), feature(queue).transpose()], 0);
        let all_images = with_queue("in.image_feat_m", "in.image_queue");
        let all_texts = with_queue("in.text_feat_m", "in.text_queue");
        let temperature = || Tensor::<1>::from_data([weights["temp"].data[0]], &device);
        let pairs = Tensor::<2>::eye(3, &device);
        let pairs = Tensor::cat(vec![pairs, Tensor::zeros([3, 8], &device)], 1);
        for (name, queries, momentum, keys) in [
            ("out.loss_i2t", "out.image_feat", "in.image_feat_m", &all_texts),
            ("out.loss_t2i", "out.text_feat", "in.text_feat_m", &all_images),
            ("out.loss_i2i", "out.image_feat", "in.image_feat_m", &all_images),
            ("out.loss_t2t", "out.text_feat", "in.text_feat_m", &all_texts),
        ] {
            let logits = |queries| similarities(feature(queries), keys.clone(), temperature());
            let soft = burn::tensor::activation::softmax(logits(momentum), 1);
            let targets = soft * 0.4 + pairs.clone() * 0.6;
            let loss = soft_cross_entropy(logits(queries), targets).mean();
            expect(&mut worst, &given, name, &values(loss), label);
        }

        let (_, labels) = ints(&given, "in.mlm_labels");
        let labels: Vec<Option<usize>> = labels.iter().map(|l| usize::try_from(*l).ok()).collect();
        let logits: Tensor<3> = floats(&given, "out.mlm_logits", &device);
        let loss = cross_entropy(logits.reshape([36, 100]), &labels).unwrap();
        expect(&mut worst, &given, "out.loss_mlm_hard", &values(loss), label);

        let targets = closed["in.pair.target"].float().unwrap();
        let targets: Vec<Option<bool>> = targets.data.iter().map(|t| Some(*t > 0.5)).collect();
        let logits: Tensor<2> = floats(&closed, "out.pair.logit_concat_Utxt_then_Vimg", &device);
        let loss = binary_cross_entropy(logits, &targets).unwrap();
        expect(&mut worst, &closed, "out.pair.bce", &values(loss), label);
        report("losses", label, worst);
    }
}

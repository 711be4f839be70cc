//! Medical X-VL against the tensors of its release: both fusion paths, contrastive learning, masked words and patches, what it writes.

use burn::tensor::Tensor;
use hilum::bundle::{checkpoint, import};
use hilum::device::test_devices;
use hilum::nn;
use hilum::systems::xvl::{Xvl, XvlConfig};
use hilum::systems::{Generator, System};
use hilum::text::Specials;

use super::{expect, expect_rows, int_tensor, ints, parity_dir, values};

/// Outputs that are compared whole, and those of which only the rows that are no padding are.
const WHOLE: [&str; 25] = [
    "vit_tokens",
    "vit_tokens_masked",
    "fused_image",
    "fused_image_masked",
    "itm_logits_t",
    "itm_logits_v",
    "itm_score",
    "image_feat",
    "text_feat",
    "loss_i2t",
    "loss_t2i",
    "loss_i2i",
    "loss_t2t",
    "loss_ita",
    "loss_mlm_hard",
    "loss_mlm_dim_last",
    "ibot_cls_logits",
    "ibot_patch_logits",
    "ibot_loss_cls",
    "ibot_loss_patch",
    "ibot_center_cls",
    "ibot_center_patch",
    "lm_logits",
    "mlm_logits",
    "text_tokens",
];

/// The reference's special tokens.
const SPECIALS: Specials = Specials {
    pad: 0,
    unk: 1,
    cls: 2,
    sep: 3,
    mask: 4,
};

#[test]
fn parity_xvl_tiny() {
    let Some(dir) = parity_dir() else { return };
    let given = checkpoint::read_safetensors_any(&dir.join("xvl_tiny.io.safetensors")).unwrap();
    let weights = checkpoint::read(&dir.join("xvl_tiny.weights.safetensors")).unwrap();
    let config = XvlConfig::tiny();
    let cpu = burn::tensor::Device::flex();
    let shapes = nn::shapes(&Xvl::init(&config, SPECIALS, &cpu).unwrap());
    let imported = import("xvl", &weights, &shapes, false).unwrap();
    let (shape, mask) = ints(&given, "in.attention_mask");
    let lengths: Vec<usize> = mask
        .chunks(shape[1])
        .map(|row| row.iter().sum::<i64>() as usize)
        .collect();
    for (label, device) in test_devices() {
        let model = Xvl::init(&config, SPECIALS, &device).unwrap();
        let model = nn::load(model, &imported.arrays, &device, false).unwrap();
        let mut trace = nn::Trace::on();
        model.trace(&given, &mut trace).unwrap();
        let outputs = trace.into_arrays().unwrap();
        let mut worst = 0.0;
        for name in WHOLE {
            expect_rows(
                &mut worst,
                &given,
                &format!("out.{name}"),
                &outputs[&format!("out.{name}")].data,
                label,
                matches!(name, "lm_logits" | "mlm_logits" | "text_tokens").then_some(&lengths),
            );
        }
        expect_rows(
            &mut worst,
            &given,
            "out.fused_text",
            &outputs["out.fused_text"].data,
            label,
            Some(&lengths),
        );
        // The loss of a report is the sum over its words.
        let (_, ids) = ints(&given, "in.input_ids");
        let logits = &outputs["out.lm_logits"];
        let [_, columns, vocabulary] = logits.shape[..] else {
            panic!("{:?}", logits.shape)
        };
        let losses: Vec<f32> = lengths
            .iter()
            .enumerate()
            .map(|(row, length)| {
                let steps = 0..length - 1;
                let loss = |step: usize| {
                    let at = (row * columns + step) * vocabulary;
                    let logits = &logits.data[at..at + vocabulary];
                    let sum: f32 = logits.iter().map(|v| v.exp()).sum();
                    sum.ln() - logits[ids[row * columns + step + 1] as usize]
                };
                steps.map(loss).sum()
            })
            .collect();
        expect(&mut worst, &given, "out.lm_loss_per_sample_sum", &losses, label);
        greedy(&model, &given, label);
        println!("parity xvl_tiny on {label}: largest difference {worst:.2e}");
    }
}

/// Eight words, greedily, of the first image: with the cache, and without.
fn greedy(model: &Xvl, given: &hilum::bundle::AnyArrays, label: &str) {
    let (_, expected) = ints(given, "out.greedy_8");
    let device = model.device();
    let image = given["in.image"].float().unwrap();
    let each = image.data.len() / image.shape[0];
    let [_, channels, rows, columns] = image.shape[..] else {
        panic!("{:?}", image.shape)
    };
    let data = burn::tensor::TensorData::new(image.data[..each].to_vec(), [1, channels, rows, columns]);
    let tokens = model.encode_patches(Tensor::from_data(data, &device), None);
    let mut state = model.start(tokens.clone(), 8);
    let (mut last, mut written) = (None, vec![i64::from(SPECIALS.cls)]);
    for _ in 0..8 {
        let logits = model.step(&mut state, last.take());
        let best = logits.argmax(1);
        written.push(i64::from(best.clone().into_data().iter::<i32>().next().unwrap()));
        last = Some(best);
    }
    assert_eq!(written, expected, "with the cache on {label}");
    let words = hilum::bundle::AnyArrays::from([(
        "words".to_owned(),
        hilum::bundle::AnyArray::Int(nn::IntArray {
            shape: vec![1, 7],
            data: written[1..8].to_vec(),
        }),
    )]);
    let logits = model.forward(tokens, int_tensor(&words, "words", &device));
    let best = values(logits.argmax(2).float());
    let best: Vec<i64> = best.into_iter().map(|v| v as i64).collect();
    assert_eq!(best, expected[1..], "teacher forcing on {label}");
}

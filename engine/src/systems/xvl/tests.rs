//! Medical X-VL's forward passes against each other.

mod answering;
mod objectives;
mod refusals;

use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::RngExt;

use super::*;
use crate::nn::{read_array, stream};
use crate::systems::Trainable;
use crate::systems::train::{
    Batch, Example, Images, Losses, Memory, Progress, StepContext, Vocabulary, Weights,
};

const SPECIALS: Specials = Specials {
    pad: 0,
    unk: 1,
    cls: 2,
    sep: 3,
    mask: 4,
};

pub(super) fn model(config: &XvlConfig, device: &Device) -> Xvl {
    Xvl::init(config, SPECIALS, device).unwrap()
}

pub(super) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    read_array("test", tensor).unwrap().data
}

pub(super) fn near(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() < 1e-4, "{what}: {f}, not {e}");
    }
}

/// The same every time: other tests draw from the same device's stream.
pub(super) fn images(count: usize, device: &Device) -> Tensor<4> {
    let mut rng = stream(2, 0);
    let pixels: Vec<f32> = (0..count * 64 * 64).map(|_| rng.random()).collect();
    Tensor::from_data(TensorData::new(pixels, [count, 1, 64, 64]), device)
}

fn examples(count: usize) -> Vec<Example> {
    let mut rng = stream(5, 1);
    (0..count)
        .map(|i| {
            let mut tokens: Vec<u32> = (0..6 + i % 3).map(|_| rng.random_range(5..100)).collect();
            tokens.push(SPECIALS.sep);
            Example {
                id: i.to_string(),
                has_image: true,
                tokens,
                ..Example::default()
            }
        })
        .collect()
}

/// The losses of one batch of pixels, in the middle of a run and with the same masks each time.
pub(super) fn step(
    model: &Xvl,
    teacher: Option<&Xvl>,
    objectives: &[&str],
    pixels: Tensor<4>,
    examples: &[Example],
    memory: &mut Memory,
) -> Losses {
    let weights = Weights(objectives.iter().map(|name| ((*name).to_owned(), 1.0)).collect());
    let batch = Batch {
        images: Images::Pixels(pixels),
        masks: None,
        boxes: Vec::new(),
        examples: examples.iter().collect(),
        negatives: Vec::new(),
        questions: Vec::new(),
    };
    let mut step = StepContext {
        weights: &weights,
        rng: &mut stream(9, 2),
        progress: Progress { step: 1, steps: 2 },
        teacher,
        memory,
        vocabulary: &Vocabulary::default(),
    };
    Trainable::losses(model, &batch, &mut step)
}

#[test]
fn a_step_with_its_cache_says_what_teacher_forcing_says() {
    let device = Device::flex();
    let model = model(&XvlConfig::tiny(), &device);
    let image = model.encode_image(images(2, &device));
    let tokens = Tensor::<2, Int>::from_data([[7i32, 21, 9, 33], [12, 50, 8, 5]], &device);
    let whole = Generator::forward(&model, image.clone(), tokens.clone());
    let mut state = Generator::start(&model, image, 6);
    let mut last = None;
    for t in 0..5 {
        let step = values(Generator::step(&model, &mut state, last));
        near(&step, &values(whole.clone().narrow(1, t, 1)), "step");
        last = (t < 4).then(|| tokens.clone().narrow(1, t, 1));
    }
}

#[test]
fn each_word_has_looked_at_the_patches() {
    let device = Device::flex();
    let model = model(&XvlConfig::tiny(), &device);
    let image = model.encode_image(images(2, &device));
    let tokens = Tensor::<2, Int>::from_data([[7i32, 21, 9], [12, 50, 8]], &device);
    let looks = model.attention(image, tokens).unwrap();
    assert_eq!(looks.dims(), [2, 3, 16]);
    let sums = values(looks.sum_dim(2));
    assert!(
        sums.iter().all(|sum| (0.5..1.0).contains(sum)),
        "what is left goes to CLS: {sums:?}"
    );
}

#[test]
fn a_pair_matches_by_the_mean_of_both_paths() {
    let device = Device::flex();
    let texts: [&[u32]; 2] = [&[7, 8, 9, 3], &[20, 3]];
    let model = model(&XvlConfig::tiny(), &device);
    let tokens = model.encode_image(images(2, &device));
    let of = |paths: Paths| {
        let mut model = model.clone();
        model.config.paths = paths;
        values(model.match_pairs(tokens.clone(), &texts).unwrap())
    };
    let (text, image) = (of(Paths::Text), of(Paths::Image));
    assert_ne!(text, image);
    let mean: Vec<f32> = text.iter().zip(&image).map(|(a, b)| (a + b) / 2.0).collect();
    near(&of(Paths::Both), &mean, "both paths");
}

#[test]
fn without_a_path_a_pair_matches_by_its_features() {
    let device = Device::flex();
    let mut model = model(&XvlConfig::tiny(), &device);
    model.config.paths = Paths::Neither;
    let image = model.encode_image(images(2, &device));
    let texts: [&[u32]; 2] = [&[7, 8, 9, 3], &[20, 3]];
    let (images, read) = (
        values(model.image_features(&image)),
        values(model.text_features(&model.read(&model.texts(&texts)))),
    );
    let width = images.len() / 2;
    let alike = |row: usize| -> f32 {
        let of = |all: &[f32]| all[row * width..][..width].to_vec();
        of(&images).iter().zip(of(&read)).map(|(a, b)| a * b).sum()
    };
    let found = values(model.match_pairs(image, &texts).unwrap());
    near(&found, &[alike(0), alike(1)], "features");
}

#[test]
fn a_text_is_read_alone_as_in_a_batch() {
    let device = Device::flex();
    let model = model(&XvlConfig::tiny(), &device);
    let image = model.encode_image(images(1, &device));
    let (short, long): (&[u32], &[u32]) = (&[20, 21, 3], &[7, 8, 9, 10, 11, 12, 3]);
    let both = model
        .match_pairs(image.clone().repeat_dim(0, 2), &[short, long])
        .unwrap();
    let alone = model.match_pairs(image, &[short]).unwrap();
    near(&values(both)[..1], &values(alone), "padding tells nothing");
}

#[test]
fn a_wider_start_tells_texts_apart() {
    let device = Device::flex();
    let texts: [&[u32]; 2] = [&[7, 8, 9, 3], &[20, 21, 22, 3]];
    let apart = |range: f64| {
        let mut config = XvlConfig::tiny();
        config.bert.initializer_range = range;
        let model = model(&config, &device);
        let classes = values(model.read(&model.texts(&texts)).hidden.narrow(1, 0, 1));
        let (first, second) = classes.split_at(config.bert.width);
        let squares = first.iter().zip(second).map(|(a, b)| (a - b).powi(2));
        squares.sum::<f32>().sqrt()
    };
    let (narrow, wide) = (
        apart(0.02),
        apart((XvlConfig::tiny().bert.width as f64).powf(-0.5)),
    );
    assert!(wide > 20.0 * narrow && narrow > 0.0, "{wide} and {narrow}");
}

#[test]
fn a_masked_patch_is_not_seen_and_a_hidden_word_is_not_read() {
    let device = Device::flex();
    let model = model(&XvlConfig::tiny(), &device);
    let pixels = images(1, &device).repeat_dim(1, 3);
    // The first patch is another.
    let other = pixels
        .clone()
        .slice_assign([0..1, 0..3, 0..16, 0..16], Tensor::zeros([1, 3, 16, 16], &device));
    let mut masked = vec![false; 16];
    let of = |pixels: &Tensor<4>, masked: &[bool]| values(model.encode_patches(pixels.clone(), Some(masked)));
    near(
        &of(&pixels, &masked),
        &values(model.encode_patches(pixels.clone(), None)),
        "nothing is masked",
    );
    assert_ne!(of(&pixels, &masked), of(&other, &masked));
    masked[0] = true;
    assert_eq!(of(&pixels, &masked), of(&other, &masked));

    let image = model.encode_image(images(1, &device));
    let hidden = |text: &[u32]| values(model.predict_masked(image.clone(), &[text], &[1]).unwrap());
    assert_eq!(hidden(&[20, 21, 22, 3]), hidden(&[20, 77, 22, 3]));
    assert_ne!(hidden(&[20, 21, 22, 3]), hidden(&[20, 21, 70, 3]));
    let sum: f32 = hidden(&[20, 21, 22, 3]).iter().map(|log| log.exp()).sum();
    assert!((sum - 1.0).abs() < 1e-4);
}

#[test]
fn grad_cam_has_a_map_a_word_and_what_is_not_read_changes_none() {
    let device = Device::flex();
    let model = model(&XvlConfig::tiny(), &device);
    let image = model.encode_image(images(1, &device));
    let text: &[u32] = &[20, 21, 22, 23, 3];
    let maps = model.word_maps(image.clone(), text).unwrap();
    assert_eq!(maps.dims(), [5, 16]);
    let maps = values(maps);
    assert!(maps.iter().all(|value| *value >= 0.0) && maps.iter().any(|value| *value > 0.0));
    let other = values(model.word_maps(image, &[20, 71, 22, 23, 3]).unwrap());
    assert_ne!(maps, other);
}

#[test]
fn a_backbone_is_seen_through_its_map_alone() {
    let device = Device::flex();
    let mut config = XvlConfig::demo();
    config.bert.vocabulary = 100;
    let model = model(&config, &device);
    let mut rng = stream(3, 0);
    let pixels: Vec<f32> = (0..224 * 224).map(|_| rng.random()).collect();
    let pixels = Tensor::<4>::from_data(TensorData::new(pixels, [1, 1, 224, 224]), &device);
    let whole = values(model.encode_image(pixels.clone()));
    let cells = model.cached_features(pixels).unwrap();
    assert_eq!(cells.dims(), [1, 49, 128]);
    // What is kept of a frozen backbone is what it sees, cell by cell.
    let kept = model.view_of(&Images::Features(cells)).unwrap();
    near(
        &values(model.encode_patches(kept, None)),
        &whole,
        "from kept cells",
    );
    config.vit.size = 8;
    assert!(config.validate().is_err());
}

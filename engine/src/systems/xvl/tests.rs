//! Medical X-VL's forward passes against each other, what it learns from what, and what it refuses.

use std::collections::BTreeSet;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::RngExt;

use super::*;
use crate::nn::{read_array, stream};
use crate::systems::train::{
    Batch, Example, Images, Losses, Memory, Progress, StepContext, Vocabulary, Weights,
};
use crate::systems::{DataFacts, Trainable};

const SPECIALS: Specials = Specials {
    pad: 0,
    unk: 1,
    cls: 2,
    sep: 3,
    mask: 4,
};

const ALL: [&str; 5] = ["contrast", "itm", "mlm", "mim", "report"];

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

/// The losses of one batch by name, and what is remembered after it.
fn losses(
    model: &Xvl,
    teacher: Option<&Xvl>,
    examples: &[Example],
    memory: &mut Memory,
) -> Vec<(&'static str, f32)> {
    let pixels = images(examples.len(), &model.device());
    step(model, teacher, &ALL, pixels, examples, memory)
        .into_iter()
        .map(|(name, loss)| (name, loss.into_scalar::<f32>()))
        .collect()
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
fn a_language_model_reads_reports_and_no_image() {
    let device = Device::flex().autodiff();
    let model = model(&XvlConfig::tiny(), &device);
    let of = |pixels: Tensor<4>, examples: &[Example]| {
        let found = step(
            &model,
            None,
            &["language"],
            pixels,
            examples,
            &mut Memory::default(),
        );
        found.into_iter().next()
    };
    let mut read = examples(3);
    let (name, loss) = of(images(3, &device), &read).unwrap();
    let learned = crate::nn::gradients(&model, &loss.clone().backward()).unwrap();
    let learns = |part: &str| learned.keys().any(|name| name.starts_with(part));
    assert_eq!(name, "language");
    assert!(learns("text.") && learns("encoder.layer.0.") && learns("mlm."));
    assert!(!learns("visual_encoder.") && !learns("itm_head_t."));
    // Neither another image nor none changes it.
    let black = of(Tensor::zeros([3, 1, 64, 64], &device), &read).unwrap();
    read.iter_mut().for_each(|example| example.has_image = false);
    let none = of(images(3, &device), &read).unwrap();
    let number = |loss: Tensor<1>| loss.into_scalar::<f32>();
    near(&[number(black.1), number(none.1)], &[number(loss); 2], "language");
    read.iter_mut().for_each(|example| example.tokens.clear());
    assert!(of(images(3, &device), &read).is_none());
}

#[test]
fn words_are_left_out_of_what_is_compared() {
    let device = Device::flex().autodiff();
    let full = model(&XvlConfig::tiny(), &device);
    let mut thin = full.clone();
    thin.config.contrast.left_out = 0.5;
    let of = |model: &Xvl, names: &[&str]| {
        let found = step(
            model,
            None,
            names,
            images(3, &device),
            &examples(3),
            &mut Memory::default(),
        );
        found
            .into_iter()
            .map(|(name, loss)| (name, loss.into_scalar::<f32>()))
            .collect::<Vec<_>>()
    };
    assert_ne!(of(&full, &["contrast"]), of(&thin, &["contrast"]));
    // What is written is written whole.
    assert_eq!(of(&full, &["report"]), of(&thin, &["report"]));
}

#[test]
fn one_path_is_learned_where_the_config_names_one() {
    let device = Device::flex().autodiff();
    let config = XvlConfig {
        alternating: false,
        ..XvlConfig::tiny()
    };
    let model = model(&config, &device);
    let negatives = Negatives {
        image: vec![1, 2, 0],
        text: vec![2, 0, 1],
    };
    let of = |paths: Paths| {
        let mut model = model.clone();
        model.config.paths = paths;
        let tokens = model.encode_image(images(3, &device));
        let texts: [&[u32]; 3] = [&[7, 8, 9, 3], &[20, 3], &[30, 31, 3]];
        let read = model.read(&model.texts(&texts));
        let mistaken = MistakenTexts {
            images: vec![1],
            texts: model.read(&model.texts(&[&[21, 3]])),
        };
        let loss = model.matching_loss(&tokens, &read, &negatives, Some(&mistaken));
        let loss = loss.unwrap();
        let learned = crate::nn::gradients(&model, &loss.backward()).unwrap();
        let learns = |part: &str| learned.keys().any(|name| name.starts_with(part));
        let heads = ["itm_head_t.", "encoder.layer.2.", "itm_head_v.", "image_fusion."].map(learns);
        (loss.into_scalar::<f32>(), heads)
    };
    let (text, image, both) = (of(Paths::Text), of(Paths::Image), of(Paths::Both));
    assert_eq!(text.1, [true, true, false, false]);
    assert_eq!(image.1, [false, false, true, true]);
    assert_eq!(both.1, [true; 4]);
    near(&[both.0], &[text.0 + image.0], "both paths");
}

#[test]
fn contrast_leaves_out_what_is_within_a_modality_where_the_config_says_so() {
    let device = Device::flex();
    let (mut student, teacher) = (
        model(&XvlConfig::tiny(), &device),
        model(&XvlConfig::tiny(), &device),
    );
    let examples = examples(4);
    let of = |model: &Xvl| losses(model, Some(&teacher), &examples, &mut Memory::default())[0];
    let whole = of(&student);
    student.config.contrast.intra = false;
    let across = of(&student);
    let texts: Vec<&[u32]> = examples.iter().map(|e| e.tokens.as_slice()).collect();
    let features = |model: &Xvl| {
        let image = model.encode_image(images(4, &device));
        let read = model.read(&model.texts(&texts));
        (model.image_features(&image), model.text_features(&read))
    };
    let ((image, text), (image_m, text_m)) = (features(&student), features(&teacher));
    let features = Features {
        image,
        text,
        image_m,
        text_m,
    };
    // By the middle of the run lambda has grown.
    let parts = student.contrast(&features, &Queued::default(), 0.4);
    let [i2t, t2i, i2i, t2t] =
        [parts.i2t, parts.t2i, parts.i2i, parts.t2t].map(|part| part.into_scalar::<f32>());
    assert_eq!([whole.0, across.0], ["contrast"; 2]);
    near(&[whole.1], &[(i2t + t2i + i2i + t2t) / 4.0], "all four");
    near(&[across.1], &[(i2t + t2i) / 2.0], "across");
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
fn a_step_remembers_and_one_pair_alone_compares_with_what_is_remembered() {
    let device = Device::flex();
    let (student, teacher) = (
        model(&XvlConfig::tiny(), &device.clone().autodiff()),
        model(&XvlConfig::tiny(), &device),
    );
    let mut memory = Memory::default();
    // Alone, and nothing is remembered: no negatives.
    let names = |losses: &[(&'static str, f32)]| losses.iter().map(|(name, _)| *name).collect::<Vec<_>>();
    let alone = losses(&student, Some(&teacher), &examples(1), &mut memory);
    assert_eq!(names(&alone), ["mlm", "mim", "report"]);
    let found = losses(&student, Some(&teacher), &examples(5), &mut memory);
    assert_eq!(names(&found), ALL);
    assert!(
        found.iter().all(|(_, loss)| loss.is_finite() && *loss > 0.0),
        "{found:?}"
    );
    assert_eq!(memory.queues["image"].len(), 6);
    assert_eq!(memory.centres["mim"].dims(), [32]);
    let alone = losses(&student, Some(&teacher), &examples(1), &mut memory);
    assert_eq!(names(&alone), ["contrast", "mlm", "mim", "report"]);
    // Nothing is remembered where nothing is to be.
    let mut forgetful = student.clone();
    forgetful.config.contrast.queue = 0;
    let mut memory = Memory::default();
    assert_eq!(
        names(&losses(&forgetful, Some(&teacher), &examples(5), &mut memory)),
        ALL
    );
    assert!(memory.queues.is_empty());
    // Validation has no teacher and no gradients.
    assert_eq!(
        names(&losses(&teacher, None, &examples(4), &mut Memory::default())),
        ALL
    );
}

#[test]
fn every_parameter_learns_and_the_teacher_does_not() {
    let device = Device::flex().autodiff();
    let config = XvlConfig {
        alternating: false,
        ..XvlConfig::tiny()
    };
    let (student, teacher) = (model(&config, &device), model(&config, &Device::flex()));
    let weights = Weights(ALL.iter().map(|name| ((*name).to_owned(), 1.0)).collect());
    let examples = examples(4);
    let batch = Batch {
        images: Images::Pixels(images(4, &device)),
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
        teacher: Some(&teacher),
        memory: &mut Memory::default(),
        vocabulary: &Vocabulary::default(),
    };
    let losses = Trainable::losses(&student, &batch, &mut step);
    let total = losses
        .into_iter()
        .map(|(_, loss)| loss)
        .reduce(|sum, loss| sum + loss)
        .unwrap();
    let gradients = crate::nn::gradients(&student, &total.backward()).unwrap();
    let learned: BTreeSet<&String> = gradients.keys().collect();
    let shapes = crate::nn::shapes(&student);
    let all: BTreeSet<&String> = shapes.keys().collect();
    assert_eq!(learned, all);
}

#[test]
fn the_temperature_stays_within_its_bounds_and_is_remarked_at_them() {
    let device = Device::flex().autodiff();
    let mut model = model(&XvlConfig::tiny(), &device);
    assert!(model.remarks().is_empty());
    let learns = |temperature: Tensor<1>| {
        Tensor::from_inner(temperature.inner().mul_scalar(100.0)).set_require_grad(true)
    };
    model.temp = model.temp.map(learns);
    let model = model.after_step(Progress { step: 0, steps: 1 });
    assert!((model.temp.val().into_scalar::<f32>() - 0.5).abs() < 1e-6);
    assert!(model.temp.val().is_require_grad(), "it is learned further");
    let remarks = model.valid().remarks();
    assert!(remarks.len() == 1 && remarks[0].contains("0.500"), "{remarks:?}");
}

#[test]
fn a_config_that_cannot_run_is_refused_by_its_key() {
    type Change = fn(&mut XvlConfig);
    let cases: [(&str, Change); 15] = [
        ("vit", |c| c.vit.heads = 5),
        ("vit.pooling", |c| c.vit.class_token = false),
        ("vit.size", |c| c.preprocessing.size = 80),
        ("vit.width", |c| c.bert.width = 64),
        ("fusion", |c| c.fusion = 5),
        ("max_tokens", |c| c.max_tokens = 0),
        ("bert.positions", |c| c.max_tokens = 39),
        ("contrast.within", |c| c.contrast.within = [0.5, 0.1]),
        ("contrast.temperature", |c| c.contrast.temperature = 0.9),
        ("contrast", |c| c.contrast.queue = (1 << 20) + 1),
        ("contrast.left_out", |c| c.contrast.left_out = 1.0),
        ("contrast.lambda", |c| c.contrast.lambda = 1.5),
        ("keyword", |c| c.keyword = 0.0),
        ("mim.ratio", |c| c.mim.ratio = 1.0),
        ("labels", |c| c.labels = "all".to_owned()),
    ];
    for (key, change) in cases {
        let mut config = XvlConfig::tiny();
        change(&mut config);
        // Pooling by a class token that is not there is no ViT either.
        let found = config.validate().unwrap_err().key;
        assert!(
            found == key || (key == "vit.pooling" && found == "vit"),
            "{found}, not {key}"
        );
    }
    let facts = |studies: usize, together: usize| DataFacts {
        vocabulary: 100,
        side_tokens: 0,
        answers: &[],
        studies,
        together,
        mesh: None,
        on: &|name| name == "contrast",
    };
    assert!(XvlConfig::tiny().with_data(&facts(8, 2)).is_ok());
    let refused = |studies, together| {
        XvlConfig::tiny()
            .with_data(&facts(studies, together))
            .unwrap_err()
    };
    assert_eq!(refused(7, 2).key, "contrast.queue");
    assert_eq!(refused(8, 1).key, "optim.batch");
}

#[test]
fn without_matching_features_alone_retrieve_and_nothing_is_checked() {
    let learned = |names: &'static [&str]| Xvl::learned(&move |name| names.contains(&name));
    assert_eq!(learned(&["mlm", "report"]), [Task::Draft]);
    assert_eq!(
        learned(&["contrast", "mlm", "report"]),
        [Task::Retrieve, Task::Draft]
    );
    let mut config = XvlConfig::tiny();
    let contrast = |name: &str| name == "contrast";
    assert!(config.validate_objectives(&contrast).is_err());
    config.paths = Paths::Neither;
    assert!(config.validate_objectives(&contrast).is_ok());
    assert!(config.validate_objectives(&|name| name == "itm").is_err());
    assert_eq!(learned(&["itm", "mlm"]), [Task::Retrieve, Task::Check]);
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

fn asked() -> XvlConfig {
    XvlConfig {
        decoder: 3,
        answers: vec![vec![10, 3], vec![11, 12, 3], vec![13, 3]],
        ..XvlConfig::tiny()
    }
}

#[test]
fn an_answer_is_weighed_as_it_is_written() {
    let device = Device::flex();
    let model = model(&asked(), &device);
    let image = model.encode_image(images(2, &device));
    let questions: [&[u32]; 2] = [&[20, 21, 22, 3], &[30, 3]];
    let ranked = values(model.answer(image.clone(), &questions).unwrap());
    for row in ranked.chunks(3) {
        assert!((row.iter().map(|log| log.exp()).sum::<f32>() - 1.0).abs() < 1e-5);
    }
    // Step by step, the log-likelihood of the second answer of each question.
    let mut state = Answerer::start(&model, image.clone(), &questions, 4);
    let (mut last, mut logs) = (None, [0.0; 2]);
    for token in [11usize, 12, 3] {
        let step = burn::tensor::activation::log_softmax(Answerer::step(&model, &mut state, last), 1);
        let width = step.dims()[1];
        let step = values(step);
        for (question, log) in logs.iter_mut().enumerate() {
            *log += step[question * width + token];
        }
        last = Some(ints(vec![token as i32; 2], [2, 1], &device));
    }
    let weighed = values(model.answer_likelihoods(&image, &questions).unwrap());
    near(&[weighed[1], weighed[4]], &logs, "an answer's likelihood");
    // The question is read: another one, other weights.
    let other = values(model.answer(image, &[&[40, 41, 3], &[30, 3]]).unwrap());
    assert_ne!(ranked[..3], other[..3]);
    near(&ranked[3..], &other[3..], "each question by itself");
}

#[test]
fn the_decoder_begins_as_the_fusion_encoder() {
    let device = Device::flex();
    let plain = model(&XvlConfig::tiny(), &device);
    let weights = crate::nn::parameters(&plain).unwrap();
    let begun = Xvl::first_weights(&asked(), weights.clone());
    // Three layers over two of the fusion encoder: the last two are theirs.
    let of = |name: &str| &begun[name].data;
    let part = "crossattention.key.weight";
    assert_eq!(
        of(&format!("decoder.layer.1.{part}")),
        of(&format!("encoder.layer.2.{part}"))
    );
    assert_eq!(
        of(&format!("decoder.layer.2.{part}")),
        of(&format!("encoder.layer.3.{part}"))
    );
    assert!(!begun.keys().any(|name| name.starts_with("decoder.layer.0.")));
    assert_eq!(
        Xvl::first_weights(&XvlConfig::tiny(), weights.clone()).len(),
        weights.len()
    );
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

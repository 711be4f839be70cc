//! What is learned from what.

use std::collections::BTreeSet;

use burn::module::Module;

use super::*;

const ALL: [&str; 5] = ["contrast", "itm", "mlm", "mim", "report"];

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
    let mut memory = Memory::default();
    let losses = step(
        &student,
        Some(&teacher),
        &ALL,
        images(4, &device),
        &examples(4),
        &mut memory,
    );
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

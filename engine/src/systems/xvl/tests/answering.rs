//! Answers as they are weighed and as they are written.

use super::*;

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

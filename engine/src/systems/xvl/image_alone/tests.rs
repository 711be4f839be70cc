//! The image encoder by itself: each loss by hand or against what it falls to, and what is refused.

use burn::tensor::{Device, Tensor};

use super::*;
use crate::nn::{gradients, load, parameters, shapes, stream, vector};
use crate::systems::train::{Example, Images, Memory};
use crate::systems::xvl::tests::{images, model, near, step, values};
use crate::systems::{SystemConfig, Trainable};

fn config(method: ImageAlone) -> XvlConfig {
    XvlConfig {
        image_alone: Some(method),
        ..XvlConfig::tiny()
    }
}

/// Images as the method wants them: of four, one view each, or two after another.
fn views(method: ImageAlone, device: &Device) -> Tensor<4> {
    // Each image is black in another quarter.
    let quarter = || Tensor::zeros([1, 1, 32, 32], device);
    let first = (0..4).fold(images(4, device), |all, i| {
        let (y, x) = (i / 2 * 32, i % 2 * 32);
        all.slice_assign([i..i + 1, 0..1, y..y + 32, x..x + 32], quarter())
    });
    if method.views() == 1 {
        return first;
    }
    // Nearer to each other than two images: where all features are one, at ln 7, SimCLR has no slope.
    let second = first.clone().mul_scalar(0.98).add_scalar(0.01);
    // (B, 1, S, S) twice -> (B, 2, S, S) -> (2 B, 1, S, S)
    Tensor::cat(vec![first, second], 1).reshape([8, 1, 64, 64])
}

/// The only loss of a step in the middle of its run, with the same masks each time.
fn loss(model: &Xvl, teacher: Option<&Xvl>, pixels: Tensor<4>, memory: &mut Memory) -> Option<Tensor<1>> {
    let name = model.config.image_alone?.objective();
    let examples = vec![Example::default(); 4];
    let losses = step(model, teacher, &[name], pixels, &examples, memory);
    assert!(losses.iter().all(|(found, _)| *found == name) && losses.len() < 2);
    losses.into_iter().map(|(_, loss)| loss).next()
}

#[test]
fn each_loss_falls_and_teaches_the_image_encoder_and_its_head_alone() {
    let device = Device::flex().autodiff();
    for method in ImageAlone::ALL {
        let mut student = model(&config(method), &device);
        let teacher = model(&config(method), &Device::flex());
        let of = |student: &Xvl| {
            let pixels = views(method, &device);
            loss(student, Some(&teacher), pixels, &mut Memory::default()).unwrap()
        };
        let mut found = vec![of(&student).into_scalar::<f32>()];
        for _ in 0..40 {
            let loss = of(&student);
            let slopes = gradients(&student, &loss.backward()).unwrap();
            let learns = |name: &String| {
                ["visual_encoder.", "image_alone.", "masked_embed"]
                    .iter()
                    .any(|part| name.starts_with(part))
            };
            assert!(slopes.keys().all(learns), "{method:?}: {:?}", slopes.keys());
            assert!(slopes.keys().any(|name| name.starts_with("image_alone.")));
            assert!(slopes.keys().any(|name| name.starts_with("visual_encoder.")));
            let squares = slopes.values().flat_map(|slope| &slope.data);
            let steepness = squares.map(|x| x * x).sum::<f32>().sqrt();
            let weights = parameters(&student).unwrap();
            // Down the slope, as far as it falls: a head that makes its rows unit length is steep at first.
            for half in 0..30 {
                let length = 2f32.powi(-half) / steepness;
                let mut moved = weights.clone();
                for (name, slope) in &slopes {
                    let weight = moved.get_mut(name).unwrap();
                    for (value, slope) in weight.data.iter_mut().zip(&slope.data) {
                        *value -= length * slope;
                    }
                }
                let moved = load(student.clone(), &moved, &device, false).unwrap();
                let now = of(&moved).into_scalar::<f32>();
                if now < found[found.len() - 1] {
                    found.push(now);
                    student = moved;
                    break;
                }
            }
            if found[found.len() - 1] < 0.9 * found[0] {
                break;
            }
        }
        let (first, last) = (found[0], found[found.len() - 1]);
        assert!(first.is_finite() && last < 0.97 * first, "{method:?}: {found:?}");
    }
}

#[test]
fn dino_asks_each_view_for_the_other_and_moves_its_centre() {
    let device = Device::flex();
    let (student, teacher) = (
        model(&config(ImageAlone::Dino), &device),
        model(&config(ImageAlone::Dino), &device),
    );
    let logits = |model: &Xvl| {
        let Some(ImageAloneHead::Dino(head)) = &model.image_alone else {
            panic!("no head");
        };
        let view = model.view_of(&Images::Pixels(views(ImageAlone::Dino, &device)));
        values(head.forward(model.cls(view.unwrap())))
    };
    let (asked, told) = (logits(&student), logits(&teacher));
    let centre: Vec<f32> = (0..32).map(|place| place as f32 / 100.0).collect();
    let array = crate::nn::Array {
        shape: vec![32],
        data: centre.clone(),
    };
    let mut memory = Memory::default();
    memory.centres.insert("dino".to_owned(), vector(&array, &device));
    let pixels = views(ImageAlone::Dino, &device);
    let found = loss(&student, Some(&teacher), pixels, &mut memory).unwrap();

    let softmax = |values: Vec<f64>| {
        let most = values.iter().copied().fold(f64::MIN, f64::max);
        let sum: f64 = values.iter().map(|value| (value - most).exp()).sum();
        let share = move |value: &f64| (value - most).exp() / sum;
        values.iter().map(share).collect::<Vec<f64>>()
    };
    let row = |values: &[f32], row: usize| values[row * 32..(row + 1) * 32].to_vec();
    let mut expected = 0.0;
    for view in 0..8 {
        let other = row(&told, view ^ 1);
        let sharp = other.iter().zip(&centre).map(|(x, c)| f64::from(x - c) / 0.07);
        let own = row(&asked, view).into_iter().map(|x| f64::from(x) / 0.1);
        let (sharp, own) = (softmax(sharp.collect()), softmax(own.collect()));
        let entropy: f64 = sharp.iter().zip(&own).map(|(t, s)| -t * s.ln()).sum();
        expected += entropy / 8.0;
    }
    near(&values(found), &[expected as f32], "crossed views");
    let moved: Vec<f32> = (0..32)
        .map(|place| {
            let mean = (0..8).map(|view| told[view * 32 + place]).sum::<f32>() / 8.0;
            0.9 * centre[place] + 0.1 * mean
        })
        .collect();
    near(&values(memory.centres["dino"].clone()), &moved, "the centre");
    // Without an average the student is its own teacher.
    let pixels = views(ImageAlone::Dino, &device);
    let alone = loss(&student, None, pixels.clone(), &mut Memory::default()).unwrap();
    let same = loss(&student, Some(&student), pixels, &mut Memory::default()).unwrap();
    near(&values(alone), &values(same), "its own teacher");
}

#[test]
fn simmim_counts_the_pixels_of_masked_patches_alone() {
    let device = Device::flex();
    let model = model(&config(ImageAlone::SimMim), &device);
    let Some(ImageAloneHead::SimMim(head)) = &model.image_alone else {
        panic!("no head");
    };
    let view = model.view_of(&Images::Pixels(images(2, &device))).unwrap();
    let mut masked = vec![false; 32];
    for patch in [1, 6, 16 + 3] {
        masked[patch] = true;
    }
    let found = values(model.simmim_loss(head, view.clone(), &masked));
    let tokens = values(model.encode_patches(view.clone(), Some(&masked)));
    let (pixels, weights) = (values(view), parameters(&model).unwrap());
    let (weight, bias) = (
        &weights["image_alone.weight"].data,
        &weights["image_alone.bias"].data,
    );
    let mut sum = 0.0;
    for (image, patch) in [(0, 1), (0, 6), (1, 3)] {
        let token = &tokens[(image * 17 + 1 + patch) * 48..][..48];
        for (place, bias) in bias.iter().enumerate() {
            let (channel, y, x) = (place / 256, place / 16 % 16, place % 16);
            let row = &weight[place * 48..][..48];
            let made: f32 = bias + row.iter().zip(token).map(|(w, t)| w * t).sum::<f32>();
            let at = ((image * 3 + channel) * 64 + patch / 4 * 16 + y) * 64 + patch % 4 * 16 + x;
            sum += f64::from((made - pixels[at]).abs());
        }
    }
    near(&found, &[(sum / (3.0 * 768.0)) as f32], "three patches");
}

#[test]
fn units_of_32_pixels_are_masked_whole() {
    let mut rng = stream(5, 3);
    for (side, patch, wanted) in [(14, 16, 120), (4, 16, 12), (7, 32, 30), (4, 64, 10), (28, 8, 480)] {
        for _ in 0..20 {
            let masked = mask_units(side, patch, &mut rng);
            assert_eq!(masked.len(), side * side);
            assert_eq!(masked.iter().filter(|m| **m).count(), wanted, "{side} of {patch}");
            let unit = (32 / patch).max(1);
            for cell in 0..side * side {
                let (row, column) = (cell / side / unit * unit, cell % side / unit * unit);
                assert_eq!(masked[cell], masked[row * side + column]);
            }
        }
    }
    // Three patches a side: the last units end with the image.
    assert_eq!(mask_units(3, 16, &mut rng).len(), 9);
}

#[test]
fn one_image_has_no_negatives_and_one_view_no_partner() {
    let device = Device::flex();
    for method in [ImageAlone::SimClr, ImageAlone::Dino] {
        let model = model(&config(method), &device);
        let once = images(4, &device);
        assert!(loss(&model, None, once, &mut Memory::default()).is_none());
    }
    let on = |name: &'static str| Xvl::views(&move |other| other == name);
    assert_eq!(["simclr", "dino", "simmim", "mim"].map(on), [2, 2, 1, 1]);
}

#[test]
fn a_head_is_there_where_the_config_asks_and_goes_with_its_objective() {
    let plain = shapes(&model(&XvlConfig::tiny(), &Device::flex()));
    let written = serde_json::to_value(XvlConfig::tiny()).unwrap();
    assert!(written.get("image_alone").is_none() && written["contrast"].get("intra").is_none());
    for method in ImageAlone::ALL {
        let config = config(method);
        let written = serde_json::to_value(&config).unwrap();
        assert_eq!(written["image_alone"], method.objective());
        assert_eq!(serde_json::from_value::<XvlConfig>(written).unwrap(), config);
        let mut found = shapes(&model(&config, &Device::flex()));
        found.retain(|name, _| !name.starts_with("image_alone."));
        assert_eq!(found, plain);

        let refused = |config: &XvlConfig, names: &[&str]| {
            let on = |name: &str| names.contains(&name);
            config.validate_objectives(&on).err().unwrap_or_default()
        };
        let name = method.objective();
        assert_eq!(refused(&config, &[name]), "");
        assert!(refused(&XvlConfig::tiny(), &[name]).contains("model.image_alone"));
        let together = refused(&config, &[name, "mlm"]);
        assert_eq!(together.contains("go alone"), method.views() == 2, "{together}");
    }
    let mut over = XvlConfig::demo();
    for method in ImageAlone::ALL {
        over.image_alone = Some(method);
        let refused = over.validate().err().map(|error| error.key);
        assert_eq!(
            refused,
            (method == ImageAlone::SimMim).then_some("image_alone"),
            "{method:?}"
        );
    }
}

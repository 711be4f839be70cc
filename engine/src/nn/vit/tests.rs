use burn::tensor::Distribution;

use super::*;
use crate::device::test_devices;
use crate::nn;

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

fn pixels(batch: usize, device: &Device) -> Tensor<4> {
    Tensor::random([batch, 3, 64, 64], Distribution::Normal(0.0, 1.0), device)
}

fn close(expected: &[f32], found: &[f32], what: &str) {
    assert_eq!(expected.len(), found.len(), "{what}");
    for (e, f) in expected.iter().zip(found) {
        assert!((e - f).abs() < 1e-5, "{what}: {f}, expected {e}");
    }
}

#[test]
fn presets_have_the_sizes_of_timm() {
    // timm prints 22,050,664 and 86,567,656 parameters with a head of 1,000 classes.
    for (config, total) in [
        (VitConfig::vit_s16(), 22_050_664 - 385_000),
        (VitConfig::vit_b16(), 86_567_656 - 769_000),
    ] {
        let shapes = nn::shapes(&Vit::new(&config, &Device::flex()).unwrap());
        let count: usize = shapes.values().map(|s| s.iter().product::<usize>()).sum();
        assert_eq!(count, total);
    }
}

#[test]
fn sizes_that_make_no_vit_are_refused() {
    let tiny = VitConfig::tiny;
    let refused = [
        VitConfig { size: 60, ..tiny() },
        VitConfig { patch: 0, ..tiny() },
        VitConfig { heads: 5, ..tiny() },
        VitConfig { heads: 0, ..tiny() },
        VitConfig {
            width: 6,
            heads: 2,
            positions: Positions::Fixed(SinCos::Mae),
            ..tiny()
        },
        VitConfig {
            class_token: false,
            ..tiny()
        },
        VitConfig {
            drop_path: 1.0,
            ..tiny()
        },
    ];
    for config in refused {
        assert!(Vit::new(&config, &Device::flex()).is_err(), "{config:?}");
    }
}

#[test]
fn all_patches_visible_in_another_order_are_the_same_tokens() {
    for (name, device) in test_devices() {
        let config = VitConfig {
            positions: Positions::Fixed(SinCos::MrmRelease),
            ..VitConfig::tiny()
        };
        let vit = Vit::new(&config, &device).unwrap();
        let x = pixels(2, &device);
        let whole = vit.forward(x.clone());
        let order: Vec<i32> = (0..16).rev().chain((0..16).map(|i| (i * 5) % 16)).collect();
        let order = Tensor::<2, Int>::from_data(TensorData::new(order, [2, 16]), &device);
        let seen = vit.forward_visible(x, order.clone());
        let expected = gather_tokens(vit.patch_tokens(&whole), order);
        close(&values(expected), &values(vit.patch_tokens(&seen)), name);
        close(
            &values(whole.narrow(1, 0, 1)),
            &values(seen.narrow(1, 0, 1)),
            name,
        );
    }
}

#[test]
fn visible_patches_are_blind_to_the_others() {
    let device = Device::flex();
    let vit = Vit::new(&VitConfig::tiny(), &device).unwrap();
    let x = pixels(1, &device);
    let visible = || Tensor::<2, Int>::from_data([[0, 5, 6]], &device);
    let before = values(vit.forward_visible(x.clone(), visible()));
    let changed = |rows: std::ops::Range<usize>| {
        let noise = Tensor::full([1, 3, 16, 16], 5.0, &device);
        values(vit.forward_visible(
            x.clone().slice_assign([0..1, 0..3, rows, 16..32], noise),
            visible(),
        ))
    };
    // Patch 1 is none of them, patch 5 is.
    assert_eq!(before, changed(0..16));
    assert_ne!(before, changed(16..32));
}

#[test]
fn taps_are_the_maps_behind_their_blocks() {
    let device = Device::flex();
    let vit = Vit::new(&VitConfig::tiny(), &device).unwrap();
    let x = pixels(2, &device);
    let (tokens, maps) = vit.forward_intermediates(x.clone(), &[0, 2]);
    assert_eq!(values(tokens.clone()), values(vit.forward(x)));
    assert_eq!(maps.len(), 2);
    assert_eq!(maps[0].dims(), [2, 64, 4, 4]);
    // The last tap, normed, is the last tokens.
    let last = maps[1].clone().flatten::<3>(2, 3).swap_dims(1, 2);
    let normed = vit.norm.as_ref().unwrap().forward(last.clone());
    close(&values(vit.patch_tokens(&tokens)), &values(normed), "last tap");
    // Row 1, column 2 of a map is patch 6.
    let cell = maps[1].clone().slice([0..1, 0..64, 1..2, 2..3]);
    assert_eq!(values(cell), values(last.slice([0..1, 6..7, 0..64])));
}

#[test]
fn drop_path_acts_in_training_alone() {
    let config = VitConfig {
        drop_path: 0.9,
        positions: Positions::Fixed(SinCos::Mae),
        ..VitConfig::tiny()
    };
    let device = Device::flex();
    let vit = Vit::new(&config, &device).unwrap();
    let x = pixels(8, &device);
    assert_eq!(values(vit.forward(x.clone())), values(vit.forward(x.clone())));
    let training = vit.clone().train();
    let x = Tensor::from_inner(x);
    assert_ne!(values(training.forward(x.clone())), values(training.forward(x)));
}

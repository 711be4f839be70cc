//! What must hold of every phantom: determinism, sides, masks and boxes, sizes.

use super::*;
use hilum_text::Side;

fn first_with(
    kind: Kind,
    accept: impl Fn(&Observation) -> bool,
) -> impl Iterator<Item = (Description, usize)> {
    (0..4000u64).map(describe).filter_map(move |description| {
        let index = description
            .observations
            .iter()
            .position(|o| o.kind == kind && accept(o))?;
        Some((description, index))
    })
}

const ALL_KINDS: [Kind; 17] = [
    Kind::Effusion,
    Kind::Pneumothorax,
    Kind::Consolidation,
    Kind::Pneumonia,
    Kind::Opacity,
    Kind::Atelectasis,
    Kind::Edema,
    Kind::Cardiomegaly,
    Kind::WideMediastinum,
    Kind::Nodule,
    Kind::Mass,
    Kind::PleuralThickening,
    Kind::RibFracture,
    Kind::EtTube,
    Kind::CentralLine,
    Kind::Pacemaker,
    Kind::ChestDrain,
];

#[test]
fn same_seed_same_bytes() {
    for seed in [0, 17, 12_345] {
        let once = draw(&describe(seed), 128).expect("the size is within bounds");
        let again = draw(&describe(seed), 128).expect("the size is within bounds");
        assert_eq!(once.pixels, again.pixels);
        assert_eq!(once.pixels_12bit, again.pixels_12bit);
        assert_ne!(
            once.pixels,
            draw(&describe(seed + 1), 128)
                .expect("the size is within bounds")
                .pixels
        );
    }
}

#[test]
fn sizes_out_of_bounds_are_refused() {
    let description = describe(1);
    for size in [0, 63, 4097] {
        assert_eq!(draw(&description, size).err(), Some(PhantomError::Size(size)));
    }
    assert!(draw(&description, 64).is_ok());
    // Not a multiple of anything.
    let odd = draw(&description, 131).expect("the size is within bounds");
    assert_eq!((odd.pixels.len(), odd.pixels_12bit.len()), (131 * 131, 131 * 131));
    assert!(odd.pixels_12bit.iter().all(|v| *v < 4096));
}

#[test]
fn one_patient_at_every_size() {
    for seed in 0..6 {
        let description = describe(seed);
        let (small, large) = (draw(&description, 128), draw(&description, 512));
        let (small, large) = (small.expect("within bounds"), large.expect("within bounds"));
        let mut difference = 0.0;
        for row in 0..128 {
            for column in 0..128 {
                let block: u32 = (0..16)
                    .map(|k| u32::from(large.pixels[(4 * row + k / 4) * 512 + 4 * column + k % 4]))
                    .sum();
                difference += (block as f32 / 16.0 - f32::from(small.pixels[row * 128 + column])).abs();
            }
        }
        let mean = difference / (128.0 * 128.0);
        assert!(
            mean < 6.0,
            "seed {seed}: the two sizes differ by {mean} grey levels on average"
        );
    }
}

#[test]
fn every_finding_has_a_mask_and_a_box_that_fits_it() {
    for seed in 0..300 {
        let description = describe(seed);
        let phantom = draw(&description, 96).expect("the size is within bounds");
        assert!(
            phantom.lungs.area() > 96 * 96 / 12,
            "seed {seed}: lungs of {}",
            phantom.lungs.area()
        );
        assert!(
            phantom.heart.area() > 96 * 96 / 60,
            "seed {seed}: heart of {}",
            phantom.heart.area()
        );
        for (index, observation) in description.observations.iter().enumerate() {
            let entries = phantom.findings.iter().filter(|(i, _, _)| *i == index).count();
            let expected = if observation.side == Some(Side::Bilateral) {
                2
            } else {
                1
            };
            assert_eq!(entries, expected, "seed {seed}: {observation:?}");
        }
        for (_, mask, bounds) in &phantom.findings {
            assert_eq!(mask.bounds(), Some(*bounds));
            assert!(bounds.right <= 96 && bounds.bottom <= 96 && bounds.width() > 0 && bounds.height() > 0);
        }
    }
}

/// The picture without one observation, and the summed changes left and right of the patient's midline.
fn change(description: &Description, index: usize, size: usize) -> (f32, f32) {
    let mut without = description.clone();
    without.observations.remove(index);
    let with = draw(description, size).expect("the size is within bounds");
    let without = draw(&without, size).expect("the size is within bounds");
    // The lungs' masks tell where the midline is in a picture that is shifted and turned.
    let bounds = without.lungs.bounds().expect("lungs are seen");
    let middle = (bounds.left + bounds.right) / 2;
    let (mut in_left_half, mut in_right_half) = (0.0, 0.0);
    for (i, (a, b)) in with.pixels.iter().zip(&without.pixels).enumerate() {
        let change = (f32::from(*a) - f32::from(*b)).abs();
        if change > 4.0 {
            if i % size < middle {
                in_left_half += change
            } else {
                in_right_half += change
            }
        }
    }
    (in_left_half, in_right_half)
}

#[test]
fn findings_change_the_picture_on_their_own_side() {
    for kind in ALL_KINDS {
        // A line or a lead crosses the midline, and what has no side may lie anywhere.
        if matches!(
            kind,
            Kind::EtTube | Kind::CentralLine | Kind::Pacemaker | Kind::Cardiomegaly | Kind::WideMediastinum
        ) {
            continue;
        }
        for side in [Side::Left, Side::Right] {
            for (description, index) in first_with(kind, |o| o.side == Some(side)).take(4) {
                let (at_left, at_right) = change(&description, index, 128);
                // The patient's right is the picture's left.
                let (own, other) = if side == Side::Right {
                    (at_left, at_right)
                } else {
                    (at_right, at_left)
                };
                assert!(
                    own > 3.0 * other,
                    "{kind:?} {side:?}, seed {}: {own} against {other}",
                    description.seed
                );
            }
        }
    }
}

#[test]
fn even_small_findings_change_the_picture_visibly() {
    for kind in ALL_KINDS {
        for (description, index) in first_with(kind, |o| o.severity <= Severity::Moderate).take(4) {
            let mut without = description.clone();
            without.observations.remove(index);
            let with = draw(&description, 224).expect("the size is within bounds");
            let without = draw(&without, 224).expect("the size is within bounds");
            let changed = with
                .pixels
                .iter()
                .zip(&without.pixels)
                .filter(|(a, b)| a.abs_diff(**b) >= 10)
                .count();
            assert!(
                changed >= 60,
                "{kind:?}, seed {}: only {changed} pixels change",
                description.seed
            );
        }
    }
}

#[test]
fn masks_lie_on_their_side() {
    for seed in 0..200 {
        let description = describe(seed);
        let phantom = draw(&description, 96).expect("the size is within bounds");
        for (index, mask, _) in &phantom.findings {
            let observation = &description.observations[*index];
            let sided = matches!(observation.side, Some(Side::Left | Side::Right));
            if !sided || matches!(observation.kind, Kind::CentralLine | Kind::Pacemaker) {
                continue;
            }
            let columns: Vec<usize> = (0..96 * 96)
                .filter(|i| mask.bits[*i] != 0)
                .map(|i| i % 96)
                .collect();
            let mean = columns.iter().sum::<usize>() as f32 / columns.len() as f32;
            let bounds = phantom.lungs.bounds().expect("lungs are seen");
            let middle = (bounds.left + bounds.right) as f32 / 2.0;
            assert_eq!(
                mean > middle,
                observation.side == Some(Side::Left),
                "seed {seed}: {observation:?}"
            );
        }
    }
}

#[test]
fn the_second_institution_has_other_pictures_of_the_same_findings() {
    let mean = |p: &Phantom| p.pixels.iter().map(|v| f64::from(*v)).sum::<f64>() / p.pixels.len() as f64;
    let (mut darker, mut lungs) = (0.0, 0.0);
    for seed in 0..60 {
        let description = describe(seed);
        let first = draw(&description, 96).expect("the size is within bounds");
        let second = draw_at(&description, 96, Institution::Second).expect("the size is within bounds");
        assert_ne!(first.pixels, second.pixels);
        assert_eq!(first.findings.len(), second.findings.len(), "seed {seed}");
        darker += mean(&second) - mean(&first);
        lungs += second.lungs.area() as f64 / first.lungs.area() as f64 / 60.0;
    }
    println!(
        "mean grey differs by {:.1}, lungs are {lungs:.2} times as large",
        darker / 60.0
    );
    assert!((darker / 60.0).abs() > 3.0 && lungs < 0.97, "{darker} {lungs}");
}

#[test]
fn bytes_are_those_of_every_machine() {
    // FNV-1a of both pictures, computed once: another machine or compiler must come to the same.
    let phantom = draw(&describe(2), 96).expect("the size is within bounds");
    let wide = phantom.pixels_12bit.iter().flat_map(|v| v.to_le_bytes());
    let sum = phantom
        .pixels
        .iter()
        .copied()
        .chain(wide)
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
            (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
        });
    assert_eq!(sum, 6_779_973_371_977_636_315, "the phantom's bytes have changed");
}

//! What must hold of every abdominal phantom: determinism, sizes, reports that say what is there, findings that show.

use super::*;
use crate::phantom::thumbnail_baseline::baseline;
use crate::phantom::{Institution, Severity};
use crate::{Format, Layout, ReadOptions, Split, WriteOptions, load};
use hilum_text::Side;

fn drawn(description: &Description, size: usize) -> Abdomen {
    draw(description, size).expect("the size is within bounds")
}

#[test]
fn same_seed_same_bytes() {
    for seed in 0..4 {
        let (a, b) = (drawn(&describe(seed), 128), drawn(&describe(seed), 128));
        assert_eq!((&a.pixels, &a.pixels_12bit), (&b.pixels, &b.pixels_12bit));
        assert_eq!(report(&describe(seed)), report(&describe(seed)));
        assert_ne!(a.pixels, drawn(&describe(seed + 1), 128).pixels);
    }
}

#[test]
fn sizes_out_of_bounds_are_refused() {
    let description = describe(1);
    for size in [0, 63, 4097] {
        assert_eq!(draw(&description, size).err(), Some(PhantomError::Size(size)));
    }
    // Not a multiple of anything.
    let odd = drawn(&description, 131);
    assert_eq!((odd.pixels.len(), odd.pixels_12bit.len()), (131 * 131, 131 * 131));
    assert!(odd.pixels_12bit.iter().all(|v| *v < 4096));
}

#[test]
fn one_patient_at_every_size() {
    for seed in 0..8 {
        let description = describe(seed);
        let (small, large) = (drawn(&description, 128), drawn(&description, 512));
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
fn reports_state_what_is_there_and_deny_nothing_of_it() {
    for seed in 0..2000 {
        let description = describe(seed);
        let text = report(&description);
        let read = findings(&text);
        let there: Vec<AbdominalFinding> = read.iter().filter(|(_, v)| *v).map(|(f, _)| *f).collect();
        assert_eq!(there, description.findings(), "seed {seed}: {text}");
        let words = text.split_whitespace().count();
        assert!((2..=75).contains(&words), "seed {seed}: {words} words: {text}");
        assert!(!text.contains("{}") && text.ends_with('.'), "seed {seed}: {text}");
    }
}

#[test]
fn what_is_not_there_is_denied_at_times_but_free_air_only_of_who_stands() {
    let mut denied = [0; AbdominalFinding::ALL.len()];
    for description in (0..600).map(describe) {
        for (finding, there) in findings(&report(&description)) {
            denied[finding as usize] += usize::from(!there);
            let supine = description.position == Position::Supine;
            assert!(
                !(supine && finding == AbdominalFinding::FreeAir),
                "seed {}",
                description.seed
            );
        }
    }
    for finding in [
        AbdominalFinding::FreeAir,
        AbdominalFinding::SmallBowelDilatation,
        AbdominalFinding::ColonicDilatation,
        AbdominalFinding::UrinaryStone,
        AbdominalFinding::Gallstone,
    ] {
        assert!(denied[finding as usize] > 30, "{finding}: {denied:?}");
    }
}

#[test]
fn sides_and_amounts_are_reported() {
    for description in (0..2000).map(describe) {
        let text = report(&description).to_lowercase();
        for observation in &description.observations {
            let words: &[&str] = match observation.side {
                Some(Side::Left) => &["left"],
                Some(Side::Right) => &["right"],
                Some(Side::Bilateral) => &["both", "bilateral"],
                None => continue,
            };
            assert!(
                words.iter().any(|word| text.contains(word)),
                "seed {}: {observation:?}: {text}",
                description.seed
            );
        }
        for (kind, words) in [
            (Kind::FreeAir, ["small", "moderate", "large"]),
            (Kind::Colon, ["mild", "moderate", "marked"]),
        ] {
            if let Some(observation) = description.get(kind) {
                let word = words[observation.severity as usize];
                assert!(text.contains(word), "seed {}: {word}: {text}", description.seed);
            }
        }
    }
}

/// Where a finding is expected on the picture: the half of its side, and the part from top to bottom.
fn region(observation: &Observation) -> ([f32; 2], [f32; 2]) {
    let half = match observation.side {
        Some(Side::Right) => [0.0, 0.52],
        Some(Side::Left) => [0.48, 1.0],
        _ => [0.0, 1.0],
    };
    match observation.kind {
        Kind::FreeAir => (half, [0.0, 0.5]),
        Kind::KidneyStone => (half, [0.1, 0.8]),
        Kind::Phleboliths => (half, [0.65, 1.0]),
        Kind::Gallstone | Kind::Clips => ([0.1, 0.6], [0.15, 0.8]),
        // A drain or a stent may end across the midline.
        Kind::Stent | Kind::Drain if observation.side == Some(Side::Right) => ([0.0, 0.68], [0.0, 1.0]),
        Kind::Stent | Kind::Drain => ([0.32, 1.0], [0.0, 1.0]),
        _ => ([0.0, 1.0], [0.0, 1.0]),
    }
}

#[test]
fn every_finding_changes_the_picture_where_it_is() {
    const SIZE: usize = 192;
    for kind in Kind::ALL {
        let mut seen = 0;
        for description in (0..6000).map(describe).filter(|d| d.has(kind)).take(12) {
            let mut without = description.clone();
            without.observations.retain(|o| o.kind != kind);
            let (with, without) = (drawn(&description, SIZE), drawn(&without, SIZE));
            let Some(observation) = description.get(kind) else {
                continue;
            };
            let (across, down) = region(observation);
            let least = match kind {
                Kind::Phleboliths | Kind::KidneyStone | Kind::Clips
                    if observation.severity == Severity::Small =>
                {
                    2
                }
                Kind::Phleboliths | Kind::KidneyStone | Kind::Clips | Kind::Gallstone => 4,
                Kind::GastricTube | Kind::Drain | Kind::Stent | Kind::FreeAir => 20,
                _ => 150,
            };
            let (mut inside, mut outside) = (0, 0);
            for (i, (a, b)) in with.pixels.iter().zip(&without.pixels).enumerate() {
                let at = [(i % SIZE) as f32 / SIZE as f32, (i / SIZE) as f32 / SIZE as f32];
                let here = (across[0]..=across[1]).contains(&at[0]) && (down[0]..=down[1]).contains(&at[1]);
                if a.abs_diff(*b) > 14 {
                    *(if here { &mut inside } else { &mut outside }) += 1;
                }
            }
            assert!(
                inside >= least,
                "seed {}: {observation:?}: {inside} pixels differ",
                description.seed
            );
            assert!(
                outside * 4 <= inside,
                "seed {}: {observation:?}: {outside} pixels differ elsewhere, {inside} where it is",
                description.seed
            );
            seen += 1;
        }
        assert_eq!(seen, 12, "{kind:?}");
    }
}

/// The area under the curve of a score for a label.
fn auc(scores: &[(f32, bool)]) -> f32 {
    let (mut won, mut pairs) = (0.0, 0.0f32);
    for (a, _) in scores.iter().filter(|s| s.1) {
        for (b, _) in scores.iter().filter(|s| !s.1) {
            won += if a > b {
                1.0
            } else if a == b {
                0.5
            } else {
                0.0
            };
            pairs += 1.0;
        }
    }
    won / pairs.max(1.0)
}

#[test]
fn brightness_gives_no_finding_away() {
    let all: Vec<(f32, Description)> = (0..700)
        .map(|seed| {
            let drawn = drawn(&describe(seed), 64);
            let sum: u32 = drawn.pixels.iter().map(|p| u32::from(*p)).sum();
            (sum as f32 / drawn.pixels.len() as f32, drawn.description)
        })
        .collect();
    for finding in AbdominalFinding::ALL {
        let scores: Vec<(f32, bool)> = all
            .iter()
            .map(|(mean, d)| (*mean, d.findings().contains(&finding)))
            .collect();
        let auc = auc(&scores);
        println!("{:<24} {auc:.3}", finding.name());
        assert!(
            (0.2..=0.8).contains(&auc),
            "{finding}: {auc} by mean brightness alone"
        );
    }
}

/// What a seed shows at a size, for the baseline.
fn labelled(seed: u64, size: usize) -> (Vec<u8>, [bool; AbdominalFinding::ALL.len()]) {
    let drawn = drawn(&describe(seed), size);
    let shown = drawn.description.findings();
    (drawn.pixels, AbdominalFinding::ALL.map(|f| shown.contains(&f)))
}

#[test]
fn thumbnails_do_not_give_the_findings_away() {
    let (micro, each) = baseline(labelled, 900, 300, 64, 100);
    println!("micro-F1 {micro:.3}");
    for (finding, f1) in AbdominalFinding::ALL.iter().zip(&each) {
        println!("{:<24} {f1:.3}", finding.name());
    }
    // A dilated bowel is large enough to be seen on any picture; the rest is not.
    assert!(each.iter().all(|f1| *f1 < 0.9), "{each:?}");
    assert!(each.iter().filter(|f1| **f1 > 0.5).count() <= 2, "{each:?}");
    assert!(
        micro < 0.5,
        "logistic regression on thumbnails reaches a micro-F1 of {micro}"
    );
}

#[test]
fn phantoms_are_written_and_read_as_any_data_set() {
    let folder = tempfile::tempdir().unwrap();
    let options = WriteOptions {
        root: folder.path().join("a"),
        layout: Layout::R2Gen,
        count: 30,
        size: 64,
        format: Format::Png,
        seed: 5,
        split_all: None,
        institution: Institution::First,
    };
    let mut told = 0;
    let written = write_abdomens(&options, &mut |done| told = done).unwrap();
    assert_eq!(
        (told, written.counts.studies, written.counts.subjects),
        (30, 30, 30)
    );
    let counts = &written.counts;
    assert_eq!(counts.train + counts.validate + counts.test, 30);
    let lines = std::fs::read_to_string(options.root.join(TRUTH_FILE)).unwrap();
    let truths: Vec<AbdomenTruth> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let loaded = load(&options.root, None, &ReadOptions::default()).unwrap();
    assert_eq!(
        (loaded.layout, loaded.studies.len(), truths.len()),
        (Layout::R2Gen, 30, 30)
    );
    assert!(loaded.counts.missing == 0 && loaded.classes.is_empty());
    for study in &loaded.studies {
        let truth = truths.iter().find(|t| t.study_id == study.id).unwrap();
        assert_eq!(study.report.findings, report(&truth.description));
        assert_eq!((study.split, &study.subject), (truth.split, &study.id));
        assert!(study.description.is_none() && study.labels.is_none());
        assert_eq!(truth.findings, truth.description.findings());
    }
    let normal = truths.iter().filter(|t| t.findings.is_empty()).count();
    assert_eq!(normal, written.normal);

    // The same seed writes the same bytes.
    let again = WriteOptions {
        root: folder.path().join("b"),
        ..options.clone()
    };
    assert_eq!(write_abdomens(&again, &mut |_| ()).unwrap(), written);
    for file in [
        "annotation.json",
        TRUTH_FILE,
        &format!("images/{}", truths[0].image),
    ] {
        let bytes = |root: &std::path::Path| std::fs::read(root.join(file)).unwrap();
        assert_eq!(bytes(&options.root), bytes(&again.root), "{file}");
    }
}

#[test]
fn what_cannot_be_written_of_abdomens_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let options = WriteOptions {
        root: folder.path().join("a"),
        layout: Layout::R2Gen,
        count: 1,
        size: 64,
        format: Format::Dicom,
        seed: 0,
        split_all: Some(Split::Test),
        institution: Institution::First,
    };
    let refusal = |changed: WriteOptions| write_abdomens(&changed, &mut |_| ()).unwrap_err().to_string();
    for layout in Layout::ALL.into_iter().filter(|l| *l != Layout::R2Gen) {
        let message = refusal(WriteOptions {
            layout,
            ..options.clone()
        });
        assert!(
            message.contains(layout.name()) && message.ends_with("choose r2gen"),
            "{message}"
        );
    }
    let institution = Institution::Second;
    let message = refusal(WriteOptions {
        institution,
        ..options.clone()
    });
    assert!(message.contains("choose first"), "{message}");
    assert!(
        refusal(WriteOptions {
            count: 0,
            ..options.clone()
        })
        .contains("a count of 0")
    );
    assert!(!options.root.exists());
    assert_eq!(write_abdomens(&options, &mut |_| ()).unwrap().counts.test, 1);
    assert!(refusal(options).contains("is not empty"));
}

//! Comparison with the field's own libraries: `tests/golden/metrics.json`, made by `make_metrics.py` beside
//! it.

use std::path::PathBuf;

use serde_json::Value;

use super::*;

fn golden() -> Value {
    serde_json::from_str(include_str!("../../../tests/golden/metrics.json")).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

#[track_caller]
fn close(ours: f64, theirs: &Value, tolerance: f64, what: &str) {
    let theirs = number(theirs);
    assert!(
        (ours - theirs).abs() <= tolerance,
        "{what}: {ours} is not {theirs}"
    );
}

#[track_caller]
fn all_close(ours: &[f64], theirs: &Value, tolerance: f64, what: &str) {
    let theirs = theirs.as_array().unwrap();
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (i, (a, b)) in ours.iter().zip(theirs).enumerate() {
        close(*a, b, tolerance, &format!("{what} {i}"));
    }
}

/// Candidates and references, of which the first `most` are taken.
fn with_texts(texts: &Value, most: usize, then: impl FnOnce(&[Texts<'_>])) {
    let texts = texts.as_array().unwrap();
    let references: Vec<Vec<&str>> = texts
        .iter()
        .map(|t| {
            t["references"]
                .as_array()
                .unwrap()
                .iter()
                .take(most)
                .map(|r| r.as_str().unwrap())
                .collect()
        })
        .collect();
    let pairs: Vec<Texts<'_>> = texts
        .iter()
        .zip(&references)
        .map(|(t, r)| (t["candidate"].as_str().unwrap(), r.as_slice()))
        .collect();
    then(&pairs);
}

#[test]
fn parity_of_bleu_rouge_and_cider_with_pycocoevalcap() {
    let golden = golden();
    for (name, most) in [("single", 1), ("several", usize::MAX)] {
        let wanted = &golden["generation"][name];
        with_texts(&golden["texts"], most, |pairs| {
            let b = bleu(pairs.iter().copied());
            all_close(
                &[b.bleu_1, b.bleu_2, b.bleu_3, b.bleu_4],
                &wanted["bleu"],
                1e-9,
                "bleu",
            );
            all_close(&rouge_l(pairs), &wanted["rouge_l"]["each"], 1e-9, "rouge_l");
            all_close(&cider(pairs), &wanted["cider"]["each"], 1e-9, "cider");
            let scores = generation_scores(pairs, None).unwrap();
            close(scores.rouge_l, &wanted["rouge_l"]["score"], 1e-9, "rouge_l");
            close(scores.cider, &wanted["cider"]["score"], 1e-9, "cider");
            close(scores.meteor, &wanted["meteor_plain"]["score"], 1e-9, "meteor");
        });
    }
}

#[test]
fn parity_of_meteor_without_data_with_its_first_two_stages() {
    let golden = golden();
    for (name, most) in [("single", 1), ("several", usize::MAX)] {
        let wanted = &golden["generation"][name]["meteor_plain"];
        with_texts(&golden["texts"], most, |pairs| {
            let scores = meteor(pairs, None).unwrap();
            all_close(&scores.each, &wanted["each"], 1e-9, name);
            close(scores.score, &wanted["score"], 1e-9, name);
        });
    }
    // The abbreviations of text 5 ("Dr", "No", "vs") are data.
    with_texts(&golden["raw"]["texts"], usize::MAX, |pairs| {
        let scores = meteor(pairs, None).unwrap();
        for (i, ours) in scores.each.iter().enumerate().filter(|(i, _)| *i != 4) {
            close(
                *ours,
                &golden["raw"]["meteor_plain"]["each"][i],
                1e-9,
                &format!("raw {i}"),
            );
        }
    });
}

#[test]
fn parity_of_meteor_with_its_data() {
    let Some(folder) = std::env::var_os("HILUM_METEOR_DATA").map(PathBuf::from) else {
        println!(
            "SKIPPED parity_of_meteor_with_its_data: HILUM_METEOR_DATA names no folder of METEOR's data files"
        );
        return;
    };
    let golden = golden();
    for (name, most) in [("single", 1), ("several", usize::MAX)] {
        let wanted = &golden["generation"][name]["meteor_full"];
        with_texts(&golden["texts"], most, |pairs| {
            let scores = meteor(pairs, Some(&folder)).unwrap();
            assert_eq!(
                scores.stages.len(),
                5,
                "the folder lacks some of METEOR's data: {:?}",
                scores.stages
            );
            all_close(&scores.each, &wanted["each"], 1e-9, name);
            close(scores.score, &wanted["score"], 1e-9, name);
        });
    }
    with_texts(&golden["raw"]["texts"], usize::MAX, |pairs| {
        let scores = meteor(pairs, Some(&folder)).unwrap();
        all_close(&scores.each, &golden["raw"]["meteor_full"]["each"], 1e-9, "raw");
        close(scores.score, &golden["raw"]["meteor_full"]["score"], 1e-9, "raw");
    });
}

fn flags(value: &Value) -> Vec<bool> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_bool().unwrap_or_else(|| number(v) != 0.0))
        .collect()
}

#[test]
fn parity_of_classification_with_scikit_learn() {
    let golden = &golden()["classification"];
    let rows = |key: &str| golden[key].as_array().unwrap().clone();
    let classes: Vec<(Vec<f64>, Vec<bool>)> = rows("scores")
        .iter()
        .zip(&rows("truth"))
        .map(|(s, t)| (numbers(s), flags(t)))
        .collect();
    let of = |f: &dyn Fn(&[f64], &[bool]) -> f64| classes.iter().map(|(s, t)| f(s, t)).collect::<Vec<_>>();
    let counts: Vec<Counts> = classes
        .iter()
        .map(|(s, t)| Counts::of(s.iter().zip(t).map(|(s, t)| (*s >= 0.5, *t))))
        .collect();
    all_close(
        &of(&|s, t| auroc(s, t).unwrap()),
        &golden["auroc"],
        1e-12,
        "auroc",
    );
    all_close(
        &of(&|s, t| average_precision(s, t).unwrap()),
        &golden["average_precision"],
        1e-12,
        "average precision",
    );
    close(
        macro_auroc(&classes).unwrap(),
        &golden["auroc_macro"],
        1e-12,
        "macro auroc",
    );
    close(
        micro_auroc(&classes).unwrap(),
        &golden["auroc_micro"],
        1e-12,
        "micro auroc",
    );
    for (name, f) in [
        ("f1", Counts::f1 as fn(&Counts) -> f64),
        ("precision", Counts::precision),
        ("recall", Counts::recall),
        ("accuracy", Counts::accuracy),
    ] {
        all_close(
            &counts.iter().map(f).collect::<Vec<_>>(),
            &golden[name],
            1e-12,
            name,
        );
    }
    close(micro(&counts).f1(), &golden["f1_micro"], 1e-12, "micro f1");
    close(macro_f1(&counts).unwrap(), &golden["f1_macro"], 1e-12, "macro f1");
    for (name, criterion) in [("best_f1", Criterion::F1), ("best_youden", Criterion::Youden)] {
        let points: Vec<OperatingPoint> = classes
            .iter()
            .map(|(s, t)| operating_point(s, t, criterion).unwrap())
            .collect();
        all_close(
            &points.iter().map(|p| p.value).collect::<Vec<_>>(),
            &golden[name],
            1e-12,
            name,
        );
        // The threshold reaches the value that it was chosen for.
        for ((s, t), point) in classes.iter().zip(&points).filter(|_| criterion == Criterion::F1) {
            let counts = Counts::of(s.iter().zip(t).map(|(s, t)| (*s >= point.threshold, *t)));
            assert!((counts.f1() - point.value).abs() < 1e-12);
        }
    }
}

#[test]
fn parity_of_ranking_with_scikit_learn_and_with_drawn_orders() {
    let golden = &golden()["ranking"];
    // The means of 20,000 drawn orders are within 5 standard errors: at most 5 * 0.5 / sqrt(20000).
    for (kind, tolerance) in [("clean", 1e-12), ("tied", 0.018)] {
        for (i, query) in golden[kind].as_array().unwrap().iter().enumerate() {
            let one = rank(&numbers(&query["scores"]), &flags(&query["relevant"]), 5).unwrap();
            for (name, ours) in [
                ("hit", one.hit),
                ("recall", one.recall),
                ("precision", one.precision),
                ("mrr", one.mrr),
            ] {
                close(ours, &query[name], tolerance, &format!("{kind} {i} {name}"));
            }
        }
    }
}

#[test]
fn parity_of_pictures_with_scikit_image() {
    let golden = &golden()["picture"];
    let (a, b) = (numbers(&golden["a"]), numbers(&golden["b"]));
    let side = |key: &str| usize::try_from(golden[key].as_u64().unwrap()).unwrap();
    let narrow = |values: &[f64]| values.iter().map(|v| *v as f32).collect::<Vec<_>>();
    let masks = |values: &[f64]| values.iter().map(|v| *v > 0.5).collect::<Vec<_>>();
    close(
        dice(&masks(&a), &masks(&b)).unwrap(),
        &golden["dice"],
        1e-12,
        "dice",
    );
    let (a, b) = (narrow(&a), narrow(&b));
    // The pictures are single precision here.
    close(mse(&a, &b).unwrap(), &golden["mse"], 1e-8, "mse");
    close(psnr(&a, &b).unwrap(), &golden["psnr"], 1e-5, "psnr");
    close(
        ssim(&a, &b, side("width"), side("height")).unwrap(),
        &golden["ssim"],
        1e-6,
        "ssim",
    );
}

#[test]
fn parity_of_t_tests_with_scipy() {
    let golden = &golden()["significance"];
    for (i, case) in golden["cases"].as_array().unwrap().iter().enumerate() {
        let (a, b) = (numbers(&case["a"]), numbers(&case["b"]));
        let (ours, theirs) = (t_test(&a, &b).unwrap(), &case["student"]);
        close(
            ours.t,
            &theirs["t"],
            1e-9 * ours.t.abs().max(1.0),
            &format!("{i} t"),
        );
        close(ours.df, &theirs["df"], 1e-9 * ours.df, &format!("{i} df"));
        let p = number(&theirs["p"]);
        assert!((ours.p - p).abs() <= 1e-9 * p, "{i}: p {} is not {p}", ours.p);
    }
    for point in golden["beta"].as_array().unwrap() {
        let point = numbers(point);
        let ours = incomplete_beta(point[0], point[1], point[2]);
        assert!(
            (ours - point[3]).abs() <= 1e-10 * point[3],
            "I_{}({}, {}): {ours}",
            point[2],
            point[0],
            point[1]
        );
    }
}

#[test]
fn parity_of_calibration_with_scipy_and_scikit_learn() {
    for case in golden()["calibration"].as_array().unwrap() {
        let (logits, truth) = (numbers(&case["logits"]), flags(&case["truth"]));
        let temperature = fit_temperature(&logits, &truth).unwrap();
        close(temperature, &case["temperature"], 1e-4, "temperature");
        close(
            binary_loss(&logits, &truth, temperature).unwrap(),
            &case["loss"],
            1e-10,
            "loss",
        );
        let probabilities: Vec<f64> = logits.iter().map(|z| sigmoid(*z)).collect();
        all_close(&probabilities, &case["probabilities"], 1e-12, "probability");
        close(
            calibration_error(&probabilities, &truth, 10).unwrap(),
            &case["ece_10"],
            1e-12,
            "calibration error",
        );
    }
}

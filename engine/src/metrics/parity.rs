//! Comparison with the field's own libraries: `tests/golden/metrics.json`, made by `make_metrics.py` beside it.

#![allow(clippy::unwrap_used)]

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
    assert!((ours - theirs).abs() <= tolerance, "{what}: {ours} is not {theirs}");
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
        .map(|t| t["references"].as_array().unwrap().iter().take(most).map(|r| r.as_str().unwrap()).collect())
        .collect();
    let pairs: Vec<Texts<'_>> =
        texts.iter().zip(&references).map(|(t, r)| (t["candidate"].as_str().unwrap(), r.as_slice())).collect();
    then(&pairs);
}

#[test]
fn parity_of_bleu_rouge_and_cider_with_pycocoevalcap() {
    let golden = golden();
    for (name, most) in [("single", 1), ("several", usize::MAX)] {
        let wanted = &golden["generation"][name];
        with_texts(&golden["texts"], most, |pairs| {
            let b = bleu(pairs.iter().copied());
            all_close(&[b.bleu_1, b.bleu_2, b.bleu_3, b.bleu_4], &wanted["bleu"], 1e-9, "bleu");
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
            close(*ours, &golden["raw"]["meteor_plain"]["each"][i], 1e-9, &format!("raw {i}"));
        }
    });
}

#[test]
fn parity_of_meteor_with_its_data() {
    let Some(folder) = std::env::var_os("HILUM_METEOR_DATA").map(PathBuf::from) else {
        println!("SKIPPED parity_of_meteor_with_its_data: HILUM_METEOR_DATA names no folder of METEOR's data files");
        return;
    };
    let golden = golden();
    for (name, most) in [("single", 1), ("several", usize::MAX)] {
        let wanted = &golden["generation"][name]["meteor_full"];
        with_texts(&golden["texts"], most, |pairs| {
            let scores = meteor(pairs, Some(&folder)).unwrap();
            assert_eq!(scores.stages.len(), 5, "the folder lacks some of METEOR's data: {:?}", scores.stages);
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

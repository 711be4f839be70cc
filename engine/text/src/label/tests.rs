#![allow(clippy::unwrap_used)]
use super::*;

mod plain;

/// The sentences and what must be read from each.
const TABLE: &str = include_str!("../../../../tests/labeler/sentences.tsv");

/// Those that CheXpert's labeler reads otherwise, and how.
const OTHERWISE: &str = include_str!("../../../../tests/labeler/chexpert.tsv");

/// "Pleural Effusion + left; Edema -" as labels and sides.
fn expected(cell: &str) -> (Labels, [Option<Side>; 14]) {
    let (mut labels, mut sides): (Labels, _) = ([None; 14], [None; 14]);
    for item in cell.split(';').map(str::trim).filter(|i| !i.is_empty()) {
        let sign = item.find(['+', '-', '?']).unwrap();
        let finding = Finding::from_name(&item[..sign]).unwrap() as usize;
        labels[finding] = Some(match &item[sign..=sign] {
            "+" => Certainty::Positive,
            "-" => Certainty::Negative,
            _ => Certainty::Uncertain,
        });
        sides[finding] = match item[sign + 1..].trim() {
            "left" => Some(Side::Left),
            "right" => Some(Side::Right),
            "bilateral" => Some(Side::Bilateral),
            other => {
                assert!(other.is_empty(), "{item}");
                None
            }
        };
    }
    (labels, sides)
}

/// The rows of a table: a sentence and what is read from it.
fn rows(table: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    table
        .lines()
        .filter(|l| !l.starts_with('#') && !l.is_empty())
        .map(|line| line.split_once('\t').unwrap())
}

/// What a labeler reads otherwise than a cell says.
fn mistakes(labeler: &Labeler, sentence: &str, cell: &str) -> Vec<String> {
    let (labels, sides) = expected(cell);
    let reading = labeler.read(sentence);
    let differs = |f: &Finding| {
        let i = *f as usize;
        reading.labels[i] != labels[i] || reading.sides()[i] != sides[i]
    };
    let say = |f: Finding| {
        let i = f as usize;
        let (label, side) = (reading.labels[i], reading.sides()[i]);
        format!(
            "{sentence}\n    {}: {label:?} {side:?}, not {:?} {:?}",
            f.name(),
            labels[i],
            sides[i]
        )
    };
    Finding::ALL.into_iter().filter(differs).map(say).collect()
}

#[test]
fn every_sentence_of_the_table_is_read_rightly() {
    let labeler = Labeler::new();
    let wrong: Vec<String> = rows(TABLE)
        .flat_map(|(sentence, cell)| mistakes(&labeler, sentence, cell))
        .collect();
    assert!(rows(TABLE).count() >= 300);
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn chexperts_reading_differs_only_where_its_table_says() {
    let (plain, labeler) = (Labeler::new(), Labeler::like_chexpert());
    let others: std::collections::HashMap<&str, &str> = rows(OTHERWISE).collect();
    let mut wrong: Vec<String> = rows(TABLE)
        .filter(|(sentence, _)| !others.contains_key(sentence))
        .chain(rows(OTHERWISE))
        .flat_map(|(sentence, cell)| mistakes(&labeler, sentence, cell))
        .collect();
    let same = |(sentence, _): &(&str, &str)| plain.read(sentence).labels == labeler.read(sentence).labels;
    wrong.extend(
        rows(OTHERWISE)
            .filter(same)
            .map(|(sentence, _)| format!("no other reading: {sentence}")),
    );
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn mentions_point_into_the_text() {
    let text = "Heart size is normal.\n\nSmall left upper lobe nodule, ÖÄ. Right basal effusion.";
    let reading = Labeler::new().read(text);
    let words: Vec<&str> = reading.mentions.iter().map(|m| &text[m.span.clone()]).collect();
    assert_eq!(words, ["Heart size", "nodule", "effusion"]);
    assert_eq!(reading.mentions[1].zone, Some(Zone::Upper));
    assert_eq!(
        (reading.mentions[2].side, reading.mentions[2].zone),
        (Some(Side::Right), Some(Zone::Lower))
    );
}

#[test]
fn a_report_is_read_as_one() {
    let report = Report {
        findings: "No effusion".into(),
        impression: "Possible effusion".into(),
    };
    assert_eq!(
        Labeler::new().labels(&report)[Finding::PleuralEffusion as usize],
        Some(Certainty::Uncertain)
    );
    assert_eq!(Labeler::new().read(" \n "), Reading::default());
}

#[test]
fn another_lexicon_is_used() {
    let labeler = Labeler::from_toml("[[mention]]\nfinding = 'Edema'\nphrases = ['wet lung(s)']").unwrap();
    assert_eq!(
        labeler
            .read("Wet lungs. Large effusion.")
            .labels
            .iter()
            .flatten()
            .count(),
        1
    );
}

#[test]
fn an_overlay_says_what_its_phrases_mean() {
    let base = "[words]\nwet = ['wet']\n[[mention]]\nfinding = 'Edema'\nphrases = ['{wet} lung(s)', 'water']\n\
                [[cue]]\nkind = 'negative_before'\nphrases = ['no']";
    let overlay = "inside = ['plate']\n[words]\nwet = ['moist']\n\
                   [[mention]]\nfinding = 'Support Devices'\nphrases = ['plate']\n\
                   [[mention]]\nfinding = 'Pneumonia'\nphrases = ['water']\n\
                   [[slip]]\nfindings = ['Pneumonia']\nread = 'Positive'\nphrases = ['. no ~ water .']";
    let labeler = Labeler::with_overlay(base, overlay).unwrap();
    let of = |text: &str, finding: Finding| labeler.read(text).labels[finding as usize];
    assert_eq!(of("Wet lungs.", Finding::Edema), None);
    assert_eq!(
        of("Moist lungs, no water.", Finding::Edema),
        Some(Certainty::Positive)
    );
    assert_eq!(
        of("Moist lungs, no water.", Finding::Pneumonia),
        Some(Certainty::Negative)
    );
    assert_eq!(
        of("No clear water.", Finding::Pneumonia),
        Some(Certainty::Positive)
    );
    assert_eq!(
        of("No clear water here.", Finding::Pneumonia),
        Some(Certainty::Negative)
    );
    assert_eq!(
        of("Templates.", Finding::SupportDevices),
        Some(Certainty::Positive)
    );
    let error = Labeler::with_overlay(
        base,
        "[[slip]]\nfindings = ['Gout']\nread = 'Positive'\nphrases = ['a']",
    );
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("line 2") && error.contains("overlay") && error.contains("Gout"),
        "{error}"
    );
    assert!(
        Labeler::with_overlay(base, "inside = 3")
            .unwrap_err()
            .to_string()
            .contains("overlay")
    );
}

#[test]
fn a_phrase_may_name_two_findings() {
    let labeler = Labeler::from_toml(
        "[[mention]]\nfinding = 'Lung Lesion'\nalso = 'Lung Opacity'\nphrases = ['nodular opacity']\n\
         [[cue]]\nkind = 'negative_before'\nphrases = ['no']",
    )
    .unwrap();
    let labels = labeler.read("No nodular opacity.").labels;
    assert_eq!(labels[Finding::LungLesion as usize], Some(Certainty::Negative));
    assert_eq!(labels[Finding::LungOpacity as usize], Some(Certainty::Negative));
}

#[test]
fn odd_texts_are_no_trouble() {
    let labelers = [Labeler::new(), Labeler::like_chexpert()];
    for text in [
        "",
        "?",
        "no",
        "or",
        ",,;:()",
        "effusion or",
        "? effusion ?",
        "versus",
        "no no no effusion",
        "left",
        "\u{feff}effusion\0",
    ] {
        for labeler in &labelers {
            labeler.read(text);
            labeler.read(&text.repeat(50));
        }
    }
}

#![allow(clippy::unwrap_used)]
use super::*;

/// The sentences and what must be read from each.
const TABLE: &str = include_str!("../../../../tests/labeler/sentences.tsv");

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

#[test]
fn every_sentence_of_the_table_is_read_rightly() {
    let labeler = Labeler::new();
    let mut wrong = Vec::new();
    let mut rows = 0;
    for line in TABLE.lines().filter(|l| !l.starts_with('#') && !l.is_empty()) {
        let (sentence, cell) = line.split_once('\t').unwrap();
        let (labels, sides) = expected(cell);
        let reading = labeler.read(sentence);
        rows += 1;
        for finding in Finding::ALL {
            let i = finding as usize;
            if reading.labels[i] != labels[i] || reading.sides()[i] != sides[i] {
                let (label, side) = (reading.labels[i], reading.sides()[i]);
                wrong.push(format!(
                    "{sentence}\n    {}: {label:?} {side:?}, not {:?} {:?}",
                    finding.name(),
                    labels[i],
                    sides[i]
                ));
            }
        }
    }
    assert!(rows >= 300);
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn mentions_point_into_the_text() {
    let text = "Heart size is normal.\n\nSmall left upper lobe nodule, ÖÄ. Right basal effusion.";
    let reading = Labeler::new().read(text);
    let words: Vec<&str> = reading.mentions.iter().map(|m| &text[m.span.clone()]).collect();
    assert_eq!(words, ["Heart size", "nodule", "effusion"]);
    assert_eq!(reading.mentions[1].zone, Some(Zone::Upper));
    assert_eq!((reading.mentions[2].side, reading.mentions[2].zone), (Some(Side::Right), Some(Zone::Lower)));
}

#[test]
fn a_report_is_read_as_one() {
    let report = Report { findings: "No effusion".into(), impression: "Possible effusion".into() };
    assert_eq!(Labeler::new().labels(&report)[Finding::PleuralEffusion as usize], Some(Certainty::Uncertain));
    assert_eq!(Labeler::new().read(" \n "), Reading::default());
}

#[test]
fn another_lexicon_is_used() {
    let labeler = Labeler::from_toml("[[mention]]\nfinding = 'Edema'\nphrases = ['wet lung(s)']").unwrap();
    assert_eq!(labeler.read("Wet lungs. Large effusion.").labels.iter().flatten().count(), 1);
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
    let labeler = Labeler::new();
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
        labeler.read(text);
        labeler.read(&text.repeat(50));
    }
}

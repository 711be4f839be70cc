//! A finding that is told and not there.

use super::prose::Prose;
use super::table::{Insertion, TABLE};
use super::{Edit, Mistaken, apply, choose};
use crate::{Certainty, Finding, Labeler, Mention, Reading};

/// States one finding that the report neither states nor suspects.
pub(super) fn make(
    report: &str,
    labeler: &Labeler,
    pick: &mut dyn FnMut(usize) -> usize,
) -> Option<Mistaken> {
    let prose = Prose::read(report);
    let reading = labeler.read(report);
    let mut left: Vec<&Insertion> = TABLE
        .inserted
        .iter()
        .filter(|i| reading.labels[i.finding as usize].is_none_or(|c| c == Certainty::Negative))
        .collect();
    while !left.is_empty() {
        let insertion = left.remove(pick(left.len()).min(left.len() - 1));
        if let Some(made) = insert(&prose, &reading, insertion, pick)
            && agrees(&labeler.read(&made.text), insertion)
        {
            return Some(made);
        }
    }
    None
}

/// Whether a finding is there and not denied.
fn agrees(reading: &Reading, insertion: &Insertion) -> bool {
    let denied = |m: &Mention| m.certainty == Certainty::Negative && insertion.denials.contains(&m.finding);
    reading.labels[insertion.finding as usize] == Some(Certainty::Positive)
        && !reading.mentions.iter().any(denied)
}

/// A sentence that cannot stand beside what is put in.
struct Clash {
    sentence: usize,
    /// What else it denied, denied anew.
    rest: Option<String>,
    /// It denies what is put in.
    denies: bool,
    /// It is about the whole chest.
    overall: bool,
}

fn insert(
    prose: &Prose,
    reading: &Reading,
    insertion: &Insertion,
    pick: &mut dyn FnMut(usize) -> usize,
) -> Option<Mistaken> {
    let [said, again] = choose(&insertion.said, pick)?;
    let side = if pick(2) == 0 { "left" } else { "right" };
    let capital = if side == "left" { "Left" } else { "Right" };
    let filled = |text: &str| {
        let text = text.replace("{side}", side).replace("{Side}", capital);
        prose.styled(&text)
    };
    let (said, mut again) = (filled(said), Some(filled(again)));
    let clashes = clashes(prose, reading, insertion)?;
    let sentences = prose.sentences.len();
    // A report of findings and an impression ends with the impression.
    let home = clashes.iter().position(|c| c.denies).or_else(|| {
        clashes
            .iter()
            .position(|c| c.sentence + 1 < sentences || sentences < 3)
    });
    let mut edits: Vec<Edit> = Vec::new();
    match home {
        Some(home) => {
            let clash = &clashes[home];
            let with = [said.as_str(), clash.rest.as_deref().unwrap_or_default()].join(" ");
            edits.push(instead(prose, clash.sentence, with.trim()));
        }
        None => {
            let end = clashes.first().map_or(sentences, |c| c.sentence);
            let at = place(prose, end, pick)?;
            edits.push((at..at, format!(" {said}")));
        }
    }
    let mut gone = Vec::new();
    for clash in clashes
        .iter()
        .enumerate()
        .filter(|(at, _)| Some(*at) != home)
        .map(|(_, clash)| clash)
    {
        let removable = || prose.removed(&[clash.sentence]).is_some();
        let with = match &clash.rest {
            Some(rest) => rest.clone(),
            None if again.is_some() && (clash.overall || !removable()) => again.take()?,
            None => {
                gone.push(clash.sentence);
                continue;
            }
        };
        edits.push(instead(prose, clash.sentence, &with));
    }
    edits.extend(prose.removed(&gone)?);
    apply(prose.text, edits)
}

/// Where a sentence can be put in before sentence `end`: in the findings, where no sentence is parted from what it goes on about.
fn place(prose: &Prose, end: usize, pick: &mut dyn FnMut(usize) -> usize) -> Option<usize> {
    let told = prose.sentences.iter().take(end).filter(|s| s.told).count();
    let apart = |at: usize| at + 1 >= prose.sentences.len() || !prose.followed(at) || !prose.goes_on(at + 1);
    let stops = |at: usize| prose.body(at).ends_with('.');
    let places: Vec<usize> = (0..end)
        .filter(|at| prose.sentences[*at].told && stops(*at))
        .take((told * 2).div_ceil(3))
        .filter(|at| apart(*at))
        .map(|at| prose.sentences[at].span.end)
        .collect();
    choose(&places, pick).copied()
}

/// The edit that puts other words in place of a sentence, after its number and heading.
fn instead(prose: &Prose, sentence: usize, with: &str) -> Edit {
    let stops = prose.body(sentence).ends_with(['.', '!', '?']);
    let with = if stops { with } else { with.trim_end_matches('.') };
    let sentence = &prose.sentences[sentence];
    (sentence.body..sentence.span.end, with.to_owned())
}

/// Every sentence that cannot stand beside an insertion; `None` where one says what must stay.
fn clashes(prose: &Prose, reading: &Reading, insertion: &Insertion) -> Option<Vec<Clash>> {
    let mut out = Vec::new();
    for (at, sentence) in prose.sentences.iter().enumerate().filter(|(_, s)| s.told) {
        let words = prose.words_of(at);
        let mentions: Vec<&Mention> = reading
            .mentions
            .iter()
            .filter(|m| sentence.span.contains(&m.span.start))
            .collect();
        let denied =
            |m: &&&Mention| m.certainty == Certainty::Negative && insertion.denials.contains(&m.finding);
        let denies = mentions.iter().any(|m| denied(&m));
        let overall = insertion.overall.iter().any(|p| p.is_in(words));
        if !denies && !overall && !insertion.clashes.iter().any(|p| p.is_in(words)) {
            continue;
        }
        if mentions.iter().any(|m| m.certainty != Certainty::Negative) {
            return None;
        }
        let kept: Vec<&Mention> = mentions.iter().copied().filter(|m| !denied(&m)).collect();
        out.push(Clash {
            sentence: at,
            rest: rest(prose, &kept),
            denies,
            overall,
        });
    }
    Some(out)
}

/// Mentions that were denied, denied in sentences of their own.
fn rest(prose: &Prose, mentions: &[&Mention]) -> Option<String> {
    let (mut names, mut sentences): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    let mut seen: Vec<Finding> = Vec::new();
    for mention in mentions {
        if seen.contains(&mention.finding) {
            continue;
        }
        seen.push(mention.finding);
        let name = &prose.text[mention.span.clone()];
        let lower = name.to_lowercase();
        let organ = ["heart", "cardiac", "mediast", "silhouette"]
            .iter()
            .any(|o| lower.contains(o));
        match mention.finding {
            Finding::Cardiomegaly if organ => sentences.push("Heart size is normal."),
            Finding::EnlargedCardiomediastinum if organ => sentences.push("The mediastinum is normal."),
            _ => names.push(name),
        }
    }
    let last = names.pop();
    let list = last.map(|last| match names.as_slice() {
        [] => format!("No {last}."),
        names => format!("No {} or {last}.", names.join(", ")),
    });
    let said: Vec<String> = list
        .into_iter()
        .chain(sentences.into_iter().map(str::to_owned))
        .collect();
    (!said.is_empty()).then(|| prose.styled(&said.join(" ")))
}

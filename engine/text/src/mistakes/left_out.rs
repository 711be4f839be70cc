//! A finding that is not told.

use super::prose::Prose;
use super::{Mistaken, apply};
use crate::{Certainty, Finding, Labeler, Mention, Side};

/// What may be one thing on a radiograph under several names.
const AIRSPACE: [Finding; 3] = [Finding::LungOpacity, Finding::Consolidation, Finding::Pneumonia];

/// Removes what states one finding; a device is none.
pub(super) fn make(
    report: &str,
    labeler: &Labeler,
    pick: &mut dyn FnMut(usize) -> usize,
) -> Option<Mistaken> {
    let prose = Prose::read(report);
    let mentions = told(&prose, labeler);
    let mut findings: Vec<Finding> = Finding::ALL
        .into_iter()
        .filter(|f| *f != Finding::SupportDevices)
        .filter(|f| {
            mentions
                .iter()
                .any(|m| m.finding == *f && m.certainty == Certainty::Positive)
        })
        .collect();
    while !findings.is_empty() {
        let finding = findings.remove(pick(findings.len()).min(findings.len() - 1));
        let still = |text: &str| {
            told(&Prose::read(text), labeler)
                .iter()
                .any(|m| m.finding == finding)
        };
        if let Some(made) = without(&prose, &mentions, finding).filter(|made| !still(&made.text)) {
            return Some(made);
        }
    }
    None
}

/// What is stated or suspected where a report tells of the radiograph; why it was asked for is not what is seen.
fn told(prose: &Prose, labeler: &Labeler) -> Vec<Mention> {
    let mut mentions = labeler.read(prose.text).mentions;
    mentions.retain(|m| {
        let sentence = prose.sentence_at(m.span.start);
        m.certainty != Certainty::Negative && sentence.is_some_and(|at| prose.sentences[at].told)
    });
    mentions
}

fn without(prose: &Prose, mentions: &[Mention], finding: Finding) -> Option<Mistaken> {
    let same_side = |a: Option<Side>, b: Option<Side>| a == b || a.is_none() || b.is_none();
    let told = |m: &&Mention| {
        let kin = AIRSPACE.contains(&finding) && AIRSPACE.contains(&m.finding);
        let of = |own: &Mention| own.finding == finding && same_side(own.side, m.side);
        m.finding == finding || (kin && mentions.iter().any(of))
    };
    let mut gone: Vec<usize> = mentions
        .iter()
        .filter(told)
        .map(|m| prose.sentence_at(m.span.start))
        .collect::<Option<_>>()?;
    gone.sort_unstable();
    gone.dedup();
    for at in 1..prose.sentences.len() {
        if prose.goes_on(at) && prose.followed(at - 1) && gone.contains(&(at - 1)) && !gone.contains(&at) {
            gone.push(at);
            gone.sort_unstable();
        }
    }
    let says = |at: usize| prose.words_of(at).iter().any(|w| w.lower != "xxxx");
    let left =
        (0..prose.sentences.len()).any(|at| !gone.contains(&at) && prose.sentences[at].told && says(at));
    if gone.is_empty() || !left {
        return None;
    }
    apply(prose.text, prose.removed(&gone)?)
}

//! Sides and zones, and which finding each belongs to.

use super::lexicon::{Cue, Lexicon, Meaning, Place};
use super::matcher::Match;
use super::scan::{BREAK, COMMA, Token};
use crate::{Finding, Side, Zone};

/// A word between a place and a finding costs one.
const CLAUSE: usize = 6;
/// A barrier or a bracket between them.
const APART: usize = 20;
/// "left ... effusion" rather than "effusion ... left", unless a preposition stands before.
const BACKWARD: usize = 4;
/// "effusion on the left" rather than "on the left effusion".
const FORWARD: usize = 6;
/// How many words a tie may have: "opacity in the left lower lung zone which most likely represents
/// atelectasis".
const LINKED: usize = 12;
/// How far a preposition reaches: "in the mid to lower left".
const REACH: usize = 4;

/// Left and right together are both.
pub(super) fn join(a: Option<Side>, b: Option<Side>) -> Option<Side> {
    match (a, b) {
        (None, side) | (side, None) => side,
        (Some(a), Some(b)) if a == b => Some(a),
        _ => Some(Side::Bilateral),
    }
}

/// Gives each place of a sentence to one finding; returns the side and the zone of each of `findings`.
pub(super) fn attach(
    lexicon: &Lexicon,
    tokens: &[Token],
    findings: &[Match],
    cues: &[Match],
    places: &[Match],
    out: &mut Vec<(Option<Side>, Option<Zone>)>,
) {
    out.clear();
    out.resize(findings.len(), (None, None));
    let sided = |f: &Match| {
        matches!(
            lexicon.meanings[f.value as usize],
            Meaning::Mention { sided: true, .. } | Meaning::Ignore
        )
    };
    for place in places {
        let cost = |f: &Match| cost(lexicon, tokens, cues, place, f);
        let best = (0..findings.len())
            .filter(|i| sided(&findings[*i]))
            .min_by_key(|i| cost(&findings[*i]));
        if let Some(i) = best {
            let Place { side, zone } = lexicon.where_[place.value as usize];
            out[i].0 = join(out[i].0, side);
            out[i].1 = out[i].1.or(zone);
        }
    }
    // "left effusion and adjacent atelectasis": one that has no side shares that of the one it is joined to.
    for i in 1..findings.len() {
        if out[i].0.is_none()
            && sided(&findings[i])
            && joined(lexicon, tokens, cues, &findings[i - 1], &findings[i])
        {
            out[i].0 = out[i - 1].0;
        }
    }
}

/// How far a place is from a finding.
fn cost(lexicon: &Lexicon, tokens: &[Token], cues: &[Match], place: &Match, finding: &Match) -> usize {
    if place.start < finding.end && finding.start < place.end {
        return 0;
    }
    let forward = place.end <= finding.start;
    let (from, to) = if forward {
        (place.end, finding.start)
    } else {
        (finding.end, place.start)
    };
    let joints = &lexicon.joints;
    let mut sum = 0;
    for token in &tokens[from..to] {
        sum += match token.word {
            BREAK => APART,
            COMMA => CLAUSE,
            word if word == joints.and || word == joints.with => CLAUSE,
            _ => 1,
        };
    }
    sum += APART
        * cues
            .iter()
            .filter(|m| lexicon.effects[m.value as usize] == Cue::Barrier && m.start >= from && m.end <= to)
            .count();
    let reach = place.start.saturating_sub(REACH);
    let prepositional = tokens[reach..place.start]
        .iter()
        .rev()
        .take_while(|t| t.word != COMMA && t.word != joints.and)
        .any(|t| joints.prepositions.contains(&t.word));
    sum + match (forward, prepositional) {
        (false, false) => BACKWARD,
        (true, true) => FORWARD,
        _ => 0,
    }
}

/// Whether the second finding is where the first is: tied to it ("opacity consistent with pneumonia",
/// "effusion with adjacent atelectasis"), or named in one breath with it ("left effusion and atelectasis").
fn joined(lexicon: &Lexicon, tokens: &[Token], cues: &[Match], first: &Match, second: &Match) -> bool {
    let (from, to) = (first.end, second.start);
    let joints = &lexicon.joints;
    let words = &tokens[from..to];
    let has = |wanted: &[Cue]| {
        cues.iter()
            .any(|m| m.start >= from && m.start < to && wanted.contains(&lexicon.effects[m.value as usize]))
    };
    // "opacity is likely atelectasis" is still one place.
    let tied = |at: usize| {
        cues.iter()
            .any(|m| m.start == at && lexicon.effects[m.value as usize] == Cue::Link)
    };
    let parts =
        |i: usize| words[i].word == BREAK || (joints.verbs.contains(&words[i].word) && !tied(from + i + 1));
    let parted = (0..words.len()).any(parts);
    if parted || has(&[Cue::Barrier, Cue::SoftBarrier, Cue::NegativeBefore]) {
        return false;
    }
    let tie = cues.iter().rev().find(|m| {
        let cue = lexicon.effects[m.value as usize];
        m.start >= from
            && m.start < to
            && matches!(cue, Cue::Link | Cue::UncertainBefore | Cue::UncertainBetween)
    });
    if let Some(tie) = tie {
        // "pneumonia with air bronchograms and a mass": the "with" ties something else.
        let ended = tokens[tie.end.min(to)..to]
            .iter()
            .any(|t| t.word == joints.and || t.word == COMMA);
        return words.len() <= LINKED && !ended;
    }
    // Oedema is diffuse: "left mass and pulmonary oedema" says nothing of its side.
    let diffuse = matches!(
        lexicon.meanings[second.value as usize],
        Meaning::Mention {
            finding: Finding::Edema,
            ..
        }
    );
    let named_together = words
        .iter()
        .all(|t| t.word == joints.and || t.word == joints.or || t.word == COMMA);
    named_together && !words.is_empty() && words.len() <= 2 && !diffuse
}

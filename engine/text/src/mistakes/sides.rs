//! Left for right: everywhere, as the paper does it, or in one place.

use super::prose::Prose;
use super::{Edit, Mistaken, apply, choose};
use crate::pattern::{Word, words};
use crate::{Certainty, Labeler, Mention, Side};

/// Words between a side and the finding that it is of, at most.
const REACH: usize = 8;

/// What has a side by its name, wherever the finding is.
const ANATOMY: [&str; 13] = [
    "atrium",
    "atrial",
    "ventricle",
    "ventricular",
    "heart",
    "main",
    "mainstem",
    "coronary",
    "middle",
    "brachiocephalic",
    "innominate",
    "lingula",
    "lingular",
];

/// Turns every side into the other.
pub(super) fn swap_all(report: &str) -> Option<Mistaken> {
    let words = words(report);
    let edits = (0..words.len())
        .filter_map(|at| swapped(report, &words, at))
        .collect();
    apply(report, edits)
}

/// Turns the side of one finding or device into the other, in one place: harder to see than [`Mistake::SideSwap`].
///
/// Only sides that the labeler reads of something that is there, or is suspected; not those of anatomy ("right atrium"), nor what is on
/// one side only ("right middle lobe"). `pick` as in [`make`]; `None` where there is no such side.
///
/// [`Mistake::SideSwap`]: super::Mistake::SideSwap
/// [`make`]: super::make
pub fn swap_one_side(
    report: &str,
    labeler: &Labeler,
    pick: &mut dyn FnMut(usize) -> usize,
) -> Option<Mistaken> {
    let prose = Prose::read(report);
    let mentions = labeler.read(report).mentions;
    let mut at: Vec<usize> = mentions
        .iter()
        .filter(|mention| mention.certainty != Certainty::Negative && !both_sides(&prose, mention, &mentions))
        .filter_map(|mention| side_of(&prose, mention))
        .collect();
    at.sort_unstable();
    at.dedup();
    let edit = swapped(report, &prose.words, *choose(&at, pick)?)?;
    apply(report, vec![edit])
}

/// Whether a sentence tells of one finding on the other side too: of two on one side nobody would write.
fn both_sides(prose: &Prose, mention: &Mention, mentions: &[Mention]) -> bool {
    let sentence = |m: &Mention| prose.sentence_at(m.span.start);
    mentions.iter().any(|m| {
        m.finding == mention.finding
            && m.side != mention.side
            && m.side.is_some()
            && sentence(m) == sentence(mention)
    })
}

/// The word that tells the side of a mention: the nearest in its sentence.
fn side_of(prose: &Prose, mention: &Mention) -> Option<usize> {
    let side = match mention.side? {
        Side::Left => "left",
        Side::Right => "right",
        Side::Bilateral => return None,
    };
    let sentence = &prose.sentences[prose.sentence_at(mention.span.start)?];
    let of = |at: usize| {
        sentence.words.start + prose.words[sentence.words.clone()].partition_point(|w| w.span.end <= at)
    };
    let (first, last) = (of(mention.span.start), of(mention.span.end.saturating_sub(1)));
    let distance = |at: usize| first.saturating_sub(at).max(at.saturating_sub(last));
    sentence
        .words
        .clone()
        .filter(|at| sentence.told && prose.words[*at].lower == side && distance(*at) <= REACH)
        .filter(|at| swapped(prose.text, &prose.words, *at).is_some())
        .filter(|at| !of_anatomy(&prose.words, *at))
        // The side before the finding is its own sooner than the one after it.
        .min_by_key(|at| (distance(*at), *at > last))
}

fn of_anatomy(words: &[Word], at: usize) -> bool {
    let next = |by: usize| words.get(at + by).map_or("", |w| w.lower.as_str());
    ANATOMY.contains(&next(1)) || (next(1) == "upper" && next(2) == "quadrant")
}

/// The edit that turns a word into the other side; `None` where it is no side.
fn swapped(report: &str, words: &[Word], at: usize) -> Option<Edit> {
    let word = &words[at];
    let (stem, ending) = ["left", "right"]
        .into_iter()
        .find_map(|side| Some((side, word.lower.strip_prefix(side)?)))?;
    if !matches!(ending, "" | "ward" | "wards") || (ending.is_empty() && is_no_side(report, words, at)) {
        return None;
    }
    let other = if stem == "left" { "right" } else { "left" };
    let written = &report[word.span.clone()];
    let other = if written.chars().all(char::is_uppercase) {
        other.to_uppercase()
    } else if written.starts_with(char::is_uppercase) {
        other[..1].to_uppercase() + &other[1..]
    } else {
        other.to_owned()
    };
    let span = word.span.start..word.span.start + stem.len();
    Some((span, other))
}

/// Whether "left" or "right" is another word: "right now", "all right", "left in place". Both are judged alike, so that a report that
/// was swapped twice is as it was.
fn is_no_side(report: &str, words: &[Word], at: usize) -> bool {
    let near = |by: isize| {
        at.checked_add_signed(by)
            .and_then(|at| words.get(at))
            .map_or("", |w| w.lower.as_str())
    };
    let after = &report[words[at].span.end..];
    let (before, next) = (near(-1), near(1));
    let ends = after.trim_start().starts_with(['.', ',', '!', ';']) || after.trim().is_empty();
    let spaced = after.starts_with(char::is_whitespace);
    let no_place = spaced && before != "the" && before != "on";
    (before == "all" && (ends || next.is_empty()))
        || (no_place
            && matches!(
                next,
                "now" | "away" | "behind" | "alone" | "out" | "after" | "untreated"
            ))
        || (no_place && next == "in" && matches!(near(2), "place" | "situ"))
}

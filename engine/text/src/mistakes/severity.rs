//! Small for large, severe for mild.

use std::ops::Range;

use super::prose::Prose;
use super::{Edit, Mistaken, apply, choose};
use crate::pattern::Word;
use crate::{Certainty, Finding, Labeler, Mention};

/// How much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Low,
    Middle,
    High,
}

/// What kind of word tells how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Of what can be measured.
    Size,
    /// Of what cannot.
    Degree,
    /// Before an adjective.
    Adverb,
}

const WORDS: [(&str, Level, Form); 19] = [
    ("tiny", Level::Low, Form::Size),
    ("small", Level::Low, Form::Size),
    ("trace", Level::Low, Form::Size),
    ("large", Level::High, Form::Size),
    ("massive", Level::High, Form::Size),
    ("minimal", Level::Low, Form::Degree),
    ("mild", Level::Low, Form::Degree),
    ("slight", Level::Low, Form::Degree),
    ("subtle", Level::Low, Form::Degree),
    ("moderate", Level::Middle, Form::Degree),
    ("severe", Level::High, Form::Degree),
    ("marked", Level::High, Form::Degree),
    ("extensive", Level::High, Form::Degree),
    ("minimally", Level::Low, Form::Adverb),
    ("mildly", Level::Low, Form::Adverb),
    ("slightly", Level::Low, Form::Adverb),
    ("moderately", Level::Middle, Form::Adverb),
    ("markedly", Level::High, Form::Adverb),
    ("severely", Level::High, Form::Adverb),
];

/// Words between how much and what, at most.
const REACH: usize = 5;

/// Words that part what stands before them from what follows.
const PARTS: [&str; 16] = [
    "and", "or", "with", "without", "but", "no", "not", "which", "may", "could", "from", "due", "of", "as",
    "than", "causing",
];

/// A word, or two with a "to" between them, that tell how much there is of a finding.
struct Told {
    words: Range<usize>,
    level: Level,
    form: Form,
    finding: Finding,
}

/// Turns how much there is of one finding into the opposite, wherever the report says it.
pub(super) fn make(
    report: &str,
    labeler: &Labeler,
    pick: &mut dyn FnMut(usize) -> usize,
) -> Option<Mistaken> {
    let prose = Prose::read(report);
    let mentions = labeler.read(report).mentions;
    let all: Vec<(Told, &Mention)> = mentions
        .iter()
        .filter(|m| m.certainty == Certainty::Positive && m.finding != Finding::SupportDevices)
        .filter_map(|m| Some((told(&prose, m, &mentions)?, m)))
        .collect();
    let (chosen, of) = choose(&all, pick)?;
    let up = match chosen.level {
        Level::Low => true,
        Level::Middle => pick(2) == 1,
        Level::High => false,
    };
    let mut edits: Vec<Edit> = Vec::new();
    for (other, m) in &all {
        let same = m.finding == of.finding && m.side == of.side && other.level == chosen.level;
        if same {
            edits.push(turned(&prose, other, up, pick)?);
        }
    }
    apply(report, edits)
}

/// Whether a word parts; not the "of" of "a small amount of".
fn parts(words: &[Word], at: usize) -> bool {
    let amount = |w: &Word| {
        matches!(
            w.lower.as_str(),
            "amount" | "degree" | "areas" | "area" | "foci" | "enlargement"
        )
    };
    let word = words[at].lower.as_str();
    PARTS.contains(&word) && !(word == "of" && at > 0 && amount(&words[at - 1]))
}

/// What is said of how much there is of a mention.
fn told(prose: &Prose, mention: &Mention, mentions: &[Mention]) -> Option<Told> {
    let sentence = &prose.sentences[prose.sentence_at(mention.span.start)?];
    if !sentence.told {
        return None;
    }
    let words = &prose.words;
    let at = |byte: usize| words.partition_point(|w| w.span.end <= byte);
    let (first, last) = (at(mention.span.start), at(mention.span.end.saturating_sub(1)));
    let another = |between: &Range<usize>| {
        let inside = |m: &Mention| m.span != mention.span && between.contains(&m.span.start);
        mentions.iter().any(inside)
    };
    let free = |from: usize, to: usize| {
        let between = words[from].span.end..words[to].span.start;
        !prose.text[between.clone()].contains([',', ';', ':', '.', '(', ')'])
            && !(from + 1..to).any(|at| parts(words, at))
            && !another(&between)
    };
    let make = |from: usize| {
        let (range, level, form) = amount(words, from, sentence.words.end)?;
        Some(Told {
            words: range,
            level,
            form,
            finding: mention.finding,
        })
    };
    let start = first.saturating_sub(REACH).max(sentence.words.start);
    let before = (start..first).rev().find_map(|from| {
        let found = make(from)?;
        (found.words.end <= first && free(found.words.end - 1, first)).then_some(found)
    });
    // "The heart is mildly enlarged."
    let organ = matches!(
        mention.finding,
        Finding::Cardiomegaly | Finding::EnlargedCardiomediastinum
    );
    let end = (last + 1 + REACH).min(sentence.words.end);
    before
        .or_else(|| (first..=last.min(words.len() - 1)).find_map(make))
        .or_else(|| {
            let mut after = (last + 1..end).filter(|from| organ && free(last, *from));
            after.find_map(make).filter(|found| found.form == Form::Adverb)
        })
        // "mild to moderate" is one amount.
        .map(|found| wider(words, found, sentence.words.start))
}

/// The amount at a word, with the second of two that a "to" joins.
fn amount(words: &[Word], from: usize, end: usize) -> Option<(Range<usize>, Level, Form)> {
    let known = |at: usize| {
        let word = words[..end].get(at)?;
        WORDS.iter().find(|(name, ..)| *name == word.lower)
    };
    let (_, level, form) = known(from)?;
    // How much of a change, and what is no amount: "slightly increased", "a trace of".
    let next = words[..end].get(from + 1).map_or("", |w| w.lower.as_str());
    let change = [
        "improved",
        "decreased",
        "larger",
        "smaller",
        "less",
        "more",
        "better",
        "worse",
        "improvement",
    ];
    if change.contains(&next) || (next == "of" && words[from].lower == "trace") {
        return None;
    }
    if next == "to"
        && let Some((_, second, _)) = known(from + 2)
    {
        let level = if *level == Level::Low && *second != Level::High {
            Level::Low
        } else {
            *second
        };
        return Some((from..from + 3, level, *form));
    }
    Some((from..from + 1, *level, *form))
}

/// As [`amount`], read from its first word where `found` is its second.
fn wider(words: &[Word], found: Told, start: usize) -> Told {
    let from = found.words.start;
    if from >= start + 2
        && words[from - 1].lower == "to"
        && let Some((range, level, form)) = amount(words, from - 2, from + 1)
        && range.len() == 3
    {
        return Told {
            words: range,
            level,
            form,
            ..found
        };
    }
    found
}

/// The edit that turns an amount into its opposite, with its article.
fn turned(prose: &Prose, told: &Told, up: bool, pick: &mut dyn FnMut(usize) -> usize) -> Option<Edit> {
    let measured = matches!(
        told.finding,
        Finding::PleuralEffusion | Finding::Pneumothorax | Finding::LungLesion
    );
    // The farthest word first.
    let with: &[&str] = match (told.form, up) {
        (Form::Adverb, true) => &["severely", "markedly"],
        (Form::Adverb, false) => &["minimally", "mildly"],
        (Form::Size, true) => &["large"],
        (_, false) if measured => &["tiny", "small"],
        (Form::Size, false) => &["small"],
        (Form::Degree, true) if told.finding == Finding::PleuralEffusion => &["massive", "large"],
        (Form::Degree, true) if measured => &["large"],
        (Form::Degree, true) if matches!(told.finding, Finding::Cardiomegaly | Finding::Edema) => {
            &["severe", "marked"]
        }
        (Form::Degree, true) => &["extensive", "marked"],
        (Form::Degree, false) => &["minimal", "mild"],
    };
    let with = match told.level {
        Level::Middle => with.first()?,
        _ => choose(with, pick)?,
    };
    let (first, last) = (&prose.words[told.words.start], &prose.words[told.words.end - 1]);
    let span = first.span.start..last.span.end;
    let with = like(&prose.text[first.span.clone()], with);
    let before = told.words.start.checked_sub(1).map(|at| &prose.words[at]);
    if let Some(article) = before.filter(|w| matches!(w.lower.as_str(), "a" | "an"))
        && prose.text[article.span.end..span.start].trim().is_empty()
    {
        let an = with.to_lowercase().starts_with(['a', 'e', 'i', 'o', 'u']);
        if an != (article.lower == "an") {
            let written = like(&prose.text[article.span.clone()], if an { "an" } else { "a" });
            return Some((article.span.start..span.end, format!("{written} {with}")));
        }
    }
    Some((span, with))
}

/// A word with the capitals of another.
fn like(written: &str, word: &str) -> String {
    let capitals = written.chars().all(char::is_uppercase);
    if capitals && written.len() > 1 {
        word.to_uppercase()
    } else if written.starts_with(char::is_uppercase) {
        word[..1].to_uppercase() + &word[1..]
    } else {
        word.to_owned()
    }
}

//! Whether a report is English: the lexicon knows no other language, and a report that it cannot read says nothing, least of
//! all that nothing is there.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use serde::Deserialize;

use super::LEXICON;

/// The words of the languages, as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    english: Vec<String>,
    shared: Vec<String>,
    latin: Vec<String>,
    language: Vec<Language>,
    script: Vec<Script>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Language {
    name: String,
    words: Vec<String>,
    particles: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Script {
    name: String,
    letters: [char; 2],
}

/// What a word tells of its language.
#[derive(Clone, Copy, Default)]
struct Telling {
    /// English has it, and none of the languages.
    english: bool,
    /// The labeler's lexicon has it, or English and others do.
    known: bool,
    /// The languages that have it and English has not, a bit for each.
    words: u32,
    /// The languages that have it, as names, Latin or English have too.
    particles: u32,
}

struct Languages {
    names: Vec<String>,
    scripts: Vec<Script>,
    words: HashMap<String, Telling>,
}

#[allow(clippy::panic)] // the file is part of the program and tested with it
static LANGUAGES: LazyLock<Languages> = LazyLock::new(|| {
    let written: Written = toml::from_str(include_str!("../languages.toml"))
        .unwrap_or_else(|error| panic!("the built-in languages are wrong: {error}"));
    let mut words: HashMap<String, Telling> = HashMap::new();
    let shared: HashSet<&String> = written.shared.iter().collect();
    for word in LEXICON
        .split(|c: char| !c.is_alphabetic())
        .filter(|word| !word.is_empty())
    {
        words.entry(word.into()).or_default().known = true;
    }
    for word in &written.latin {
        words.entry(word.clone()).or_default().known = true;
    }
    for word in &written.english {
        let telling = words.entry(word.clone()).or_default();
        telling.known = true;
        telling.english = !shared.contains(word);
    }
    for (at, language) in written.language.iter().enumerate() {
        for word in &language.words {
            words.entry(word.clone()).or_default().words |= 1 << at;
        }
        for word in &language.particles {
            words.entry(word.clone()).or_default().particles |= 1 << at;
        }
    }
    Languages {
        names: written
            .language
            .into_iter()
            .map(|language| language.name)
            .collect(),
        scripts: written.script,
        words,
    }
});

/// What is said of a language that cannot be named.
const UNNAMED: &str = "another language";

/// Letters from which a word without a known meaning counts.
const LONG: usize = 4;

/// Words without a known meaning that make another language where no word is known; fewer where one has an accent.
const STRANGE: usize = 8;
const STRANGE_ACCENTED: usize = 3;

/// The language of a text that is not English; `None` for English, and for a text of which too little tells. One that cannot
/// be named is "another language".
pub fn foreign(text: &str) -> Option<&'static str> {
    let languages = &*LANGUAGES;
    if let Some(script) = script(languages, text) {
        return Some(script);
    }
    let (mut english, mut known, mut strange, mut accented) = (0usize, 0usize, 0usize, false);
    let (mut words, mut particles) = ([0usize; 32], [0usize; 32]);
    let mut word = String::new();
    for part in text
        .split(|c: char| !c.is_alphabetic())
        .filter(|part| !part.is_empty())
    {
        word.clear();
        word.extend(part.chars().flat_map(char::to_lowercase));
        let Some(telling) = languages.words.get(&word) else {
            let abbreviated = part.chars().all(char::is_uppercase);
            if word.chars().count() >= LONG && !abbreviated {
                strange += 1;
                accented |= !word.is_ascii();
            }
            continue;
        };
        english += usize::from(telling.english);
        known += usize::from(telling.known);
        for (counts, mut bits) in [(&mut words, telling.words), (&mut particles, telling.particles)] {
            while bits != 0 {
                counts[bits.trailing_zeros() as usize] += 1;
                bits &= bits - 1;
            }
        }
    }
    // Where two tell as much, the first of the file is the more spoken.
    let most = (0..languages.names.len())
        .rev()
        .max_by_key(|&at| (words[at], particles[at]))?;
    // A name can be one word of another language in an English report, and a particle in any.
    let told = words[most] >= 1 && (english == 0 || words[most] >= 2);
    if told && words[most] + particles[most] > english {
        return Some(&languages.names[most]);
    }
    let enough = if accented { STRANGE_ACCENTED } else { STRANGE };
    (known == 0 && strange >= enough).then_some(UNNAMED)
}

/// The letters of a text most letters of which are not Latin, by the language that they tell.
pub(crate) fn foreign_script(text: &str) -> Option<&'static str> {
    script(&LANGUAGES, text)
}

/// The language of a text most letters of which are not Latin.
fn script(languages: &'static Languages, text: &str) -> Option<&'static str> {
    if text.is_ascii() {
        return None;
    }
    let latin = |c: char| {
        c < '\u{370}' || ('\u{1e00}'..='\u{1eff}').contains(&c) || ('\u{fb00}'..='\u{fb06}').contains(&c)
    };
    let (mut all, mut others) = (0usize, 0usize);
    let mut counts = vec![0usize; languages.scripts.len()];
    for c in text.chars().filter(|c| c.is_alphabetic()) {
        all += 1;
        others += usize::from(!latin(c));
        if let Some(at) = languages
            .scripts
            .iter()
            .position(|script| (script.letters[0]..=script.letters[1]).contains(&c))
        {
            counts[at] += 1;
        }
    }
    if others * 2 <= all {
        return None;
    }
    // Japanese is written with Chinese letters too: the first script of the file that a good part is in.
    let at = counts.iter().position(|count| count * 8 >= others && *count > 0);
    Some(at.map_or(UNNAMED, |at| &languages.scripts[at].name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_languages_are_told_from_english() {
        for (text, language) in [
            (
                "Derrame pleural izquierdo peque\u{f1}o. No se observa neumot\u{f3}rax.",
                "Spanish",
            ),
            ("Derrame pleural.", "Spanish"),
            ("Cardiomegalia.", "Spanish"),
            ("Atelectasias basales. Sin consolidaciones.", "Spanish"),
            (
                "Kein Pleuraerguss. Das Herz ist nicht vergr\u{f6}\u{df}ert.",
                "German",
            ),
            ("Pneumothorax rechts.", "German"),
            ("Kein Pneumothorax.", "German"),
            ("KEIN PNEUMOTHORAX", "German"),
            ("Herz normal.", "German"),
            (
                "Pas d'\u{e9}panchement pleural. La silhouette cardiaque est normale.",
                "French",
            ),
            ("Pas d'\u{e9}panchement.", "French"),
            ("Pas d\u{2019}\u{e9}panchement.", "French"),
            ("Pneumothorax gauche.", "French"),
            ("Versamento pleurico sinistro. Nessun pneumotorace.", "Italian"),
            ("Nessun versamento pleurico.", "Italian"),
            ("Sem derrame pleural. Pulm\u{f5}es livres.", "Portuguese"),
            ("Geen pleuravocht. Hart niet vergroot.", "Dutch"),
            (
                "Nie stwierdza si\u{119} p\u{142}ynu w jamie op\u{142}ucnej.",
                "Polish",
            ),
            ("Inga infiltrat. Hj\u{e4}rtat normalstort.", "Swedish"),
            ("Plevral ef\u{fc}zyon izlenmedi.", "Turkish"),
            (
                "\u{411}\u{435}\u{437} \u{43f}\u{430}\u{442}\u{43e}\u{43b}\u{43e}\u{433}\u{438}\u{438}.",
                "a language in Cyrillic letters",
            ),
            ("\u{53cc}\u{80ba}\u{6e05}\u{6670}\u{3002}", "Chinese"),
            ("\u{80f8}\u{6c34}\u{306a}\u{3057}\u{3002}", "Japanese"),
            (
                "\u{3a7}\u{3c9}\u{3c1}\u{3af}\u{3c2} \u{3c0}\u{3bb}\u{3b5}\u{3c5}\u{3c1}\u{3b9}\u{3c4}\u{3b9}\u{3ba}\u{3ae}.",
                "Greek",
            ),
            (
                "\u{644}\u{627} \u{64a}\u{648}\u{62c}\u{62f}",
                "a language in Arabic letters",
            ),
            ("\u{d749}\u{c218} \u{c5c6}\u{c74c}", "Korean"),
            (
                "Ekkert l\u{ed}f\u{f3}snauma\u{f0} v\u{f6}kvas\u{f6}fnun.",
                UNNAMED,
            ),
            (
                "Walang nakitang tubig sapagkat malinis naman lahat kahit saan",
                UNNAMED,
            ),
        ] {
            assert_eq!(foreign(text), Some(language), "{text}");
        }
    }

    #[test]
    fn english_with_names_is_no_other_language() {
        for text in [
            "No effusion.",
            "Cardiomegaly",
            "Mr. De La Cruz: cardiomegaly",
            "Dr. van der Berg, Dr. De La Rosa: edema",
            "RLL PNA",
            "La, small. Pneumothorax: no",
            "Picc line with tip in the SVC; no pneumothorax",
            "Status post left lower lobectomy. Il ne: normal heart.",
            "",
            "XXXX XXXX XXXX XXXX XXXX.",
            "ET and OG tubes, NGT.",
            "Unremarkable exam.",
            "Situs inversus totalis. Pectus excavatum, cor pulmonale.",
            "Dr. M\u{fc}ller, Klinikum rechts der Isar: small effusion, no pneumothorax.",
            "Hospital Vall d'Hebron, Barcelona. Cardiomegaly.",
            "Amiodarone toxicity. Furosemide given.",
            "Metoprolol, lisinopril, atorvastatin, furosemide",
            "J\u{fc}rgen M\u{fc}ller",
            "Norma Hart, 12 Calle de la Paz, Los Angeles: stable edema.",
            "Spinal cord stimulator.",
            "Sinus tract. Lung bases clear. Long segment.",
            "Pneumothorax (-)",
            "\u{3b1}1-antitrypsin deficiency, emphysema.",
        ] {
            assert_eq!(foreign(text), None, "{text}");
        }
    }
}

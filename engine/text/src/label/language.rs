//! Whether a report is English: the lexicon knows no other language, and a report that it cannot read says nothing, least of
//! all that nothing is there.

/// Small words and words of radiology that other languages have and English has not.
const LANGUAGES: [(&str, &[&str]); 5] = [
    (
        "Spanish",
        &[
            "de",
            "la",
            "el",
            "los",
            "las",
            "del",
            "con",
            "sin",
            "se",
            "en",
            "una",
            "por",
            "derrame",
            "derecho",
            "derecha",
            "izquierdo",
            "izquierda",
            "pulmonar",
            "pulmonares",
            "neumonia",
            "neumonía",
            "neumotorax",
            "neumotórax",
            "cardiaca",
            "torax",
            "tórax",
            "observa",
            "observan",
            "normales",
            "consolidaciones",
            "silueta",
            "placa",
            "y",
        ],
    ),
    (
        "German",
        &[
            "der",
            "die",
            "das",
            "und",
            "kein",
            "keine",
            "keinen",
            "nicht",
            "mit",
            "ohne",
            "beidseits",
            "rechts",
            "links",
            "herz",
            "lunge",
            "erguss",
            "pleuraerguss",
            "pneumothorax-nachweis",
            "ist",
            "des",
            "im",
            "zeichen",
            "normal-gross",
            "nachweis",
            "infiltrate-nachweis",
            "vergr\u{f6}\u{df}ert",
            "herzgr\u{f6}\u{df}e",
            "stauung",
            "einer",
            "eine",
            "unauff\u{e4}llig",
            "linke",
            "rechte",
        ],
    ),
    (
        "French",
        &[
            "le",
            "la",
            "les",
            "des",
            "du",
            "de",
            "et",
            "pas",
            "sans",
            "une",
            "droit",
            "droite",
            "gauche",
            "pleural-droit",
            "\u{e9}panchement",
            "epanchement",
            "cardiaque",
            "poumon",
            "poumons",
            "pneumopathie",
            "silhouette-cardiaque",
            "absence-de",
            "d'\u{e9}panchement",
            "pulmonaire",
            "pulmonaires",
            "foyer",
            "est",
            "aucun",
            "aucune",
            "m\u{e9}diastin",
        ],
    ),
    (
        "Italian",
        &[
            "di",
            "il",
            "lo",
            "gli",
            "della",
            "del",
            "delle",
            "non",
            "senza",
            "nessun",
            "nessuna",
            "destro",
            "destra",
            "sinistro",
            "sinistra",
            "versamento",
            "pleurico",
            "pneumotorace",
            "polmonare",
            "polmonari",
            "cuore",
            "ombra",
            "cardiaca",
            "ed",
            "con",
            "nei",
            "limiti",
            "addensamenti",
        ],
    ),
    (
        "Portuguese",
        &[
            "de",
            "da",
            "do",
            "dos",
            "das",
            "sem",
            "com",
            "n\u{e3}o",
            "na",
            "no-pulm\u{e3}o",
            "uma",
            "direito",
            "direita",
            "esquerdo",
            "esquerda",
            "pulm\u{e3}o",
            "pulm\u{f5}es",
            "cora\u{e7}\u{e3}o",
            "t\u{f3}rax",
            "derrame",
        ],
    ),
];

/// Small words and words of radiology that are English alone.
const ENGLISH: [&str; 44] = [
    "the",
    "is",
    "are",
    "of",
    "and",
    "with",
    "without",
    "there",
    "no",
    "or",
    "to",
    "in",
    "for",
    "has",
    "have",
    "been",
    "was",
    "small",
    "large",
    "mild",
    "right",
    "left",
    "lung",
    "lungs",
    "heart",
    "effusion",
    "opacity",
    "normal",
    "clear",
    "size",
    "seen",
    "within",
    "limits",
    "chest",
    "bilateral",
    "pleural",
    "unchanged",
    "stable",
    "tube",
    "line",
    "evidence",
    "acute",
    "disease",
    "findings",
];

/// Letters from which a word is more than a particle that English names hold too.
const TELLING: usize = 4;

/// The language of a text that is not English; `None` for English, and for a text of which too little tells.
pub fn foreign(text: &str) -> Option<&'static str> {
    let mut english = 0usize;
    let mut others = [0usize; LANGUAGES.len()];
    let mut telling = [false; LANGUAGES.len()];
    let words = text.split(|c: char| !c.is_alphabetic() && c != '\'');
    for word in words.filter(|word| !word.is_empty()) {
        let word = word.to_lowercase();
        english += usize::from(ENGLISH.contains(&word.as_str()));
        for (at, (_, known)) in LANGUAGES.iter().enumerate() {
            if known.contains(&word.as_str()) {
                others[at] += 1;
                telling[at] |= word.chars().count() >= TELLING;
            }
        }
    }
    let most = (0..LANGUAGES.len()).max_by_key(|&at| others[at])?;
    // Two words of another language, one of them no mere particle ("Mr. De La Cruz"), and more of them than of English.
    let foreign = others[most] >= 2 && telling[most] && others[most] > english;
    foreign.then_some(LANGUAGES[most].0)
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
            (
                "Kein Pleuraerguss. Das Herz ist nicht vergr\u{f6}\u{df}ert.",
                "German",
            ),
            (
                "Pas d'\u{e9}panchement pleural. La silhouette cardiaque est normale.",
                "French",
            ),
            ("Versamento pleurico sinistro. Nessun pneumotorace.", "Italian"),
        ] {
            assert_eq!(foreign(text), Some(language), "{text}");
        }
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
        ] {
            assert_eq!(foreign(text), None, "{text}");
        }
    }
}

//! What an abdominal report states: the clinically important findings, present or denied, by phrases with negation.
//!
//! This is what drafts are scored by in place of the clinician of Medical X-VL's table 6 ("whether or not clinically
//! important findings (e.g. pneumoperitoneum, ileus, etc.) are mentioned in the report").

use super::describe::AbdominalFinding::{self, *};

/// What a phrase speaks of.
enum Of {
    /// One finding.
    One(AbdominalFinding),
    /// As `Bowel`, whatever is near.
    Ileus,
    /// Bowel of no named part: where it is there the small bowel's, where it is denied both.
    Bowel,
    /// A stone of no named organ: where it is there a urinary one, where it is denied both.
    Stone,
    /// Calcification of any kind: it says something only where it is denied.
    Calcification,
    /// A bowel that is said to be normal.
    NormalBowel,
}

/// Phrases. Words stand behind each other; `a|b` is either, `a*` any word that begins so, `..` up to four words between.
const PHRASES: [(Of, &[&str]); 15] = [
    (
        Of::One(FreeAir),
        &[
            "free air|gas",
            "free intraperitoneal|peritoneal|intraabdominal|abdominal|subdiaphragmatic|subphrenic air|gas",
            "free intra peritoneal|abdominal air|gas",
            "pneumoperiton*",
            "subdiaphragm*|subphrenic|infradiaphragm* .. air|gas|lucenc*",
            "air|gas|lucenc* .. under|below|beneath|underneath .. diaphragm*|hemidiaphragm*|dome|domes",
            "extraluminal|intraperitoneal air|gas",
        ],
    ),
    (
        Of::One(SmallBowelDilatation),
        &[
            "small .. bowel .. dilat*|disten*|obstruct*",
            "dilat*|disten*|obstruct* .. small .. bowel",
            "dilat*|disten* .. jejun*|ileal|ileum",
            "jejun*|ileal .. dilat*|disten*",
            "sbo",
        ],
    ),
    (
        Of::One(ColonicDilatation),
        &[
            "dilat*|disten* .. colon|colonic|caecum|cecum|sigmoid",
            "dilat*|disten*|obstruct* .. large .. bowel",
            "colon|colonic|caecum|cecum|caecal|cecal|sigmoid .. dilat*|disten*|obstruct*",
            "large bowel .. dilat*|disten*|obstruct*",
            "megacolon|volvulus|lbo",
        ],
    ),
    (
        Of::Bowel,
        &[
            "dilat*|disten* .. bowel|loop|loops",
            "bowel|loop|loops .. dilat*|disten*",
            "bowel|intestinal obstruct*",
            "obstruct* .. bowel",
            "obstruction",
            "air|gas fluid level*",
            "fluid level*",
        ],
    ),
    (Of::Ileus, &["ileus"]),
    (
        Of::NormalBowel,
        &[
            "nonobstruct*",
            "non obstruct*",
            "normal|unremarkable|nonspecific bowel gas",
            "non specific bowel gas",
            "bowel gas .. normal|unremarkable|nonspecific",
        ],
    ),
    (
        Of::One(UrinaryStone),
        &[
            "renal|kidney|ureter*|urinary|bladder .. calcul*|stone|stones|lithiasis",
            "calcul*|stone|stones|calcification* .. .. kidney*|ureter*|renal|bladder",
            "density|opacity|concretion* over .. kidney*|ureter*",
            "renal|ureter* .. calcification*",
            "nephrolith*|urolith*|ureterolith*|staghorn",
        ],
    ),
    (
        Of::One(Gallstone),
        &[
            "gallstone*|cholelith*",
            "gall stone*",
            "gallbladder|biliary .. calcul*|stone|stones|calcification*",
            "calcul*|stone|stones|calcification* .. gallbladder",
        ],
    ),
    (
        Of::Stone,
        &[
            "radiopaque|opaque|calcified|calcific|abnormal .. calcul*|stone|stones",
            "calculus|calculi|stone|stones",
        ],
    ),
    (
        Of::Calcification,
        &["abnormal|pathologic*|suspicious|significant .. calcification*|density|densities"],
    ),
    (
        Of::One(FaecalLoading),
        &[
            "faecal|fecal .. load*|retention|impact*|burden|stasis",
            "constipat*|coprostasis",
            "stool|faeces|feces .. throughout|burden|load*|retention|impact*|filled",
            "faecal|fecal matter|material .. throughout",
            "large|moderate|increased|abundant|excess*|considerable|marked|copious|heavy|much|mildly .. stool|faeces|feces",
            "loaded|filled|packed with stool|faeces|feces",
        ],
    ),
    (
        Of::One(GastricTube),
        &[
            "nasogastric|orogastric|gastric|enteric|ng|og|feeding|levin|nasoenteric .. tube|catheter",
            "ng|ngt|levin|nasogastric in|tip",
            "l tube",
        ],
    ),
    (
        Of::One(Drain),
        &[
            "drain|drains|hemovac",
            "drainage|pigtail catheter*|tube*",
            "jackson pratt",
        ],
    ),
    (
        Of::One(UretericStent),
        &[
            "ureter* .. stent*",
            "stent* .. ureter*",
            "double j|pigtail .. stent*|catheter*",
            "dj|jj|djs stent*|catheter*",
            "d j stent*|catheter*",
            "double j",
        ],
    ),
    (Of::One(Clips), &["clip|clips"]),
];

/// Near these a bowel of no named part is a part after all.
const OTHER_BOWEL: &[&str] = &["large", "colon", "colonic", "caecum", "cecum", "sigmoid"];
/// Near these a stone of no named organ has one.
const OTHER_STONE: &[&str] = &[
    "urinary",
    "renal",
    "kidney",
    "kidneys",
    "ureter",
    "ureteric",
    "ureteral",
    "bladder",
    "gallbladder",
    "biliary",
    "gall",
    "cholelithiasis",
    "staghorn",
    "phleboliths",
    "phlebolith",
];
/// A clause ends here, and with it what is denied.
const TURNS: &[&str] = &[
    "but", "however", "although", "though", "except", "while", "whereas", "yet",
];
/// What follows is denied.
const DENIES: &[&str] = &[
    "no",
    "not",
    "without",
    "negative",
    "absence",
    "neither",
    "nor",
    "never",
    "removal",
    "resolution",
    "denies",
];
/// What stands before is denied.
const DENIED: &[&str] = &[
    "not",
    "absent",
    "removed",
    "resolved",
    "excluded",
    "disappeared",
    "unlikely",
    "normal",
    "longer",
    "none",
];
/// Near one of these it is left open what a phrase speaks of.
const OPEN: &[&str] = &[
    "cannot", "evaluate", "exclude", "assess", "assessed", "history", "query",
];

/// What clinically important findings a report states, each once in the order of [`AbdominalFinding::ALL`]: true
/// where it is there, false where it is denied and nowhere stated. What is not spoken of is not in the list; what is
/// harmless (phleboliths) and what is left open are no findings.
pub fn findings(text: &str) -> Vec<(AbdominalFinding, bool)> {
    let mut stated = [None; AbdominalFinding::ALL.len()];
    let mut note = |finding: AbdominalFinding, there: bool| {
        let slot = &mut stated[finding as usize];
        *slot = Some(slot.unwrap_or(false) || there);
    };
    for clause in clauses(text) {
        for (of, patterns) in &PHRASES {
            for pattern in *patterns {
                for from in 0..clause.len() {
                    let Some(to) = matched(&clause, from, pattern) else {
                        continue;
                    };
                    if left_open(&clause, from, to) {
                        continue;
                    }
                    let there = !denied(&clause, from, to);
                    match of {
                        Of::One(finding) => note(*finding, there),
                        Of::Bowel if near(&clause, from, 2, to, OTHER_BOWEL) || small(&clause, from, to) => {}
                        Of::Bowel | Of::Ileus => {
                            note(SmallBowelDilatation, there);
                            if !there {
                                note(ColonicDilatation, false);
                            }
                        }
                        Of::Stone if near(&clause, from, 4, to, OTHER_STONE) => {}
                        Of::Stone => {
                            note(UrinaryStone, there);
                            if !there {
                                note(Gallstone, false);
                            }
                        }
                        Of::Calcification if !there => {
                            note(UrinaryStone, false);
                            note(Gallstone, false);
                        }
                        Of::NormalBowel if there => {
                            note(SmallBowelDilatation, false);
                            note(ColonicDilatation, false);
                        }
                        Of::Calcification | Of::NormalBowel => {}
                    }
                }
            }
        }
    }
    let all = AbdominalFinding::ALL.into_iter().zip(stated);
    all.filter_map(|(finding, there)| Some((finding, there?)))
        .collect()
}

/// A word, and whether a comma stands before it.
struct Word {
    text: String,
    comma: bool,
}

/// The clauses of a text, in lower-case words.
fn clauses(text: &str) -> Vec<Vec<Word>> {
    let mut all = Vec::new();
    let lower = text.to_lowercase();
    for sentence in lower.split(['.', ';', ':', '!', '?', '\n']) {
        let mut clause = Vec::new();
        for (i, part) in sentence.split(',').enumerate() {
            let mut comma = i > 0;
            for word in part
                .split(|c: char| !c.is_alphanumeric())
                .filter(|w| !w.is_empty())
            {
                if TURNS.contains(&word) {
                    all.push(std::mem::take(&mut clause));
                    comma = false;
                    continue;
                }
                let text = word.to_owned();
                clause.push(Word { text, comma });
                comma = false;
            }
        }
        all.push(clause);
    }
    all
}

/// Whether one word is what an element of a pattern says.
fn fits(word: &str, element: &str) -> bool {
    element.split('|').any(|choice| match choice.strip_suffix('*') {
        Some(stem) => word.starts_with(stem),
        None => word == choice,
    })
}

/// The end of a pattern's match that begins at a word.
fn matched(clause: &[Word], from: usize, pattern: &str) -> Option<usize> {
    let mut at = from;
    let mut gap = 0;
    for element in pattern.split(' ') {
        if element == ".." {
            gap += 4;
            continue;
        }
        let reach = clause.get(at..(at + gap + 1).min(clause.len()))?;
        at += 1 + reach.iter().position(|word| fits(&word.text, element))?;
        gap = 0;
    }
    Some(at)
}

/// Whether one of some words stands among the `before` before a match, in it, or among the four behind it.
fn near(clause: &[Word], from: usize, before: usize, to: usize, words: &[&str]) -> bool {
    let window = &clause[from.saturating_sub(before)..(to + 4).min(clause.len())];
    window.iter().any(|word| words.contains(&word.text.as_str()))
}

/// Whether a match is about the small bowel by name.
fn small(clause: &[Word], from: usize, to: usize) -> bool {
    let window = &clause[from.saturating_sub(2)..(to + 4).min(clause.len())];
    window
        .windows(2)
        .any(|pair| pair[0].text == "small" && pair[1].text == "bowel")
}

/// Whether the words from `from` to `to` are only asked for, or cannot be told.
fn left_open(clause: &[Word], from: usize, to: usize) -> bool {
    let opens = |word: &Word| OPEN.contains(&word.text.as_str());
    let behind = clause[to..]
        .iter()
        .take(6)
        .take_while(|w| w.text != "and" && !w.comma);
    clause[from.saturating_sub(3)..from]
        .iter()
        .chain(behind)
        .any(opens)
}

/// Whether the words from `from` to `to` are denied: by what stands before, among, or behind them.
fn denied(clause: &[Word], from: usize, to: usize) -> bool {
    let word = |i: usize| clause.get(i).map_or("", |w| w.text.as_str());
    // "No change in the dilated loops" denies no loops, "not only" nothing.
    let idle = |i: usize| {
        (1..=3).any(|k| word(i + k).starts_with("change"))
            || matches!(word(i + 1), "only" | "longer" | "interval")
    };
    if (from..to).any(|i| DENIES.contains(&word(i))) {
        return true;
    }
    let listed = clause[from..]
        .iter()
        .any(|w| matches!(w.text.as_str(), "or" | "nor"))
        || (0..from).any(|i| matches!(word(i), "or" | "nor"));
    for i in (0..from).rev() {
        if clause[i + 1].comma && !listed {
            break;
        }
        if DENIES.contains(&word(i)) && !idle(i) {
            return true;
        }
        if matches!(word(i), "with" | "there" | "shows" | "show") {
            break;
        }
    }
    for (i, behind) in clause.iter().enumerate().skip(to).take(6) {
        if matches!(word(i), "and" | "with" | "or") || behind.comma {
            break;
        }
        if DENIED.contains(&word(i)) && word(i + 1) != "only" {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_words_are_read_too() {
        let cases: [(&str, &[AbdominalFinding], &[AbdominalFinding]); 22] = [
            (
                "Mild post-op. ileus and a small amount of pneumoperitoneum.",
                &[FreeAir, SmallBowelDilatation],
                &[],
            ),
            (
                "No evidence of free intraperitoneal air or bowel obstruction.",
                &[],
                &[FreeAir, SmallBowelDilatation, ColonicDilatation],
            ),
            (
                "Crescent of gas beneath the right hemidiaphragm, suspicious for perforation.",
                &[FreeAir],
                &[],
            ),
            (
                "Multiple distended loops of small bowel with air-fluid levels; no gas in the colon.",
                &[SmallBowelDilatation],
                &[],
            ),
            (
                "The transverse colon is markedly distended. The small bowel is not dilated.",
                &[ColonicDilatation],
                &[SmallBowelDilatation],
            ),
            (
                "Dilated loops of large bowel, small bowel is normal.",
                &[ColonicDilatation],
                &[SmallBowelDilatation],
            ),
            (
                "Nonobstructive bowel gas pattern, large amount of stool in the colon.",
                &[FaecalLoading],
                &[SmallBowelDilatation, ColonicDilatation],
            ),
            (
                "8 mm calcification projecting over the lower pole of the left kidney.",
                &[UrinaryStone],
                &[],
            ),
            (
                "Pelvic calcifications are phleboliths. No radiopaque calculi.",
                &[],
                &[UrinaryStone, Gallstone],
            ),
            (
                "Cholelithiasis. No ureteral calculus.",
                &[Gallstone],
                &[UrinaryStone],
            ),
            (
                "Both ureteric stents are unchanged in position, and an NG tube is in place.",
                &[GastricTube, UretericStent],
                &[],
            ),
            ("The nasogastric tube has been removed.", &[], &[GastricTube]),
            (
                "Interval removal of the right D-J catheter, but the staghorn stone remains.",
                &[UrinaryStone],
                &[UretericStent],
            ),
            (
                "No interval change in the dilated small bowel loops.",
                &[SmallBowelDilatation],
                &[],
            ),
            (
                "JP drain in the pelvis and clips in the gallbladder fossa.",
                &[Drain, Clips],
                &[],
            ),
            ("Free air cannot be excluded on a supine film.", &[], &[]),
            (
                "Free air is no longer seen, mild ileus persists.",
                &[SmallBowelDilatation],
                &[FreeAir],
            ),
            (
                "Constipation without faecal impaction of the rectum.",
                &[FaecalLoading],
                &[],
            ),
            (
                "Unremarkable bowel gas pattern.",
                &[],
                &[SmallBowelDilatation, ColonicDilatation],
            ),
            ("No remarkable findings.", &[], &[]),
            ("Neither free gas nor gallstones.", &[], &[FreeAir, Gallstone]),
            ("", &[], &[]),
        ];
        for (text, there, absent) in cases {
            let read = findings(text);
            let of = |value: bool| -> Vec<AbdominalFinding> {
                read.iter()
                    .filter(|(_, v)| *v == value)
                    .map(|(f, _)| *f)
                    .collect()
            };
            assert_eq!(of(true), there, "there: {text}");
            assert_eq!(of(false), absent, "denied: {text}");
        }
    }
}

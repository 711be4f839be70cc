//! The form of a question, and its words varied for training.

use rand::{Rng, RngExt, seq::SliceRandom};

/// Verbs that open a question which is answered by yes or no.
const AUXILIARIES: [&str; 24] = [
    "is", "are", "was", "were", "does", "do", "did", "can", "could", "has", "have", "had", "should", "will",
    "would", "may", "might", "isn't", "aren't", "doesn't", "don't", "must", "any", "am",
];

/// Words that carry little of what is asked.
const LITTLE: [&str; 40] = [
    "is",
    "are",
    "was",
    "the",
    "a",
    "an",
    "of",
    "in",
    "on",
    "this",
    "that",
    "there",
    "does",
    "do",
    "image",
    "picture",
    "scan",
    "film",
    "patient",
    "patients",
    "patient's",
    "you",
    "see",
    "shown",
    "show",
    "seen",
    "present",
    "evidence",
    "any",
    "can",
    "be",
    "it",
    "these",
    "at",
    "to",
    "for",
    "with",
    "has",
    "have",
    "which",
];

/// Words that may stand for each other in a question; of several words only as a replacement.
const ALIKE: [&[&str]; 30] = [
    &["image", "picture", "scan", "study", "film"],
    &["present", "seen", "visible", "shown", "visualized", "evident"],
    &["show", "demonstrate", "display", "reveal"],
    &["abnormality", "lesion", "pathology", "finding"],
    &["mass", "lesion", "tumor"],
    &["located", "found", "positioned"],
    &["where", "location", "what location"],
    &["side", "which side"],
    &["large", "big", "enlarged"],
    &["size", "how large", "how big"],
    &["normal", "healthy", "unremarkable"],
    &["abnormal", "unusual", "not normal"],
    &["cardiomegaly", "enlarged heart", "large heart"],
    &["heart", "cardiac"],
    &["lung", "lungs", "pulmonary"],
    &["liver", "hepatic"],
    &["kidney", "kidneys", "renal"],
    &["brain", "cerebral", "intracranial"],
    &["bowel", "intestine", "intestinal"],
    &["stomach", "gastric"],
    &["spleen", "splenic"],
    &["trachea", "tracheal"],
    &["pleura", "pleural"],
    &["bone", "bones", "bony", "osseous"],
    &["vessel", "vessels", "vascular"],
    &["fluid", "effusion"],
    &["bleed", "bleeding", "hemorrhage"],
    &["modality", "technique", "type of imaging"],
    &["plane", "view", "orientation"],
    &["many", "number"],
];

/// Which of the known answers a question's form allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedAnswers {
    /// These alone; all where it is `None`.
    only: Option<Vec<usize>>,
    /// But for these.
    never: Vec<usize>,
}

impl AllowedAnswers {
    /// Of a question: to an auxiliary verb at its head yes or no, to an "or" the answers that it names, else
    /// anything but yes and no. Where none of these is known, all are allowed.
    pub fn of(question: &str, answers: &[String]) -> Self {
        let lower = question.to_lowercase();
        let words: Vec<&str> = lower
            .split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '-')
            .collect();
        let words: Vec<&str> = words.into_iter().filter(|w| !w.is_empty()).collect();
        let at = |test: &dyn Fn(&str) -> bool| -> Vec<usize> {
            answers
                .iter()
                .enumerate()
                .filter(|(_, a)| test(a))
                .map(|(i, _)| i)
                .collect()
        };
        let polar = at(&|a| a == "yes" || a == "no");
        if words.contains(&"or") {
            let named = at(&|a| {
                !["or", "yes", "no"].contains(&a)
                    && !a.is_empty()
                    && a.split_whitespace().all(|w| words.contains(&w))
            });
            if !named.is_empty() {
                return Self {
                    only: Some(named),
                    never: Vec::new(),
                };
            }
        }
        let asks = words.first().is_some_and(|w| AUXILIARIES.contains(w));
        match (asks, polar.is_empty(), polar.len() < answers.len()) {
            (true, false, _) => Self {
                only: Some(polar),
                never: Vec::new(),
            },
            (false, _, true) => Self {
                only: None,
                never: polar,
            },
            _ => Self::default(),
        }
    }

    /// Whether an answer is allowed.
    pub fn allows(&self, answer: usize) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&answer)) && !self.never.contains(&answer)
    }
}

/// The question in other words: some replaced by their like, words of little weight dropped, now and then the
/// order lost.
pub fn varied(question: &str, rng: &mut impl Rng) -> String {
    let mut words: Vec<String> = question
        .to_lowercase()
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    let bare = |word: &str| word.trim_matches(|c: char| c.is_ascii_punctuation()).to_owned();
    for word in &mut words {
        let plain = bare(word);
        let groups: Vec<_> = ALIKE
            .iter()
            .filter(|group| group.contains(&plain.as_str()))
            .collect();
        if !groups.is_empty() && rng.random::<f64>() < 0.3 {
            let group = groups[rng.random_range(0..groups.len())];
            *word = group[rng.random_range(0..group.len())].to_owned();
        }
    }
    let share = rng.random::<f64>() * 0.8;
    let kept = |word: &String, draw: f64, other: f64| {
        if LITTLE.contains(&bare(word).as_str()) {
            draw >= share && other >= 0.2
        } else {
            other >= 0.2
        }
    };
    let mut left: Vec<String> = Vec::with_capacity(words.len());
    for word in &words {
        if kept(word, rng.random(), rng.random()) {
            left.push(word.clone());
        }
    }
    if left.is_empty() {
        left = words;
    }
    if rng.random::<f64>() < 0.3 {
        left.shuffle(rng);
    }
    left.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn the_form_of_a_question_narrows_its_answers() {
        let answers = ["yes", "no", "left", "right", "ct"].map(str::to_owned);
        let allowed = |question: &str| -> Vec<&str> {
            let allowed = AllowedAnswers::of(question, &answers);
            (0..5)
                .filter(|i| allowed.allows(*i))
                .map(|i| answers[i].as_str())
                .collect()
        };
        assert_eq!(allowed("Is there an effusion?"), ["yes", "no"]);
        assert_eq!(allowed("Is it on the left or the right?"), ["left", "right"]);
        assert_eq!(allowed("Which side is it on?"), ["left", "right", "ct"]);
        assert_eq!(allowed("Is the heart or the aorta large?"), ["yes", "no"]);
        assert_eq!(allowed("Was it CT or MR?"), ["ct"]);
        let few = ["yes".to_owned(), "no".to_owned()];
        assert!(AllowedAnswers::of("Which side?", &few).allows(0));
        assert!(AllowedAnswers::of("Is it?", &answers[2..]).allows(0));
    }

    #[test]
    fn a_varied_question_keeps_words_of_the_question_or_their_like() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let text = varied("Where is the abnormality located in this image?", &mut rng);
            assert!(!text.is_empty());
            seen.insert(text);
        }
        assert!(seen.len() > 50, "{}", seen.len());
    }
}

//! The form of a question, and which answers it allows.

/// Verbs that open a question which is answered by yes or no.
const AUXILIARIES: [&str; 24] = [
    "is", "are", "was", "were", "does", "do", "did", "can", "could", "has", "have", "had", "should", "will",
    "would", "may", "might", "isn't", "aren't", "doesn't", "don't", "must", "any", "am",
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

#[cfg(test)]
mod tests {
    use super::*;

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
}

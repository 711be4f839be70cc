//! A checked report as a reader goes through its marks: each is accepted or kept, and the spans of the others move along.

use std::ops::Range;

use hilum_task::{Checked, Doubt, Mark};

/// A checked text, what was found of it, and the marks that the reader has not answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Review {
    /// The text with what was accepted.
    pub text: String,
    /// What was found. Its spans are of the text that was checked.
    pub checked: Checked,
    /// The marks that are left, in the order of [`Checked::marks`], with spans of `text`.
    pub marks: Vec<Mark>,
    /// For each of them, which of the words that were weighed are in it.
    words: Vec<Vec<usize>>,
}

impl Review {
    /// All of it is to be answered.
    pub fn new(text: String, checked: Checked) -> Self {
        let mut marks = checked.marks();
        // Of another text there is nothing to show.
        marks.retain(|mark| text.get(mark.start..mark.end).is_some());
        Self::of(text, checked, marks)
    }

    fn of(text: String, checked: Checked, marks: Vec<Mark>) -> Self {
        let words = marks.iter().map(|mark| {
            let in_it = |at: &usize| {
                let word = &checked.words[*at];
                word.start < mark.end && mark.start < word.end
            };
            (0..checked.words.len()).filter(in_it).collect()
        });
        Self {
            words: words.collect(),
            text,
            checked,
            marks,
        }
    }

    /// Where a mark's words were looked for: the share of each cell of [`Checked::looked`], the mean over the words; nothing where the
    /// model cannot tell.
    pub fn looked(&self, at: usize) -> Option<Vec<f32>> {
        self.checked.looked.as_ref()?.mean(self.words.get(at)?)
    }

    fn take(&mut self, at: usize) {
        self.marks.remove(at);
        self.words.remove(at);
    }

    /// What is written where a mark is.
    pub fn written(&self, mark: &Mark) -> &str {
        self.text.get(mark.start..mark.end).unwrap_or_default()
    }

    /// Leaves the text as it is and takes a mark away.
    pub fn keep(&mut self, at: usize) {
        if at < self.marks.len() {
            self.take(at);
        }
    }

    /// Takes what a mark proposes. Without a proposal nothing changes.
    pub fn accept(&mut self, at: usize) {
        let Some(mark) = self.marks.get(at).cloned() else {
            return;
        };
        let (Some(proposal), Some(_)) = (mark.proposal, self.text.get(mark.start..mark.end)) else {
            return;
        };
        self.take(at);
        let span = match proposal.as_str() {
            "" => whole(&self.text, mark.start..mark.end),
            _ => mark.start..mark.end,
        };
        self.text.replace_range(span.clone(), &proposal);
        for mark in &mut self.marks {
            for place in [&mut mark.start, &mut mark.end] {
                if *place >= span.end {
                    *place = *place - span.len() + proposal.len();
                }
            }
        }
    }

    /// How many marks are of sides.
    pub fn sides(&self) -> usize {
        let sides = self.marks.iter().filter(|mark| mark.doubt == Doubt::Side);
        sides.count()
    }

    /// Accepts all marks of sides.
    pub fn exchange(&mut self) {
        while let Some(at) = self.marks.iter().position(|mark| mark.doubt == Doubt::Side) {
            let left = self.marks.len();
            self.accept(at);
            if self.marks.len() == left {
                self.keep(at);
            }
        }
    }

    /// The text in pieces, each with the place of its mark among `marks` where it has one.
    pub fn pieces(&self) -> Vec<(&str, Option<usize>)> {
        let mut order: Vec<usize> = (0..self.marks.len()).collect();
        order.sort_by_key(|at| self.marks[*at].start);
        let (mut pieces, mut end) = (Vec::new(), 0);
        for at in order {
            let mark = &self.marks[at];
            let between = self.text.get(end..mark.start);
            let (Some(before), Some(written)) = (between, self.text.get(mark.start..mark.end)) else {
                continue;
            };
            pieces.push((before, None));
            pieces.push((written, Some(at)));
            end = mark.end;
        }
        pieces.push((self.text.get(end..).unwrap_or_default(), None));
        pieces.retain(|(piece, _)| !piece.is_empty());
        pieces
    }
}

/// A sentence with the blanks that are one too many without it, and with its line where that would be empty.
fn whole(text: &str, mut span: Range<usize>) -> Range<usize> {
    let blanks = [' ', '\t'];
    let (before, after) = (&text[..span.start], &text[span.end..]);
    let own = |text: &str| text.is_empty() || text.ends_with('\n');
    let left = before.trim_end_matches(blanks);
    let right = after.trim_start_matches(blanks);
    if own(left) || left.len() < before.len() {
        span.end = text.len() - right.len();
    }
    if right.is_empty() || right.starts_with('\n') {
        span.start = left.len();
        span.end = text.len() - right.len();
        // A line of its own goes with its end.
        if own(left) && right.starts_with('\n') {
            span.end += 1;
        }
    }
    span
}

#[cfg(test)]
mod tests {
    use hilum_task::{CheckedWord, Looked};

    use super::*;

    fn review(text: &str, marks: &[(&str, Doubt, Option<&str>)]) -> Review {
        let mark = |(written, doubt, proposal): &(&str, Doubt, Option<&str>)| {
            let start = text.find(written).unwrap_or_default();
            Mark {
                start,
                end: start + written.len(),
                doubt: *doubt,
                strength: 3.0,
                proposal: proposal.map(str::to_owned),
                finding: None,
            }
        };
        // What is found of it is what is to be marked: a doubt of that kind where each stands.
        let marks: Vec<Mark> = marks.iter().map(mark).collect();
        let word = |mark: &Mark| CheckedWord {
            start: mark.start,
            end: mark.end,
            written: text[mark.start..mark.end].to_owned(),
            probability: 0.5,
            likeliest: String::new(),
            likeliest_probability: 0.5,
            unseen: 0.0,
            side: false,
            other: None,
        };
        let cells = (0..marks.len()).flat_map(|at| [at as f32, 0.0]);
        let checked = Checked {
            matching: 0.5,
            exchanged: None,
            words: marks.iter().map(word).collect(),
            sentences: Vec::new(),
            contradictions: Vec::new(),
            looked: Some(Looked {
                grid: (1, 2),
                across: (0.0, 1.0),
                down: (0.0, 1.0),
                cells: cells.flat_map(f32::to_le_bytes).collect(),
            }),
            suggestion: None,
            left_out: Vec::new(),
            unread: 0,
            limits: None,
        };
        Review::of(text.to_owned(), checked, marks)
    }

    fn written(review: &Review) -> Vec<&str> {
        review.marks.iter().map(|mark| review.written(mark)).collect()
    }

    const SIDES: [(&str, Doubt, Option<&str>); 4] = [
        ("right", Doubt::Side, Some("left")),
        ("Left", Doubt::Side, Some("Right")),
        ("Größe", Doubt::Finding, None),
        ("klein", Doubt::Word, Some("groß")),
    ];

    #[test]
    fn what_is_accepted_moves_what_comes_after_it_in_bytes() {
        let mut review = review("ü Left — right Größe “klein”.", &SIDES);
        assert_eq!(
            review.pieces(),
            [
                ("ü ", None),
                ("Left", Some(1)),
                (" — ", None),
                ("right", Some(0)),
                (" ", None),
                ("Größe", Some(2)),
                (" “", None),
                ("klein", Some(3)),
                ("”.", None),
            ]
        );
        review.accept(0);
        assert_eq!(written(&review), ["Left", "Größe", "klein"]);
        review.accept(0);
        assert_eq!(written(&review), ["Größe", "klein"]);
        // There is nothing to accept of it.
        review.accept(0);
        review.keep(0);
        review.accept(0);
        review.keep(7);
        assert_eq!(review.text, "ü Right — left Größe “groß”.");
        assert_eq!(review.pieces(), [(review.text.as_str(), None)]);
    }

    #[test]
    fn a_mark_keeps_its_map_whatever_is_answered_before_it() {
        let mut review = review("ü Left — right Größe “klein”.", &SIDES);
        let maps = |review: &Review| -> Vec<f32> {
            let map = |at| review.looked(at).unwrap_or_default()[0];
            (0..review.marks.len()).map(map).collect()
        };
        assert_eq!(maps(&review), [0.0, 1.0, 2.0, 3.0]);
        review.accept(1);
        review.keep(0);
        assert_eq!(maps(&review), [2.0, 3.0]);
        assert_eq!(review.looked(2), None);
        // Of a longer mark it is the mean.
        let sentences = [
            ("ü Left — right", Doubt::Sentence, Some("")),
            ("right", Doubt::Side, None),
        ];
        let review = super::tests::review("ü Left — right", &sentences);
        assert_eq!(maps(&review), [0.5, 0.5]);
    }

    #[test]
    fn all_sides_are_exchanged_at_once() {
        let mut review = review("ü Left — right Größe “klein”.", &SIDES);
        assert_eq!(review.sides(), 2);
        review.exchange();
        assert_eq!(review.text, "ü Right — left Größe “klein”.");
        assert_eq!(written(&review), ["Größe", "klein"]);
        assert_eq!(review.sides(), 0);
    }

    #[test]
    fn a_sentence_goes_with_the_blanks_that_it_leaves() {
        let without = |text: &str| {
            let mut review = review(
                text,
                &[
                    ("Gone.", Doubt::Sentence, Some("")),
                    ("x", Doubt::Word, Some("y")),
                ],
            );
            review.accept(0);
            assert_eq!(written(&review), ["x"], "{text:?}");
            review.text
        };
        assert_eq!(without("One. Gone. x"), "One. x");
        assert_eq!(without("Gone. x"), "x");
        assert_eq!(without("x One. Gone."), "x One.");
        assert_eq!(without("x One. Gone.\nTwo."), "x One.\nTwo.");
        assert_eq!(without("x One.\n Gone. \nTwo."), "x One.\nTwo.");
        assert_eq!(without("One.\nGone. x"), "One.\nx");
        assert_eq!(without("x(Gone.)"), "x()");
    }

    #[test]
    fn marks_of_another_text_are_none() {
        let mut first = review("ü Left — right Größe “klein”.", &SIDES);
        first.text = "ü".to_owned();
        assert_eq!(first.pieces(), [("ü", None)]);
        assert_eq!(first.written(&first.marks[0].clone()), "");
    }
}

//! A report from findings: a form of lines by region, prefilled from what a model read, and its sentences.
//!
//! Free text took readers of bedside chest radiographs 88 s each, structured text 37 s, structured text prefilled by findings 25 s,
//! with a kappa of 0.58, 0.60 and 0.71 against experts (Khoobi et al. 2025, arXiv 2510.16070). Here no line is guessed: what is not
//! said clearly is left open, what the reader touched stays. Regions, lines and sentences are data, in `structured.tsv`.

use crate::{Area, Reading};

/// The table, a line each after its head.
const TABLE: &str = include_str!("structured.tsv");
/// The region of what the table does not know.
const OTHER: &str = "Other";
/// The region of labels that are no lines: they speak of the whole.
const NONE: &str = "-";

/// The sides that a line may tell, as [`Reading::side`] has them.
pub const SIDES: [&str; 3] = ["left", "right", "bilateral"];

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The finding is there.
    Present,
    /// It is not.
    Absent,
    /// Nothing: the reader has yet to say.
    Open,
}

impl State {
    /// All, in the order in which a form offers them.
    pub const ALL: [Self; 3] = [Self::Present, Self::Absent, Self::Open];

    /// In one word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Absent => "absent",
            Self::Open => "open",
        }
    }

    /// What a reading says of its line. It is absent only where its probability is at most half of the threshold and at most one in
    /// ten. Half, because a threshold is where a finding begins to count, and what lies just below it is as good as on it. One in ten,
    /// because a threshold may be high: "no pneumothorax" at a probability of 0.4 would be wrong in four of ten reports. A finding
    /// that the model told no better than chance on test data says nothing.
    pub fn of(reading: &Reading) -> Self {
        const SHARE: f64 = 0.5;
        const MOST: f64 = 0.1;
        if reading.area.is_some_and(Area::is_chance) {
            Self::Open
        } else if reading.present {
            Self::Present
        } else if reading.probability <= (SHARE * reading.operating_point).min(MOST) {
            Self::Absent
        } else {
            // What is no number is here, too.
            Self::Open
        }
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Row {
    region: &'static str,
    /// The line's name, which other rows call it by.
    line: &'static str,
    /// The labels that it serves, `*` for any.
    labels: &'static str,
    /// The line of which it is a kind; empty for none.
    kind_of: &'static str,
    present: &'static str,
    on_a_side: &'static str,
    on_both_sides: &'static str,
    /// A sentence of its own, or words that begin with "no", which are joined to those of other lines.
    absent: &'static str,
}

fn rows() -> impl Iterator<Item = Row> {
    TABLE.lines().skip(1).filter_map(|line| {
        let mut cells = line.split('\t');
        Some(Row {
            region: cells.next()?,
            line: cells.next()?,
            labels: cells.next()?,
            kind_of: cells.next()?,
            present: cells.next()?,
            on_a_side: cells.next()?,
            on_both_sides: cells.next()?,
            absent: cells.next()?,
        })
    })
}

/// A name without case, spaces and signs: data sets differ in those.
fn plain(name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|c| c.to_ascii_lowercase()).collect()
}

impl Row {
    fn serves(&self, label: &str) -> bool {
        let mut labels = self.labels.split('|');
        labels.any(|own| own == "*" || plain(own) == plain(label))
    }

    /// Whether its line is a kind of another, or a kind of a kind.
    fn is_kind_of(&self, line: &str) -> bool {
        let mut general = self.kind_of;
        while !general.is_empty() && general != line {
            general = rows()
                .find(|row| row.line == general)
                .map_or("", |row| row.kind_of);
        }
        !general.is_empty()
    }
}

/// A line of the form.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    row: Row,
    /// Where the table has it.
    order: usize,
    /// Its name, as a reader would call it.
    pub name: String,
    /// What it says.
    pub state: State,
    /// On which side, of [`SIDES`]; said only of what is present.
    pub side: Option<&'static str>,
    /// Whether the reader set it.
    pub touched: bool,
    /// What the model says; nothing of a region that it was not trained on.
    pub reading: Option<Reading>,
}

impl Line {
    fn new(row: Row, order: usize, reading: Option<&Reading>, all_open: bool) -> Self {
        let name = match reading {
            Some(reading) if row.region == OTHER => reading.name.replace('_', " "),
            _ => row.line.to_owned(),
        };
        let told = reading.and_then(|reading| reading.side.as_deref());
        Self {
            row,
            order,
            name,
            state: reading.filter(|_| !all_open).map_or(State::Open, State::of),
            side: SIDES
                .into_iter()
                .find(|side| Some(*side) == told && !row.on_a_side.is_empty()),
            touched: false,
            reading: reading.cloned(),
        }
    }

    /// Its region.
    pub fn region(&self) -> &'static str {
        self.row.region
    }

    /// Whether it lies on a side.
    pub fn has_side(&self) -> bool {
        !self.row.on_a_side.is_empty()
    }

    /// Its sentence, or words that begin with "no"; empty where it is open.
    fn words(&self) -> String {
        let words = match (self.state, self.side) {
            (State::Open, _) => "",
            (State::Absent, _) => self.row.absent,
            (State::Present, None) => self.row.present,
            (State::Present, Some("bilateral")) => self.row.on_both_sides,
            (State::Present, Some(_)) => self.row.on_a_side,
        };
        let name = match words.strip_prefix("{name}") {
            Some(_) => upper(&self.name),
            None => lower(&self.name),
        };
        words
            .replace("{side}", self.side.unwrap_or_default())
            .replace("{name}", &name)
    }
}

/// With a capital.
fn upper(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// A name in mid sentence; an abbreviation keeps its capitals.
fn lower(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next();
    if letters.next().is_some_and(|second| !second.is_ascii_lowercase()) {
        return name.to_owned();
    }
    let rest = name.chars().skip(1);
    let first = first.map(|c| c.to_ascii_lowercase());
    first.into_iter().chain(rest).collect()
}

/// "no a", "no b", "no c" as "No a, b, or c."
fn joined(absences: &[String]) -> Option<String> {
    let bare: Vec<&str> = absences
        .iter()
        .map(|words| words.trim_start_matches("no "))
        .collect();
    let (last, rest) = bare.split_last()?;
    Some(match rest {
        [] => ["No ", last, "."].concat(),
        [first] => ["No ", first, " or ", last, "."].concat(),
        _ => ["No ", &rest.join(", "), ", or ", last, "."].concat(),
    })
}

/// The form.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Form {
    /// Its lines, by region.
    pub lines: Vec<Line>,
}

impl Form {
    /// The form of some readings: a line for each finding, and open ones for a region that none of them speaks of. Of two labels
    /// of one line the more probable counts. With `all_open` no line says anything: for a picture unlike those that the model
    /// learned from.
    pub fn filled(readings: &[Reading], all_open: bool) -> Self {
        let table: Vec<Row> = rows().collect();
        let place = |reading: &Reading| table.iter().position(|row| row.serves(&reading.name));
        let places: Vec<_> = readings.iter().map(place).collect();
        let read = |region: &str| places.iter().flatten().any(|at| table[*at].region == region);
        let mut lines = Vec::new();
        for (order, row) in table.iter().enumerate() {
            let own = readings.iter().zip(&places);
            let mut own = own
                .filter(|(_, at)| **at == Some(order))
                .map(|(reading, _)| reading);
            let line = |reading| Line::new(*row, order, reading, all_open);
            match row.region {
                NONE => {}
                OTHER => lines.extend(own.map(|reading| line(Some(reading)))),
                region => {
                    let first = own.next();
                    let most = first.map(|first| {
                        own.fold(first, |most, next| {
                            if next.probability > most.probability {
                                next
                            } else {
                                most
                            }
                        })
                    });
                    if most.is_some() || !read(region) {
                        lines.push(line(most));
                    }
                }
            }
        }
        Self { lines }
    }

    /// The form of newer readings; what the reader touched stays as it is.
    pub fn refill(&mut self, readings: &[Reading], all_open: bool) {
        let before = std::mem::replace(self, Self::filled(readings, all_open));
        for line in before.lines.into_iter().filter(|line| line.touched) {
            match self.lines.iter_mut().find(|new| new.name == line.name) {
                Some(new) => {
                    *new = Line {
                        reading: new.reading.take(),
                        ..line
                    }
                }
                None => {
                    let after = self.lines.iter().position(|new| new.order > line.order);
                    self.lines.insert(after.unwrap_or(self.lines.len()), line);
                }
            }
        }
    }

    /// The reader's own word on a line.
    pub fn set(&mut self, at: usize, state: State) {
        if let Some(line) = self.lines.get_mut(at) {
            line.state = state;
            line.touched = true;
        }
    }

    /// The reader's own word on a side; what has one is present.
    pub fn set_side(&mut self, at: usize, side: Option<&'static str>) {
        if let Some(line) = self.lines.get_mut(at).filter(|line| line.has_side()) {
            line.side = side;
            line.state = State::Present;
            line.touched = true;
        }
    }

    /// How many lines are in a state.
    pub fn count(&self, state: State) -> usize {
        self.lines.iter().filter(|line| line.state == state).count()
    }

    /// Whether a line is spoken for: a kind of it is present, which says more, and against which its absence would speak. A presence
    /// that the reader set is said all the same.
    fn spoken_for(&self, line: &Line) -> bool {
        let by = |kind: &Line| kind.state == State::Present && kind.row.is_kind_of(line.row.line);
        !(line.touched && line.state == State::Present) && self.lines.iter().any(by)
    }

    /// The report: a paragraph a region, first what is present, then what is not. Open lines are left out.
    pub fn text(&self) -> String {
        let regions = self.lines.chunk_by(|a, b| a.region() == b.region());
        let paragraph = |lines: &[Line]| {
            let said = lines.iter().filter(|line| !self.spoken_for(line));
            let (mut sentences, mut normal, mut absences) = (Vec::new(), Vec::new(), Vec::new());
            for line in said {
                let words = line.words();
                match line.state {
                    State::Open => {}
                    State::Present => sentences.push(words),
                    State::Absent if words.starts_with("no ") => absences.push(words),
                    State::Absent => normal.push(words),
                }
            }
            sentences.append(&mut normal);
            sentences.extend(joined(&absences));
            (!sentences.is_empty()).then(|| [lines[0].region(), ": ", &sentences.join(" ")].concat())
        };
        regions.filter_map(paragraph).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests;

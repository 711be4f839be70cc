//! What was measured, as Markdown line by line or as JSON at the end.

use std::fmt::Write;
use std::time::Duration;

/// A line of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    row: String,
    name: String,
    title: String,
    peer: String,
    gap: String,
    ours_ms: f64,
    peer_ms: f64,
    ratio: f64,
    spread: f64,
}

impl Row {
    /// From the times of each turn, ours and the peer's: medians, and median and spread of the turns' ratios.
    pub fn new(
        row: String,
        name: String,
        title: String,
        peer: String,
        gap: String,
        turns: &[(f64, f64)],
    ) -> Self {
        let middle = |of: fn(&(f64, f64)) -> f64| quartiles(turns.iter().map(of).collect());
        let [low, ratio, high] = middle(|(ours, peer)| ours / peer);
        Self {
            row,
            name,
            title,
            peer,
            gap,
            ours_ms: middle(|turn| turn.0)[1],
            peer_ms: middle(|turn| turn.1)[1],
            ratio,
            spread: (high - low) / ratio,
        }
    }

    fn markdown(&self) -> String {
        format!(
            "| {} `{}` | {} | {} | {} | {} | **{:.2}** | {:.0}% | {} |",
            self.row,
            self.name,
            self.title,
            ms(self.ours_ms),
            self.peer,
            ms(self.peer_ms),
            self.ratio,
            self.spread * 100.0,
            self.gap
        )
    }

    fn json(&self) -> String {
        format!(
            "{{\"row\":{},\"ours_ms\":{:.4},\"peer\":{},\"peer_ms\":{:.4},\"ratio\":{:.4},\"spread\":{:.4}}}",
            quoted(&self.name),
            self.ours_ms,
            quoted(&self.peer),
            self.peer_ms,
            self.ratio,
            self.spread
        )
    }
}

/// Three digits that count.
fn ms(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            // Writing to a string cannot fail.
            control if control < ' ' => _ = write!(out, "\\u{:04x}", u32::from(control)),
            letter => out.push(letter),
        }
    }
    out + "\""
}

/// The quartiles, between neighbours where none stands there.
fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [0.25, 0.5, 0.75].map(|part| {
        let place = part * values.len().saturating_sub(1) as f64;
        let value = |place: f64| values.get(place as usize).copied().unwrap_or(f64::NAN);
        let (low, high) = (value(place.floor()), value(place.ceil()));
        low + (high - low) * place.fract()
    })
}

/// The table: each line as soon as it is measured, or all as JSON at the end.
pub struct Table {
    rows: Vec<Row>,
    json: bool,
}

impl Table {
    /// With its headline, unless it will be JSON.
    pub fn new(json: bool, threads: usize) -> Self {
        if !json {
            println!(
                "Medians, {threads} threads on both sides, which took turns; in Chromium ours has one. Ratio: ours by the \
                 peer's, median over the turns; below 1 ours is faster. Spread: the interquartile range of these ratios by their median. Gap: the \
                 largest relative difference of the outputs.\n"
            );
            println!("| Row | What | Ours, ms | Peer | Peer, ms | Ratio | Spread | Gap |");
            println!("|---|---|---|---|---|---|---|---|");
        }
        Self {
            rows: Vec::new(),
            json,
        }
    }

    /// Adds a line.
    pub fn add(&mut self, row: Row) {
        let mut markdown = row.markdown();
        if self.json {
            markdown.push('\n');
            eprint!("{markdown}");
        } else {
            println!("{markdown}");
        }
        self.rows.push(row);
    }

    /// Prints what comes last.
    pub fn close(&self, took: Duration) {
        if self.json {
            println!("{}", self.to_json());
        } else {
            let seconds = took.as_secs();
            println!(
                "\n{} rows in {} min {} s",
                self.rows.len(),
                seconds / 60,
                seconds % 60
            );
        }
    }

    fn to_json(&self) -> String {
        let rows: Vec<String> = self.rows.iter().map(Row::json).collect();
        format!("{{\"rows\":[{}]}}", rows.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(turns: &[(f64, f64)]) -> Row {
        let text = String::from;
        Row::new(
            text("4"),
            text("draft"),
            text("Demo"),
            text("a \"peer\""),
            text("1e-06"),
            turns,
        )
    }

    #[test]
    fn the_ratio_is_that_of_neighbours() {
        // The machine slows down for both; one turn is disturbed.
        let row = row(&[(10.0, 5.0), (20.0, 10.0), (40.0, 20.0), (80.0, 4.0), (44.0, 20.0)]);
        assert_eq!((row.ours_ms, row.peer_ms, row.ratio), (40.0, 10.0, 2.0));
        assert!((row.spread - 0.1).abs() < 1e-9);
    }

    #[test]
    fn lines_are_markdown_and_json() {
        let row = row(&[(3.0, 1.5)]);
        assert_eq!(
            row.markdown(),
            "| 4 `draft` | Demo | 3.00 | a \"peer\" | 1.50 | **2.00** | 0% | 1e-06 |"
        );
        let mut table = Table {
            rows: Vec::new(),
            json: true,
        };
        assert_eq!(table.to_json(), "{\"rows\":[]}");
        table.rows.push(row);
        assert_eq!(
            table.to_json(),
            "{\"rows\":[{\"row\":\"draft\",\"ours_ms\":3.0000,\"peer\":\"a \\\"peer\\\"\",\"peer_ms\":1.5000,\
             \"ratio\":2.0000,\"spread\":0.0000}]}"
        );
    }

    #[test]
    fn quartiles_lie_between_neighbours() {
        assert_eq!(quartiles(vec![4.0, 1.0, 3.0, 2.0]), [1.75, 2.5, 3.25]);
        assert_eq!(quartiles(vec![7.0]), [7.0; 3]);
    }
}

//! Tables as Markdown, and as bars in SVG.

use std::fmt::Write;

use super::{Cell, PaperTables, Row, TableTask, Tables};

/// Significance (MedViLL, section 4.2).
const SIGNIFICANT: f64 = 0.05;

fn cell<'a>(
    tables: &'a Tables,
    institution: &str,
    task: &TableTask,
    variant: &str,
    column: &str,
) -> Option<&'a Cell> {
    tables
        .cells
        .get(institution)?
        .get(task.name)?
        .get(variant)?
        .get(column)
}

/// Whose phantoms, as a table is headed.
fn place(domain: &str) -> String {
    match domain {
        "first" | "second" => format!("institution {domain}"),
        other => other.to_owned(),
    }
}

/// All tables; the best of a column is bold, and a star marks what differs from the first row's with p below 0.05.
pub fn markdown(paper: &PaperTables, tables: &Tables) -> String {
    let mut out = format!(
        "Seeds: {}. Scale: {}. Mean (standard deviation) over resamples.\n",
        tables.seeds, tables.scale
    );
    for task in paper.tasks {
        for institution in tables
            .cells
            .keys()
            .filter(|i| tables.cells[*i].contains_key(task.name))
        {
            let _ = write!(
                out,
                "\n### {} (the paper's Table {}), {}\n\n| |",
                task.name,
                task.table,
                place(institution)
            );
            for (column, less) in task.columns {
                let _ = write!(
                    out,
                    " {}{} |",
                    column.replace('_', " "),
                    if *less { " (less is better)" } else { "" }
                );
            }
            out += "\n|---|";
            out += &"---|".repeat(task.columns.len());
            for variant in paper
                .variants
                .iter()
                .filter(|v| tables.cells[institution][task.name].contains_key(v.name))
            {
                let _ = write!(out, "\n| {} |", variant.name);
                for (column, less) in task.columns {
                    let Some(own) = cell(tables, institution, task, variant.name, column) else {
                        out += " - |";
                        continue;
                    };
                    let others = paper
                        .variants
                        .iter()
                        .filter_map(|v| cell(tables, institution, task, v.name, column));
                    let best = others
                        .map(|c| c.mean)
                        .fold(own.mean, |a, b| if *less { a.min(b) } else { a.max(b) });
                    let digits = if own.mean >= 10.0 { 1 } else { 3 };
                    let mut text = format!("{:.digits$} ({:.digits$})", own.mean, own.sd);
                    if own.mean == best {
                        text = format!("**{text}**");
                    }
                    if own.against.is_some_and(|t| t.p < SIGNIFICANT) {
                        text += " *";
                    }
                    let _ = write!(out, " {text} |");
                }
            }
            let known = task
                .columns
                .iter()
                .map(|(column, _)| chance(tables, institution, task, column));
            let known: Vec<Option<f64>> = known.collect();
            if known.iter().any(Option::is_some) {
                out += "\n| Chance, or drafts of other images |";
                for value in known {
                    let _ = match value {
                        Some(value) => write!(out, " {value:.3} |"),
                        None => write!(out, " - |"),
                    };
                }
            }
            out += "\n";
        }
    }
    out + &claims(paper, tables)
}

/// What a row that knows nothing of the image has, by column: a ranking by chance, and drafts of other images.
fn chance(tables: &Tables, institution: &str, task: &TableTask, column: &str) -> Option<f64> {
    if column.split('_').any(|word| word == "auroc") {
        return Some(0.5);
    }
    let rows = tables.cells.get(institution)?.get(task.name)?;
    let blind = [format!("swapped_{column}"), format!("{column}_by_chance")];
    let of = |row: &Row| blind.iter().find_map(|name| Some(row.get(name)?.mean));
    let values: Vec<f64> = rows.values().filter_map(of).collect();
    values.into_iter().reduce(f64::max)
}

/// Whether the paper's orderings show, seed by seed.
fn claims(paper: &PaperTables, tables: &Tables) -> String {
    let mut out = String::new();
    let named = |key: &str| paper.variant(key).map(|variant| variant.name);
    for claim in paper.claims {
        let task = paper.tasks.iter().find(|task| task.name == claim.task);
        let (Some(task), Some(above), Some(below)) = (task, named(claim.above), named(claim.below)) else {
            continue;
        };
        for institution in tables.cells.keys() {
            let of = |name: &str| cell(tables, institution, task, name, claim.column);
            let (Some(more), Some(less)) = (of(above), of(below)) else {
                continue;
            };
            let pairs = more.seeds.iter().zip(&less.seeds);
            let (shown, all) = (pairs.clone().filter(|(m, l)| m > l).count(), pairs.len());
            let verdict = match shown {
                n if n == all => "shows",
                0 => "is the other way round",
                _ => "does not show in each seed",
            };
            let _ = write!(
                out,
                "\n| {} | {institution} | {above} over {below} | {:+.3} | {shown} of {all} | {verdict} |",
                claim.column.replace('_', " "),
                more.mean - less.mean
            );
        }
    }
    if out.is_empty() {
        return out;
    }
    format!(
        "\n### Do the paper's orderings show?\n\n| column | institution | the paper has | mean difference | seeds | |\n|---|---|---|---|---|---|{out}\n"
    )
}

/// The first column of each task as bars, one picture for all, variants from top to bottom.
pub fn svg(paper: &PaperTables, tables: &Tables) -> String {
    let (width, row, gap) = (760.0, 18.0, 46.0);
    let panels: Vec<(&TableTask, &String)> = paper
        .tasks
        .iter()
        .flat_map(|task| tables.cells.keys().map(move |institution| (task, institution)))
        .filter(|(task, institution)| tables.cells[*institution].contains_key(task.name))
        .collect();
    let rows =
        |(task, institution): &(&TableTask, &String)| tables.cells[*institution][task.name].len() as f64;
    let height = panels.iter().map(|panel| row * rows(panel) + gap).sum::<f64>() + 10.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    let mut y = 10.0;
    for (task, institution) in panels {
        let (column, less) = task.columns[0];
        let cells: Vec<(&str, &Cell)> = paper
            .variants
            .iter()
            .filter_map(|v| Some((v.name, cell(tables, institution, task, v.name, column)?)))
            .collect();
        let most = cells.iter().map(|c| c.1.mean + c.1.sd).fold(1e-9, f64::max);
        let note = if less { ", less is better" } else { "" };
        let _ = writeln!(
            out,
            "<text x=\"10\" y=\"{}\" font-weight=\"bold\">{}, {}: {}{note}</text>",
            y + 14.0,
            task.name,
            place(institution),
            column.replace('_', " ")
        );
        y += 24.0;
        for (name, cell) in cells {
            let long = |value: f64| 440.0 * (value / most).clamp(0.0, 1.0);
            let middle = y + row / 2.0;
            let _ = writeln!(
                out,
                "<text x=\"150\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
                 <rect x=\"160\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"#1b7f8c\"/>\
                 <line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{middle:.1}\" y2=\"{middle:.1}\" stroke=\"#222\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\">{:.3}</text>",
                middle + 4.0,
                name.replace('&', "&amp;"),
                y + 2.0,
                long(cell.mean),
                row - 4.0,
                160.0 + long(cell.mean - cell.sd),
                160.0 + long(cell.mean + cell.sd),
                170.0 + long(cell.mean + cell.sd),
                middle + 4.0,
                cell.mean
            );
            y += row;
        }
        y += gap - 24.0;
    }
    out + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_bold_and_what_differs_has_a_star() {
        let mut tables = Tables {
            seeds: 1,
            scale: 1.0,
            ..Tables::default()
        };
        let variants = tables
            .cells
            .entry("first".to_owned())
            .or_default()
            .entry("vqa".to_owned())
            .or_default();
        for (name, mean, p) in [
            ("MedViLL (BAR)", 0.8, None),
            ("Bi", 0.6, Some(0.01)),
            ("S2S", 0.79, Some(0.4)),
        ] {
            let against = p.map(|p| crate::metrics::TTest { t: 1.0, df: 58.0, p });
            let cell = Cell {
                mean,
                sd: 0.1,
                against,
                ..Cell::default()
            };
            variants
                .entry(name.to_owned())
                .or_default()
                .insert("accuracy_open".to_owned(), cell);
        }
        let paper = &super::super::PAPERS[0];
        let text = markdown(paper, &tables);
        assert!(text.contains("| MedViLL (BAR) | **0.800 (0.100)** |"), "{text}");
        assert!(
            text.contains("| Bi | 0.600 (0.100) * |") && text.contains("| S2S | 0.790 (0.100) |"),
            "{text}"
        );
        let drawn = svg(paper, &tables);
        assert!(
            ["MedViLL (BAR)", "Bi", "S2S"]
                .iter()
                .all(|name| drawn.contains(&format!(">{name}<"))),
            "{drawn}"
        );
    }
}

//! Where a draft's words looked, as one SVG: the picture once a word, its attention over it.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hilum::image::{Prepared, encode::png_bytes};
use hilum::tasks::Look;

/// Side of a panel, room between panels, room for a caption, and panels in a row.
const PANEL: f64 = 132.0;
const GAP: f64 = 8.0;
const CAPTION: f64 = 18.0;
const COLUMNS: usize = 8;
/// Cells below this share of a word's brightest are not drawn.
const FAINT: f32 = 0.04;
/// What must be known of the picture.
const CAVEAT: [&str; 2] = [
    "Attention of each word as it was written, mean of heads and layers; each word's brightest cell is drawn alike. %: what of it \
     went to the picture.",
    "It shows where numbers came from, not why a word was chosen. Research software, not for clinical use.",
];

/// The picture as the model saw it and, over it, the map of each word; a word of several pieces has their
/// mean.
///
/// # Errors
/// When the picture cannot be encoded.
pub fn svg(picture: &Prepared, pieces: &[String], looks: &[Look]) -> anyhow::Result<String> {
    let gray: Vec<u8> = picture.pixels.iter().map(|p| (p * 255.0).round() as u8).collect();
    let png = STANDARD.encode(png_bytes(&gray, picture.size, picture.size)?);
    let words = whole_words(pieces, looks);
    let rows = words.len().div_ceil(COLUMNS).max(1);
    let (width, height) = (
        COLUMNS as f64 * (PANEL + GAP) + GAP,
        rows as f64 * (PANEL + CAPTION + GAP) + GAP + CAVEAT.len() as f64 * CAPTION,
    );
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <defs><image id=\"picture\" width=\"{PANEL}\" height=\"{PANEL}\" href=\"data:image/png;base64,{png}\"/>\n\
         <clipPath id=\"panel\"><rect width=\"{PANEL}\" height=\"{PANEL}\"/></clipPath></defs>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    for (number, (word, look)) in words.iter().enumerate() {
        let x = GAP + (number % COLUMNS) as f64 * (PANEL + GAP);
        let y = GAP + (number / COLUMNS) as f64 * (PANEL + CAPTION + GAP);
        panel(&mut out, (x, y), word, look);
    }
    for (line, text) in CAVEAT.iter().enumerate() {
        let y = height - GAP - (CAVEAT.len() - 1 - line) as f64 * CAPTION;
        let _ = writeln!(out, "<text x=\"{GAP}\" y=\"{y:.1}\" fill=\"#555\">{text}</text>");
    }
    out += "</svg>\n";
    Ok(out)
}

fn panel(out: &mut String, (x, y): (f64, f64), word: &str, look: &Look) {
    let side = (look.cells.len() as f64).sqrt().round().max(1.0) as usize;
    let cell = PANEL / side as f64;
    let peak = look.cells.iter().fold(f32::MIN_POSITIVE, |m, c| m.max(*c));
    let _ = writeln!(
        out,
        "<g transform=\"translate({x:.1} {y:.1})\"><use href=\"#picture\"/><g clip-path=\"url(#panel)\"><g fill=\"#ff7a00\" \
         style=\"filter:blur({:.1}px)\">",
        cell / 3.0
    );
    for (at, value) in look
        .cells
        .iter()
        .enumerate()
        .filter(|(_, value)| **value >= FAINT * peak)
    {
        let _ = write!(
            out,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{cell:.1}\" height=\"{cell:.1}\" opacity=\"{:.2}\"/>",
            (at % side) as f64 * cell,
            (at / side) as f64 * cell,
            0.75 * value / peak
        );
    }
    let word = word.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        out,
        "</g></g><text x=\"2\" y=\"{:.1}\">{word} <tspan fill=\"#777\">{:.0}%</tspan></text></g>",
        PANEL + CAPTION - 4.0,
        look.share * 100.0
    );
}

/// Word pieces that continue a word (`##`) joined to it.
fn whole_words(pieces: &[String], looks: &[Look]) -> Vec<(String, Look)> {
    let mut words: Vec<(String, Vec<&Look>)> = Vec::new();
    for (piece, look) in pieces.iter().zip(looks) {
        match (piece.strip_prefix("##"), words.last_mut()) {
            (Some(rest), Some((word, looks))) => {
                word.push_str(rest);
                looks.push(look);
            }
            _ => words.push((piece.clone(), vec![look])),
        }
    }
    let mean = |looks: Vec<&Look>| {
        let count = looks.len() as f32;
        let cells = (0..looks[0].cells.len())
            .map(|i| looks.iter().map(|l| l.cells[i]).sum::<f32>() / count)
            .collect();
        Look {
            cells,
            share: looks.iter().map(|l| l.share).sum::<f32>() / count,
        }
    };
    words
        .into_iter()
        .map(|(word, looks)| (word, mean(looks)))
        .collect()
}

#[cfg(test)]
mod tests {
    use hilum::image::Rect;

    use super::*;

    #[test]
    fn pieces_of_a_word_are_one_panel_with_their_mean() {
        let look = |first: f32| Look {
            cells: vec![first, 0.0, 0.0, 0.1],
            share: first + 0.1,
        };
        let pieces = ["ate", "##lectasis", "<"].map(str::to_owned);
        let words = whole_words(&pieces, &[look(0.2), look(0.4), look(0.5)]);
        assert_eq!(
            words.iter().map(|w| w.0.as_str()).collect::<Vec<_>>(),
            ["atelectasis", "<"]
        );
        assert!((words[0].1.cells[0] - 0.3).abs() < 1e-6 && (words[0].1.share - 0.4).abs() < 1e-6);
        let rect = Rect {
            x: 0,
            y: 0,
            width: 4,
            height: 4,
        };
        let picture = Prepared {
            size: 4,
            pixels: vec![0.5; 16],
            crop: rect,
            placed: rect,
        };
        let svg = svg(&picture, &pieces, &[look(0.2), look(0.4), look(0.5)]).unwrap();
        roxmltree::Document::parse(&svg).unwrap();
        assert_eq!(svg.matches("<use ").count(), 2);
        assert!(svg.contains("atelectasis <tspan fill=\"#777\">40%"), "{svg}");
    }
}

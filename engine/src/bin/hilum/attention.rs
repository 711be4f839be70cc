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
/// From this share on attention went to the image alone.
const WHOLE: f32 = 0.999;
/// What must be known of the picture: of attention over all that a word read, of weights over the regions of the picture alone.
const OF_ATTENTION: &str = "Attention of each word as it was written, mean of heads and layers; each word's brightest cell is drawn alike. %: \
     what of it went to the picture.";
const OF_REGIONS: &str = "What each word attends to of the picture's regions; each word's brightest is drawn alike. %: how much of the \
     picture it covers; of MeSH words (bold) a: without sparsity, b: with it.";
const OF_GRAD_CAM: &str = "Grad-CAM of each word for the match of report and picture; each word's brightest cell is drawn alike. %: how \
     much of the picture it covers.";
const CAVEAT: &str =
    "It shows where numbers came from, not why a word was chosen. Research software, not for clinical use.";

/// A token of the draft.
pub struct Token {
    /// Its piece.
    pub piece: String,
    /// Where it looked.
    pub look: Look,
    /// The same without sparsity, where there are both.
    pub dense: Option<Look>,
    /// Whether it is a word of Medical Subject Headings.
    pub mesh: bool,
}

/// The picture as the model saw it and, over it, the map of each word; a word of several pieces has their
/// mean. A MeSH word has both maps of a sparse attention, without sparsity and with it (Yan and Pei 2022, Figure 6).
///
/// # Errors
/// When the picture cannot be encoded.
pub fn svg(picture: &Prepared, tokens: &[Token]) -> anyhow::Result<String> {
    let whole = tokens.iter().all(|token| token.look.share >= WHOLE);
    drawn(picture, tokens, if whole { OF_REGIONS } else { OF_ATTENTION })
}

/// The same of Grad-CAM's maps.
///
/// # Errors
/// As there.
pub fn grad_cam_svg(picture: &Prepared, tokens: &[Token]) -> anyhow::Result<String> {
    drawn(picture, tokens, OF_GRAD_CAM)
}

fn drawn(picture: &Prepared, tokens: &[Token], about: &str) -> anyhow::Result<String> {
    let gray: Vec<u8> = picture.pixels.iter().map(|p| (p * 255.0).round() as u8).collect();
    let png = STANDARD.encode(png_bytes(&gray, picture.size, picture.size)?);
    let panels: Vec<Panel> = whole_words(tokens).into_iter().flat_map(Word::panels).collect();
    let rows = panels.len().div_ceil(COLUMNS).max(1);
    let (width, height) = (
        COLUMNS as f64 * (PANEL + GAP) + GAP,
        rows as f64 * (PANEL + CAPTION + GAP) + GAP + 2.0 * CAPTION,
    );
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <defs><image id=\"picture\" width=\"{PANEL}\" height=\"{PANEL}\" href=\"data:image/png;base64,{png}\"/>\n\
         <clipPath id=\"panel\"><rect width=\"{PANEL}\" height=\"{PANEL}\"/></clipPath></defs>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    for (number, one) in panels.iter().enumerate() {
        let x = GAP + (number % COLUMNS) as f64 * (PANEL + GAP);
        let y = GAP + (number / COLUMNS) as f64 * (PANEL + CAPTION + GAP);
        panel(&mut out, (x, y), one);
    }
    for (line, text) in [about, CAVEAT].into_iter().enumerate() {
        let y = height - GAP - (1 - line) as f64 * CAPTION;
        let _ = writeln!(out, "<text x=\"{GAP}\" y=\"{y:.1}\" fill=\"#555\">{text}</text>");
    }
    out += "</svg>\n";
    Ok(out)
}

/// One map with its caption.
struct Panel {
    word: String,
    look: Look,
    mesh: bool,
    dense: bool,
    sparse: bool,
}

/// A word of a draft.
struct Word {
    text: String,
    look: Look,
    dense: Option<Look>,
    mesh: bool,
}

impl Word {
    fn panels(self) -> Vec<Panel> {
        let Self {
            text,
            look,
            dense,
            mesh,
        } = self;
        let panel = |look, dense, sparse| Panel {
            word: text.clone(),
            look,
            mesh,
            dense,
            sparse,
        };
        let own = panel(look, false, dense.is_some());
        let dense = dense.map(|look| panel(look, true, false));
        dense.into_iter().chain([own]).collect()
    }
}

fn panel(out: &mut String, (x, y): (f64, f64), panel: &Panel) {
    let Panel {
        word,
        look,
        mesh,
        dense,
        sparse,
    } = panel;
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
    // What goes to the image alone has no share to tell, but an area.
    let percent = |share: f64| format!("{:.0}%", share * 100.0);
    let told = match (dense, sparse, look.share < WHOLE) {
        (true, ..) => format!("a {}", percent(look.area())),
        (_, true, _) => format!("b {}", percent(look.area())),
        (.., false) => percent(look.area()),
        (.., true) => percent(f64::from(look.share)),
    };
    let word = match mesh {
        true => format!("<tspan font-weight=\"bold\">{word}</tspan>"),
        false => word,
    };
    let _ = writeln!(
        out,
        "</g></g><text x=\"2\" y=\"{:.1}\">{word} <tspan fill=\"#777\">{told}</tspan></text></g>",
        PANEL + CAPTION - 4.0,
    );
}

/// Word pieces that continue a word (`##`) joined to it.
fn whole_words(tokens: &[Token]) -> Vec<Word> {
    let mut words: Vec<(String, Vec<&Token>)> = Vec::new();
    for token in tokens {
        match (token.piece.strip_prefix("##"), words.last_mut()) {
            (Some(rest), Some((word, parts))) => {
                word.push_str(rest);
                parts.push(token);
            }
            _ => words.push((token.piece.clone(), vec![token])),
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
    let word = |(text, parts): (String, Vec<&Token>)| {
        let dense: Option<Vec<&Look>> = parts.iter().map(|part| part.dense.as_ref()).collect();
        Word {
            text,
            look: mean(parts.iter().map(|part| &part.look).collect()),
            dense: dense.map(mean),
            mesh: parts.iter().any(|part| part.mesh),
        }
    };
    words.into_iter().map(word).collect()
}

#[cfg(test)]
mod tests {
    use hilum::image::Rect;

    use super::*;

    fn token(piece: &str, first: f32) -> Token {
        Token {
            piece: piece.to_owned(),
            look: Look {
                cells: vec![first, 0.0, 0.0, 0.1],
                share: first + 0.1,
            },
            dense: None,
            mesh: false,
        }
    }

    #[test]
    fn pieces_of_a_word_are_one_panel_with_their_mean() {
        let mut tokens = vec![token("ate", 0.2), token("##lectasis", 0.4), token("<", 0.5)];
        let words = whole_words(&tokens);
        assert_eq!(
            words.iter().map(|w| w.text.as_str()).collect::<Vec<_>>(),
            ["atelectasis", "<"]
        );
        assert!((words[0].look.cells[0] - 0.3).abs() < 1e-6 && (words[0].look.share - 0.4).abs() < 1e-6);
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
        let text = svg(&picture, &tokens).unwrap();
        roxmltree::Document::parse(&text).unwrap();
        assert_eq!(text.matches("<use ").count(), 2);
        assert!(text.contains("atelectasis <tspan fill=\"#777\">40%"), "{text}");
        // A MeSH word of a sparse attention has both maps, and the area of each.
        let all = Look {
            cells: vec![0.25; 4],
            share: 1.0,
        };
        let half = Look {
            cells: vec![0.5, 0.5, 0.0, 0.0],
            share: 1.0,
        };
        tokens.push(Token {
            piece: "heart".to_owned(),
            look: half,
            dense: Some(all),
            mesh: true,
        });
        let text = svg(&picture, &tokens).unwrap();
        roxmltree::Document::parse(&text).unwrap();
        assert_eq!(text.matches("<use ").count(), 4);
        assert!(text.contains(">a 100%") && text.contains(">b 50%"), "{text}");
    }
}

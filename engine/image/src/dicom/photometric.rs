//! The photometric interpretation (PS3.3 C.7.6.3.1.2), also as writers misspell it.

use crate::limits::Colour;
use crate::radiograph::Polarity;

/// What samples are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Photometric {
    Grey(Polarity),
    Palette,
    Colour {
        kind: Colour,
        /// Two pixels share their colour differences (YBR_FULL_422, YBR_PARTIAL_422).
        halved: bool,
    },
}

/// The interpretation that `text` names, for `samples` samples per pixel, and what is to be said of it.
pub(super) fn read(text: &str, samples: usize) -> (Photometric, Option<String>) {
    let known: String = text
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_uppercase())
        .collect();
    let colour = |kind| Photometric::Colour {
        kind,
        halved: known.ends_with("422"),
    };
    let (found, name) = match known.as_str() {
        "MONOCHROME1" => (Photometric::Grey(Polarity::Monochrome1), "MONOCHROME1"),
        "MONOCHROME2" => (Photometric::Grey(Polarity::Monochrome2), "MONOCHROME2"),
        "PALETTECOLOR" | "PALETTECOLOUR" => (Photometric::Palette, "PALETTE COLOR"),
        "RGB" => (colour(Colour::Rgb), "RGB"),
        // The codec has undone these two.
        "YBRICT" => (colour(Colour::Rgb), "YBR_ICT"),
        "YBRRCT" => (colour(Colour::Rgb), "YBR_RCT"),
        "YBRFULL" => (colour(Colour::Ybr), "YBR_FULL"),
        "YBRFULL422" => (colour(Colour::Ybr), "YBR_FULL_422"),
        "YBRPARTIAL420" => (colour(Colour::YbrPartial), "YBR_PARTIAL_420"),
        "YBRPARTIAL422" => (colour(Colour::YbrPartial), "YBR_PARTIAL_422"),
        _ => {
            let (found, assumed) = match samples {
                1 => (Photometric::Grey(Polarity::Monochrome2), "MONOCHROME2"),
                _ => (colour(Colour::Rgb), "RGB"),
            };
            let what = match text {
                "" => "missing".to_owned(),
                text => format!("{text:?}, which is unknown"),
            };
            let note = format!("the photometric interpretation is {what}: {assumed} is assumed");
            return (found, Some(note));
        }
    };
    let note = (name != text)
        .then(|| format!("the photometric interpretation {text:?} is misspelled and is read as {name}"));
    (found, note)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelled_names_are_read_and_said() {
        let grey = |text| read(text, 1);
        assert_eq!(
            grey("MONOCHROME1"),
            (Photometric::Grey(Polarity::Monochrome1), None)
        );
        for text in ["MONOCHROME 1", "monochrome1", "MONOCHROME_1"] {
            let (found, note) = grey(text);
            assert_eq!(found, Photometric::Grey(Polarity::Monochrome1), "{text}");
            assert!(note.is_some_and(|n| n.contains(text)), "{text}");
        }
        let (found, note) = grey("GREYSCALE");
        assert_eq!(found, Photometric::Grey(Polarity::Monochrome2));
        assert!(note.is_some_and(|n| n.contains("GREYSCALE")));
        assert!(grey("").1.is_some_and(|n| n.contains("missing")));
        let halved = Photometric::Colour {
            kind: Colour::Ybr,
            halved: true,
        };
        assert_eq!(read("YBR FULL 422", 3).0, halved);
    }
}

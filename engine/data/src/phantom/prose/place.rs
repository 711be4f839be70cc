//! Where an observation lies, in words: before the noun ("left basilar") or after it ("at the left base").

use super::voice::Voice;
use hilum_text::{Side, Zone};

pub(super) const fn side_word(side: Side) -> &'static str {
    match side {
        Side::Left => "left",
        Side::Right => "right",
        Side::Bilateral => "bilateral",
    }
}

/// Stands before the noun; empty where neither side nor zone is known.
pub(super) fn before(side: Option<Side>, zone: Option<Zone>, voice: &mut Voice) -> String {
    let words: &[&str] = match (side, zone) {
        (None, None) => return String::new(),
        (Some(Side::Bilateral), Some(Zone::Lower)) => {
            &["bibasilar", "bilateral lower lobe", "bilateral basilar"]
        }
        (_, Some(Zone::Upper)) => &["{} upper lobe", "{} upper lung", "{} upper zone"],
        (_, Some(Zone::Mid)) => &["{} mid lung", "{} mid zone", "{} mid lung zone"],
        (_, Some(Zone::Lower)) => &["{} basilar", "{} lower lobe", "{} lower zone", "{} lower lung"],
        (Some(_), None) => &["{}"],
    };
    fill(voice.pick(words), side)
}

/// Stands after the noun; empty where neither side nor zone is known.
pub(super) fn after(side: Option<Side>, zone: Option<Zone>, voice: &mut Voice) -> String {
    let words: &[&str] = match (side, zone) {
        (None, None) => return String::new(),
        (None, Some(Zone::Upper)) => &["in the upper zones"],
        (None, Some(Zone::Mid)) => &["in the mid zones"],
        (None, Some(Zone::Lower)) => &["in the lower zones"],
        (Some(Side::Bilateral), Some(Zone::Upper)) => {
            &["in both upper zones", "in the upper lungs bilaterally"]
        }
        (Some(Side::Bilateral), Some(Zone::Mid)) => &["in both mid zones", "in the mid lungs bilaterally"],
        (Some(Side::Bilateral), Some(Zone::Lower)) => {
            &["at both lung bases", "in the lower zones bilaterally"]
        }
        (Some(Side::Bilateral), None) => &["in both lungs"],
        (Some(_), Some(Zone::Upper)) => &[
            "in the {} upper lobe",
            "in the {} upper zone",
            "in the {} upper lung",
        ],
        (Some(_), Some(Zone::Mid)) => &["in the {} mid lung", "in the {} mid zone"],
        (Some(_), Some(Zone::Lower)) => &[
            "at the {} lung base",
            "in the {} lower lobe",
            "in the {} lower zone",
            "at the {} base",
        ],
        (Some(_), None) => &["in the {} lung"],
    };
    fill(voice.pick(words), side)
}

fn fill(words: &str, side: Option<Side>) -> String {
    words
        .replace("{}", side.map_or("", side_word))
        .trim_start()
        .to_owned()
}

//! The report of an abdominal phantom: short and plain, as such reports are, from the same description as the picture.
//!
//! What varies is style: the order, full sentences or telegrams, what of the normal is named. What does not is fact:
//! every finding is stated with its side and amount, and nothing is stated that the description does not have. Free
//! air is denied only of who stands: of who lies it would not be seen.

mod phrases;

use super::SALT;
use super::describe::{Description, Kind, Position};
use crate::phantom::noise::Dice;
use phrases::{denial, ending, normal, positive, technique};

/// The order in which kinds are walked through, gravest first.
const WALK: [Kind; 11] = [
    Kind::FreeAir,
    Kind::SmallBowel,
    Kind::Colon,
    Kind::FaecalLoading,
    Kind::KidneyStone,
    Kind::Gallstone,
    Kind::GastricTube,
    Kind::Drain,
    Kind::Stent,
    Kind::Clips,
    Kind::Phleboliths,
];

/// Choices drawn from a description's seed.
struct Voice(Dice);

impl Voice {
    fn chance(&mut self, percent: u8) -> bool {
        self.0.chance(f32::from(percent) / 100.0)
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        // The first wordings are the commonest.
        let weights: Vec<f32> = (0..choices.len()).map(|i| 1.0 / (1.0 + 0.6 * i as f32)).collect();
        choices.get(self.0.pick(&weights)).copied().unwrap_or_default()
    }
}

/// Writes the report of a description: one to seven short sentences.
///
/// The same description gives the same words on every machine.
pub fn report(description: &Description) -> String {
    let mut voice = Voice(Dice::new(description.seed ^ SALT, 50));
    let mut sentences = Vec::new();
    if voice.chance(14) {
        sentences.push(technique(description.position, &mut voice));
    }
    let sick = !description.findings().is_empty();
    if !sick && voice.chance(38) {
        sentences.push(normal(&mut voice));
    }
    let devices_first = voice.chance(18);
    let mut walk = WALK.to_vec();
    if devices_first {
        walk.sort_by_key(|kind| !matches!(kind, Kind::GastricTube | Kind::Drain | Kind::Stent | Kind::Clips));
    }
    let own: Vec<Kind> = walk.into_iter().filter(|kind| description.has(*kind)).collect();
    for kind in &own {
        if let Some(observation) = description.get(*kind) {
            sentences.push(positive(observation, description, &mut voice));
        }
    }
    let denials = if sentences.is_empty() {
        1 + usize::from(voice.chance(75)) + usize::from(voice.chance(50))
    } else if sick {
        usize::from(voice.chance(70)) + usize::from(voice.chance(35))
    } else {
        usize::from(voice.chance(45))
    };
    denial(description, denials, &mut voice, &mut sentences);
    if sick && voice.chance(35) {
        sentences.extend(ending(description, &mut voice));
    }
    sentences.join(" ")
}

/// Whether free air can be denied.
fn stands(description: &Description) -> bool {
    description.position == Position::Upright
}

/// With a capital first letter.
fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(char::to_uppercase);
    first.map(|c| c.chain(chars).collect()).unwrap_or_default()
}

//! The one who dictates: a seeded source of choices, and the habits of one report.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::phantom::{Description, Institution};
use hilum_text::Finding;

/// Keeps the words' draws apart from the picture's, which start from the same seed.
const WORDS: u64 = 0x5052_4f53_4521_7631;

/// Choices drawn from a description's seed.
pub(super) struct Voice {
    /// Always the likeliest choice, whatever the seed.
    pub(super) plain: bool,
    rng: ChaCha8Rng,
    /// Whose habits: of the same wordings the second prefers the other end, dictates in telegrams and names
    /// each organ before it.
    pub(super) institution: Institution,
    /// Whole sentences ("There is ...") rather than telegraphic ones.
    pub(super) full: bool,
    /// Speaks of a prior radiograph.
    pub(super) compared: bool,
    /// 0 says everything, 4 only what is there.
    pub(super) brief: u8,
    /// What has been hedged already in this section, so that it is not hedged twice.
    pub(super) hedged: Vec<Finding>,
}

impl Voice {
    pub(super) fn new(description: &Description, brief: u8, institution: Institution) -> Self {
        let mut voice = Self {
            plain: false,
            institution,
            rng: ChaCha8Rng::seed_from_u64(description.seed ^ WORDS),
            full: false,
            compared: false,
            brief,
            hedged: Vec::new(),
        };
        voice.full = voice.chance(55) && brief == 0 && institution == Institution::First;
        voice.compared = voice.chance(10);
        voice
    }

    /// The first institution's, without a choice, in telegrams; but what is there begins with "There is".
    pub(super) fn plain(description: &Description, brief: u8) -> Self {
        Self {
            plain: true,
            full: false,
            compared: false,
            ..Self::new(description, brief, Institution::First)
        }
    }

    /// A number below `end`, evenly.
    pub(super) fn below(&mut self, end: u32) -> u32 {
        if self.plain {
            return end / 2;
        }
        ((u64::from(self.rng.next_u32()) * u64::from(end)) >> 32) as u32
    }

    pub(super) fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    /// One of the wordings, the earlier the likelier: of four, the first is taken every second time.
    ///
    /// A habit that prevails is what makes prose learnable; a square keeps the draw exact on every machine.
    pub(super) fn pick<'a>(&mut self, wordings: &[&'a str]) -> &'a str {
        if self.plain {
            return wordings.first().copied().unwrap_or_default();
        }
        let u = f64::from(self.rng.next_u32()) / 4_294_967_296.0;
        let index = (u * u * wordings.len() as f64) as usize;
        let index = match self.institution {
            Institution::First => index,
            Institution::Second => wordings.len().saturating_sub(1 + index),
        };
        wordings.get(index).copied().unwrap_or_default()
    }
}

//! The report of a phantom: radiologist's prose, written from the same description as the picture.
//!
//! What varies is style: the order of the organs, full sentences or telegraphic ones, synonyms, hedges, which
//! normal organs are named. What does not vary is fact: every observation is stated once at least with its
//! side and zone, and no category of CheXpert's is stated to be there that the description does not have.

mod absent;
mod conclude;
mod devices;
mod hedge;
mod observed;
mod place;
mod preamble;
mod voice;
mod words;

pub use preamble::preamble;

use crate::phantom::{Description, Institution, Kind, Observation, View};
use hilum_text::{Certainty, Finding, Labels, Report};
use observed::sentence;
use voice::Voice;
use words::capital;

/// The most words that findings have (with its stops about 90 tokens).
const MOST_WORDS: usize = 72;

/// The level of brevity at which nothing normal is named.
const BRIEFEST: u8 = 4;

/// Writes the report of a description: findings of mostly 25 to 70 words, an impression of one to three
/// sentences.
///
/// The same description gives the same words on every machine.
pub fn report(description: &Description) -> Report {
    report_at(description, Institution::First)
}

/// [`report`] with the habits of a chosen institution. The second writes telegrams under the organs' names
/// ("Lungs: ... Pleura: ...").
pub fn report_at(description: &Description, institution: Institution) -> Report {
    write(description, |brief| Voice::new(description, brief, institution))
}

/// [`report`] in one wording and one order, each observation in a sentence of its own: what can be seen
/// decides every word.
pub fn plain_report(description: &Description) -> Report {
    write(description, |brief| Voice::plain(description, brief))
}

fn write(description: &Description, voice: impl Fn(u8) -> Voice) -> Report {
    // Each next level says less of what is normal; the first that fits is kept, the last in any case.
    let mut brief = 0;
    loop {
        let mut voice = voice(brief);
        let findings = findings(description, &mut voice);
        if brief == BRIEFEST || findings.split_whitespace().count() <= MOST_WORDS {
            let impression = conclude::impression(description, &mut voice);
            return Report { findings, impression };
        }
        brief += 1;
    }
}

/// The parts of a report in which an observation may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Organ {
    Lungs,
    Pleura,
    Heart,
    Mediastinum,
    Bones,
    Devices,
}

impl Organ {
    const fn of(kind: Kind) -> Self {
        match kind {
            Kind::Consolidation
            | Kind::Pneumonia
            | Kind::Opacity
            | Kind::Atelectasis
            | Kind::Edema
            | Kind::Nodule
            | Kind::Mass => Self::Lungs,
            Kind::Effusion | Kind::Pneumothorax | Kind::PleuralThickening => Self::Pleura,
            Kind::Cardiomegaly => Self::Heart,
            Kind::WideMediastinum => Self::Mediastinum,
            Kind::RibFracture => Self::Bones,
            Kind::EtTube | Kind::CentralLine | Kind::Pacemaker | Kind::ChestDrain => Self::Devices,
        }
    }

    /// As the second institution heads it.
    const fn heading(self) -> &'static str {
        match self {
            Self::Lungs => "Lungs",
            Self::Pleura => "Pleura",
            Self::Heart => "Heart",
            Self::Mediastinum => "Mediastinum",
            Self::Bones => "Bones",
            Self::Devices => "Lines and tubes",
        }
    }

    /// The order in which this report walks through the chest.
    fn walk(voice: &mut Voice) -> [Self; 6] {
        use Organ::{Bones, Devices, Heart, Lungs, Mediastinum, Pleura};
        if voice.institution == Institution::Second {
            return [Devices, Heart, Mediastinum, Lungs, Pleura, Bones];
        }
        match voice.below(100) {
            0..70 => [Lungs, Pleura, Heart, Mediastinum, Bones, Devices],
            70..85 => [Devices, Lungs, Pleura, Heart, Mediastinum, Bones],
            85..95 => [Heart, Mediastinum, Lungs, Pleura, Bones, Devices],
            _ => [Devices, Heart, Mediastinum, Lungs, Pleura, Bones],
        }
    }
}

/// What is there or suggested, by category.
struct Known(Labels);

impl Known {
    fn of(description: &Description) -> Self {
        Self(description.labels())
    }

    /// Neither there nor suggested: it may be denied.
    fn lacks(&self, finding: Finding) -> bool {
        self.0[finding as usize].is_none()
    }

    fn lacks_all(&self, findings: &[Finding]) -> bool {
        findings.iter().all(|f| self.lacks(*f))
    }

    fn has(&self, finding: Finding) -> bool {
        self.0[finding as usize] == Some(Certainty::Positive)
    }

    /// Nothing at all but devices.
    fn normal(&self) -> bool {
        self.has(Finding::NoFinding)
    }
}

fn findings(description: &Description, voice: &mut Voice) -> String {
    let known = Known::of(description);
    let mut sentences = Vec::new();
    if voice.brief == 0 && voice.chance(10) {
        sentences.push(technique(description.view, voice));
    }
    let walk = Organ::walk(voice);
    let in_one_breath = known.normal() && voice.chance(20);
    if in_one_breath {
        sentences.push(absent::all_normal(voice));
    }
    for organ in walk {
        let mut here: Vec<&Observation> = description
            .observations
            .iter()
            .filter(|o| Organ::of(o.kind) == organ)
            .collect();
        // Grave before slight, as it is dictated; the sort is stable.
        here.sort_by_key(|o| std::cmp::Reverse(o.severity));
        if voice.plain {
            // Severity is seen worst of all.
            here.sort_by_key(|o| (o.kind as u8, o.side.map(|s| s as u8), o.zone.map(|z| z as u8)));
        }
        let before = sentences.len();
        observe(&here, &known, voice, &mut sentences);
        if !in_one_breath {
            absent::organ(
                organ,
                !here.is_empty(),
                description,
                &known,
                voice,
                &mut sentences,
            );
        }
        if voice.institution == Institution::Second
            && let Some(first) = sentences.get_mut(before)
        {
            *first = format!("{}: {first}", organ.heading());
        }
    }
    if voice.compared && voice.brief < 2 {
        sentences.push(comparison(known.normal(), voice));
    }
    sentences.join(" ")
}

/// States every observation of one organ, at times two in one sentence.
fn observe(here: &[&Observation], known: &Known, voice: &mut Voice, sentences: &mut Vec<String>) {
    let mut rest = here;
    while let [first, tail @ ..] = rest {
        if let [second, after @ ..] = tail
            && first.suggests.is_empty()
            && second.suggests.is_empty()
            && Organ::of(first.kind) != Organ::Devices
            && voice.chance(25)
        {
            sentences.push(observed::pair(first, second, voice));
            rest = after;
            continue;
        }
        sentence(first, known, voice, sentences);
        rest = tail;
    }
}

fn technique(view: View, voice: &mut Voice) -> String {
    voice
        .pick(match view {
            View::Ap => &[
                "Single portable AP view.",
                "Portable AP radiograph of the chest.",
                "AP portable view.",
            ],
            View::Pa => &[
                "Single PA view.",
                "PA radiograph of the chest.",
                "Frontal PA view.",
            ],
        })
        .to_owned()
}

fn comparison(normal: bool, voice: &mut Voice) -> String {
    let words: &[&str] = if normal {
        &[
            "No interval change.",
            "Unchanged from the prior radiograph.",
            "No significant interval change.",
            "Stable compared with the prior study.",
        ]
    } else {
        &[
            "No significant interval change.",
            "Findings are unchanged from the prior radiograph.",
            "Appearance is stable since the prior radiograph.",
            "This is similar to the previous examination.",
        ]
    };
    capital(voice.pick(words))
}

#[cfg(test)]
mod tests;

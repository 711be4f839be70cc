//! What MedViLL's sizes must be, for themselves, for the objectives of a run and for its data.

use super::MedVillConfig;
use crate::systems::learn::{Settled, Sizes, SizesError};

impl Sizes for MedVillConfig {
    const SYSTEM: &'static str = "medvill";
    const PRESETS: &'static [&'static str] = &["paper", "demo", "tiny"];

    fn preset(name: &str) -> Option<Self> {
        match name {
            "paper" => Some(Self::paper()),
            "demo" => Some(Self::demo()),
            "tiny" => Some(Self::tiny()),
            _ => None,
        }
    }

    fn check(&self) -> Result<(), SizesError> {
        let bert = &self.bert;
        let fail = |key, must| Err(SizesError { key, must });
        // A damaged or hostile manifest must not make us allocate: nothing published comes near these.
        let image = &self.image;
        let small = bert.vocabulary <= 1 << 20
            && bert.width <= 8192
            && bert.intermediate <= 65_536
            && bert.positions <= 65_536
            && bert.layers <= 128
            && self.words <= 65_536
            && self.answers <= 65_536
            && self.bilinear.as_ref().is_none_or(|b| b.width <= 8192)
            && self.picture_vector <= 8192
            && self.identities <= 1 << 22;
        if !small {
            return fail(
                "bert",
                "have at most 2^20 words, width 8192, 128 layers, and 65536 positions, inner units and answers",
            );
        }
        if image.width > 1024 || image.channels > 16 || image.depths.iter().any(|&n| n > 256) {
            return fail(
                "image",
                "have at most width 1024, 16 channels and 256 blocks a stage",
            );
        }
        if let Some(net) = &self.densenet {
            if net.width > 1024
                || net.channels > 16
                || net.growth > 1024
                || net.depths.iter().any(|&n| n > 256)
            {
                return fail(
                    "densenet",
                    "have at most width and growth 1024, 16 channels and 256 layers a block",
                );
            }
            if net.width == 0 || net.channels == 0 || net.growth == 0 || net.depths.contains(&0) {
                return fail(
                    "densenet",
                    "have channels, width, growth and layers in all four blocks",
                );
            }
            if !self.size.is_multiple_of(32) {
                return fail(
                    "size",
                    "be a multiple of 32 before a DenseNet, whose transitions drop what is over",
                );
            }
        }
        if !(self.pixel_norm[1] > 0.0 && self.pixel_norm.iter().all(|v| v.is_finite())) {
            return fail("pixel_norm", "be a mean and a deviation greater than 0");
        }
        for (key, on) in [
            ("findings_projection", self.findings_projection),
            ("cells_projection", self.cells_projection),
        ] {
            if on && !self.map_findings {
                return fail(key, "stand beside map_findings, whose findings it projects");
            }
        }
        if (self.bilinear.is_some() || self.identities > 0) && self.picture_vector == 0 {
            return fail(
                "picture_vector",
                "be greater than 0 where bilinear heads or identities are",
            );
        }
        if let Some(bilinear) = &self.bilinear {
            let share = |x: f64| (0.0..1.0).contains(&x);
            if bilinear.width == 0 || !share(bilinear.dropout) || !share(bilinear.smoothing) {
                return fail(
                    "bilinear",
                    "have a width greater than 0, and dropout and smoothing at least 0 and less than 1",
                );
            }
            if !self.answer_softmax {
                return fail(
                    "bilinear",
                    "stand beside answer_softmax = true, since its heads' probabilities are multiplied",
                );
            }
        }
        if bert.heads == 0 || !bert.width.is_multiple_of(bert.heads) {
            return fail("bert.heads", "divide bert.width");
        }
        if self.size < 32 || self.size > 4096 {
            return fail("size", "be between 32 and 4096");
        }
        if bert.positions < self.visual_tokens() + 2 || bert.positions < self.words + 2 {
            return fail(
                "bert.positions",
                "hold all visual tokens and all words, with two to spare",
            );
        }
        if self.sampled == 0 || self.sampled > self.visual_tokens() {
            return fail("sampled", "be between 1 and the number of visual tokens");
        }
        if bert.vocabulary < 6 || bert.layers == 0 || self.words == 0 {
            return fail("bert", "have words and layers");
        }
        if !(0.0..1.0).contains(&bert.dropout) {
            return fail("bert.dropout", "be at least 0 and less than 1");
        }
        if self.image.channels == 0 || self.image.width == 0 || self.image.depths.contains(&0) {
            return fail("image", "have channels, width and blocks in all four stages");
        }
        Ok(())
    }

    fn lacks(&self, on: &dyn Fn(&str) -> bool) -> Option<&'static str> {
        let kinds = self.bilinear.as_ref().is_some_and(|b| b.kinds);
        let rules = [
            (
                on("sides") && !on("report"),
                "sides needs report, whose words it is about",
            ),
            (on("view") && !self.map_view, "view needs model.map_view = true"),
            (
                on("findings") && !self.map_findings,
                "findings needs model.map_findings = true",
            ),
            (
                on("question_kind") && !kinds,
                "question_kind needs model.bilinear.kinds = true",
            ),
            (
                (on("diagnosis") || on("diagnosis_image")) && !self.diagnosis,
                "diagnosis needs model.diagnosis = true",
            ),
            (
                on("identity") && self.picture_vector == 0,
                "identity needs model.picture_vector",
            ),
            (
                self.towers && (on("mlm") || on("itm") || on("report")),
                "a model with towers has no joint reading to pre-train or to draft with",
            ),
        ];
        rules.into_iter().find_map(|(broken, why)| broken.then_some(why))
    }

    fn settled(mut self, by: &Settled<'_, Self>) -> Result<Self, SizesError> {
        self.bert.vocabulary = by.vocabulary;
        self.answers = by.answers;
        let remembers = self.bilinear.as_ref().is_some_and(|b| b.memory);
        self.identities = match by.before {
            _ if (by.on)("identity") => by.studies,
            Some(before) if remembers => before.identities,
            _ => 0,
        };
        if remembers && self.identities == 0 {
            let must = "begin with an init that was trained with objectives.identity";
            return Err(SizesError {
                key: "bilinear.memory",
                must,
            });
        }
        self.check()?;
        Ok(self)
    }

    fn picture(&self) -> usize {
        self.size
    }

    fn words(&self) -> usize {
        self.words
    }

    fn vocabulary(&self) -> usize {
        self.bert.vocabulary
    }

    fn answers(&self) -> usize {
        self.answers
    }
}

//! What a config must be, key by key, before anything starts.

use std::borrow::Cow;

use toml::de::{DeTable, DeValue};

use super::{Fault, RunConfig};
use crate::data::Layout;
use crate::systems::{SystemConfig, Trainable, names, with_system};

impl RunConfig {
    pub(in crate::train) fn check(&self) -> Result<(), Fault> {
        with_system!(
            self.system.as_str(),
            S => self.check_for::<S>(),
            Err(("system".into(), format!("{:?} is not one of: {}", self.system, names())))
        )
    }

    fn check_for<S: Trainable>(&self) -> Result<(), Fault> {
        let fail = |key: &'static str, reason: String| Err((Cow::from(key), reason));
        if self.checkpoint_every == 0 {
            return fail("checkpoint_every", "must be at least 1".to_owned());
        }
        if self.init.is_none() && !self.init_only.is_empty() {
            return fail("init_only", "needs init".to_owned());
        }
        if let Some(init) = self.init.as_ref().filter(|init| !init.is_dir()) {
            return fail(
                "init",
                format!("{:?} is not a folder", init.display().to_string()),
            );
        }
        let model = self.model_config::<S::Config>()?;
        self.check_optim()?;
        let known: Vec<&str> = S::OBJECTIVES.iter().map(|o| o.name).collect();
        self.check_objectives(&known, &model)?;
        if S::views(&|name| self.on(name)) > 1 && self.data.augment.get().is_none() {
            return fail(
                "data.augment",
                "must vary images: an objective compares two views of each, and they would be the same"
                    .to_owned(),
            );
        }
        self.check_data()
    }

    fn check_optim(&self) -> Result<(), Fault> {
        let o = &self.optim;
        let positive = |v: f64| v > 0.0 && v.is_finite();
        let none_or_more = |v: f64| v >= 0.0 && v.is_finite();
        let share = |v: f64| (0.0..=1.0).contains(&v);
        let below_one = |v: f64| (0.0..1.0).contains(&v);
        let rules: [(&'static str, bool, String); 15] = [
            (
                "optim.lr",
                positive(o.lr),
                format!("{} must be greater than 0", o.lr),
            ),
            (
                "optim.backbone_lr",
                none_or_more(o.backbone_lr.unwrap_or(0.0)),
                "must be 0 or more".to_owned(),
            ),
            (
                "optim.head_lr",
                none_or_more(o.head_lr.unwrap_or(0.0)),
                "must be 0 or more".to_owned(),
            ),
            (
                "optim.layer_decay",
                positive(o.layer_decay) && o.layer_decay <= 1.0,
                "must be in (0, 1]".to_owned(),
            ),
            (
                "optim.weight_decay",
                none_or_more(o.weight_decay),
                format!("{} must be 0 or more", o.weight_decay),
            ),
            (
                "optim.betas",
                o.betas.into_iter().all(below_one),
                "must be two numbers in [0, 1)".to_owned(),
            ),
            (
                "optim.momentum",
                below_one(o.momentum),
                "must be in [0, 1)".to_owned(),
            ),
            (
                "optim.warmup",
                share(o.warmup),
                format!("{} must be a share of the steps, 0 to 1", o.warmup),
            ),
            (
                "optim.min_lr",
                share(o.min_lr),
                format!("{} must be a share of the peak, 0 to 1", o.min_lr),
            ),
            (
                "optim.power",
                positive(o.power),
                "must be greater than 0".to_owned(),
            ),
            (
                "optim.clip",
                positive(o.clip),
                format!("{} must be greater than 0", o.clip),
            ),
            ("optim.ema", below_one(o.ema), "must be in [0, 1)".to_owned()),
            (
                "optim.batch",
                (1..=65_536).contains(&o.batch),
                format!("{} must be 1 to 65536", o.batch),
            ),
            (
                "optim.accumulate",
                (1..=o.batch).contains(&o.accumulate),
                format!("{} must be 1 to the batch, {}", o.accumulate, o.batch),
            ),
            ("optim.steps", o.steps > 0, "must be at least 1".to_owned()),
        ];
        match rules.into_iter().find(|rule| !rule.1) {
            Some((key, _, reason)) => Err((key.into(), reason)),
            None => Ok(()),
        }
    }

    fn check_objectives(&self, known: &[&str], model: &impl SystemConfig) -> Result<(), Fault> {
        let fail = |key: &'static str, reason: String| Err((Cow::from(key), reason));
        if let Some(name) = self
            .objectives
            .keys()
            .find(|name| !known.contains(&name.as_str()))
        {
            return fail(
                "objectives",
                format!("{name:?} is not one of: {}", known.join(", ")),
            );
        }
        if let Some((name, weight)) = self
            .objectives
            .iter()
            .find(|(_, w)| !(**w >= 0.0 && w.is_finite()))
        {
            return fail("objectives", format!("{name} = {weight} must be 0 or more"));
        }
        let on = |name: &str| self.on(name);
        if !known.iter().any(|name| on(name)) {
            return fail(
                "objectives",
                "must name one at least, with a weight greater than 0".to_owned(),
            );
        }
        if let Err(why) = model.validate_objectives(&on) {
            return fail("objectives", why.to_owned());
        }
        for mix in &self.mix {
            if !(mix.share > 0.0 && mix.share.is_finite()) {
                return fail("mix.share", format!("{} must be greater than 0", mix.share));
            }
            if let Some(name) = mix.of.iter().find(|name| !on(name)) {
                return fail(
                    "mix.of",
                    format!("{name:?} is none of the objectives with a weight"),
                );
            }
            if mix.of.is_empty() {
                return fail("mix.of", "must name an objective".to_owned());
            }
        }
        Ok(())
    }

    fn check_data(&self) -> Result<(), Fault> {
        let fail = |key: &'static str, reason: String| Err((Cow::from(key), reason));
        let data = &self.data;
        if data.limit == Some(0) {
            return fail("data.limit", "must be at least 1".to_owned());
        }
        if let Some(layout) = &data.layout {
            layout
                .parse::<Layout>()
                .map_err(|e| (Cow::from("data.layout"), e.to_string()))?;
        }
        if data.questions == 0 {
            return fail("data.questions", "must be at least 1".to_owned());
        }
        if data.roots.is_empty() {
            return fail("data.roots", "must name at least one folder".to_owned());
        }
        for (key, roots) in [("data.roots", &data.roots), ("data.more_words", &data.more_words)] {
            if let Some(root) = roots.iter().find(|root| !root.is_dir()) {
                return fail(key, format!("\"{}\" is not a folder", root.display()));
            }
        }
        Ok(())
    }
}

/// The sentence of a fault with the line at which the key stands, or else what holds it.
pub(super) fn located(text: &str, key: &str, reason: &str) -> String {
    let mut place = key;
    loop {
        if let Some(line) = line_of(text, place) {
            return format!("line {line}: {key} {reason}");
        }
        match place.rsplit_once('.') {
            Some((outer, _)) => place = outer,
            None => return format!("{key} {reason}"),
        }
    }
}

/// The line of a dotted key, or of a table of that name.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut table = document.get_ref();
    let mut parts = key.split('.').peekable();
    while let Some(part) = parts.next() {
        let (name, value) = table.iter().find(|(name, _)| name.get_ref() == part)?;
        if parts.peek().is_none() {
            return Some(text[..name.span().start].matches('\n').count() + 1);
        }
        table = match value.get_ref() {
            DeValue::Table(inner) => inner,
            DeValue::Array(items) => match items.first()?.get_ref() {
                DeValue::Table(inner) => inner,
                _ => return None,
            },
            _ => return None,
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::train::RunConfig;

    fn refusal(text: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.toml");
        std::fs::write(&path, text.replace("ROOT", &dir.path().display().to_string())).unwrap();
        RunConfig::read(&path)
            .map(|_| "accepted".to_owned())
            .unwrap_or_else(|e| e.to_string())
    }

    const GOOD: &str = "system = \"medvill\"\npreset = \"demo\"\nout = \"x\"\n[data]\nroots = [\"ROOT\"]\n\
                        [objectives]\nmlm = 1.0\n[optim]\nlr = 1e-3\nbatch = 8\nsteps = 10\n";

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        assert_eq!(refusal(GOOD), "accepted");
        for (from, to, wants) in [
            ("out = \"x\"", "out = \"x\"\nrates = 3", ["rates", "line 4"]),
            ("lr = 1e-3", "lr = \"fast\"", ["lr", "line 9"]),
            ("lr = 1e-3", "lr = -1.0", ["optim.lr", "line 9"]),
            ("mlm = 1.0", "mlm = 1.0\nmemory = 1.0", ["memory", "line 6"]),
            ("mlm = 1.0", "diagnosis = 1.0", ["model.diagnosis", "line 6"]),
            ("ROOT", "/no/such/folder", ["data.roots", "line 5"]),
            ("demo", "huge", ["preset", "line 2"]),
            (
                "batch = 8",
                "batch = 8\naccumulate = 9",
                ["optim.accumulate", "line 11"],
            ),
            ("[data]", "[model]\nsizes = 3\n[data]", ["sizes", "line 4"]),
            (
                "[data]",
                "[model]\nbert = { heads = 7 }\n[data]",
                ["bert.heads", "line 5"],
            ),
            (
                "[optim]",
                "[[mix]]\nshare = 1.0\nof = [\"itm\"]\n[optim]",
                ["itm", "line 10"],
            ),
        ] {
            let message = refusal(&GOOD.replacen(from, to, 1));
            assert!(wants.iter().all(|w| message.contains(w)), "{to}: {message}");
        }
    }

    #[test]
    fn every_recipe_holds() {
        let here = tempfile::tempdir().unwrap();
        let recipes = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
        let mut read = 0;
        for file in std::fs::read_dir(recipes).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "toml") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let mut config: RunConfig = toml::from_str(&text).unwrap_or_else(|e| panic!("{path:?}: {e}"));
            // Neither what it learns from nor what it begins with lies here.
            config.data.roots = vec![here.path().to_owned()];
            config.init = config.init.map(|_| here.path().to_owned());
            assert_eq!(config.check(), Ok(()), "{path:?}");
            read += 1;
        }
        assert!(read > 20, "{read}");
    }

    #[test]
    fn mixes_share_the_steps() {
        let text = GOOD.replace(
            "mlm = 1.0",
            "mlm = 1.0\nitm = 2.0\n[[mix]]\nshare = 3\nof = [\"mlm\"]\n[[mix]]\nshare = 1\nof = [\"itm\"]",
        );
        let config: RunConfig = toml::from_str(&text).unwrap();
        let steps = (0..100).map(|i| config.weights(f64::from(i) / 100.0));
        assert_eq!(steps.filter(|w| w.0.keys().eq(["mlm"])).count(), 75);
    }
}

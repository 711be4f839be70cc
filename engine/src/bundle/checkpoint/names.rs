//! What training frameworks put around a model's own names, taken off: dictionaries that hold the weights
//! beside an optimiser, and modules that wrap the model (`DataParallel`, `torch.compile`, FSDP, Lightning).

use std::collections::{BTreeMap, BTreeSet};

use crate::bundle::AnyArray;

/// Tensors by name.
type Tensors = BTreeMap<String, AnyArray>;

/// Modules that wrap another wherever it stands, and are never a model's own.
const WRAPPING: [&str; 4] = [
    "_orig_mod",
    "_fsdp_wrapped_module",
    "_checkpoint_wrapped_module",
    "_forward_module",
];

/// Keys of dictionaries that hold nothing but weights; no module can have such a name.
const DICTIONARIES: [&str; 3] = ["state_dict", "model_state_dict", "model_state"];

/// Keys of what a training loop keeps beside the weights.
const BESIDE: [&str; 9] = [
    "optimizer",
    "optimizers",
    "optimizer_states",
    "optimizer_state_dict",
    "optimizer_state",
    "optim",
    "lr_schedulers",
    "scheduler",
    "scaler",
];

/// What a training script calls its model, or the dictionary of its weights.
const HOLDERS: [&str; 8] = [
    "module",
    "model",
    "net",
    "network",
    "checkpoint",
    "weights",
    "params",
    "_model",
];

/// Of a holder's tensors one in so many may stand beside it: a loss has weights too.
const FEW: usize = 20;

/// The tensors by the model's own names, and sentences on what was taken off or left out.
pub(super) fn unwrap(mut tensors: Tensors, notes: &mut Vec<String>) -> Tensors {
    // Each round takes off one layer, until there is none.
    while let Some((mut kept, note)) = one_layer(&tensors) {
        let renamed = tensors
            .into_iter()
            .filter_map(|(name, array)| Some((kept.remove(&name)?, array)));
        tensors = renamed.collect();
        notes.push(note);
    }
    tensors
}

/// The names that stay, each with its new one, and the sentence that says so.
fn one_layer(tensors: &Tensors) -> Option<(BTreeMap<String, String>, String)> {
    let inner = |name: &str, key: &str| -> Option<String> {
        Some(name.strip_prefix(key)?.strip_prefix('.')?.to_owned())
    };
    let count = |key: &str| tensors.keys().filter(|name| inner(name, key).is_some()).count();
    let all = tensors.len();
    let has = |wrapper: &&&str| {
        tensors
            .keys()
            .any(|name| name.split('.').any(|part| part == **wrapper))
    };
    if let Some(wrapper) = WRAPPING.iter().find(has) {
        let bare = |name: &str| -> String {
            let parts: Vec<&str> = name.split('.').filter(|part| part != wrapper).collect();
            parts.join(".")
        };
        let note = format!("The part {wrapper} was taken out of the names.");
        return renamed(tensors, |name| Some(bare(name))).map(|kept| (kept, note));
    }
    if let Some((key, inside)) = DICTIONARIES
        .iter()
        .map(|key| (key, count(key)))
        .find(|(_, inside)| *inside > 0)
    {
        let left = all - inside;
        let note = format!("The weights were taken from {key:?}; {left} tensors outside it were left out.");
        return renamed(tensors, |name| inner(name, key)).map(|kept| (kept, note));
    }
    let beside = BESIDE.iter().map(|key| (key, count(key)));
    if let Some((key, inside)) = beside
        .into_iter()
        .find(|(_, inside)| *inside > 0 && *inside < all)
    {
        let note = format!("{inside} tensors of {key:?} are no weights of the model and were left out.");
        let other = |name: &str| inner(name, key).is_none().then(|| name.to_owned());
        return renamed(tensors, other).map(|kept| (kept, note));
    }
    let holders = HOLDERS.iter().map(|key| (key, all - count(key)));
    let (holder, rest) = holders
        .into_iter()
        .find(|(_, rest)| *rest < all && rest * FEW <= all)?;
    let note = match rest {
        0 => format!("The prefix {holder}. was taken off every name."),
        rest => format!("The prefix {holder}. was taken off every name but {rest}."),
    };
    let bare = |name: &str| Some(inner(name, holder).unwrap_or_else(|| name.to_owned()));
    renamed(tensors, bare).map(|kept| (kept, note))
}

/// Old names with new ones; nothing where two of them would be the same.
fn renamed(tensors: &Tensors, bare: impl Fn(&str) -> Option<String>) -> Option<BTreeMap<String, String>> {
    let kept: BTreeMap<String, String> = tensors
        .keys()
        .filter_map(|name| Some((name.clone(), bare(name)?)))
        .collect();
    let new: BTreeSet<&String> = kept.values().collect();
    (new.len() == kept.len()).then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::Array;

    fn unwrapped(names: &[&str]) -> (Vec<String>, Vec<String>) {
        let one = || {
            AnyArray::Float(Array {
                shape: vec![1],
                data: vec![0.0],
            })
        };
        let mut notes = Vec::new();
        let tensors = names.iter().map(|name| ((*name).to_owned(), one())).collect();
        (unwrap(tensors, &mut notes).into_keys().collect(), notes)
    }

    #[test]
    fn every_wrapper_and_their_combinations_come_off() {
        let own = ["enc.conv.weight", "itm.bias"];
        for prefix in [
            "module.",
            "_orig_mod.",
            "module._orig_mod.",
            "_orig_mod.module.",
            "model.",
            "model._orig_mod.",
            "model.module.",
            "_forward_module.model.",
            "state_dict.model.",
            "model.state_dict.module.",
            "checkpoint.model_state_dict._orig_mod.",
            "_fsdp_wrapped_module.",
            "module.module.",
        ] {
            let names = own.map(|name| format!("{prefix}{name}"));
            let (found, notes) = unwrapped(&names.each_ref().map(String::as_str));
            assert_eq!(found, own, "{prefix}");
            assert!(!notes.is_empty());
        }
        // A part may have been compiled, or wrapped, alone.
        assert_eq!(unwrapped(&["enc._orig_mod.conv.weight", "itm.bias"]).0, own);
    }

    #[test]
    fn what_stands_beside_the_weights_is_left_out_and_told() {
        let (found, notes) = unwrapped(&[
            "model.a.w",
            "optimizer.state.0.exp_avg",
            "optimizer.state.1.exp_avg",
        ]);
        assert_eq!(found, ["a.w"]);
        assert!(notes[0].starts_with("2 tensors of \"optimizer\""), "{notes:?}");
        assert_eq!(unwrapped(&["state_dict.a", "ema.a"]).0, ["a"]);
    }

    #[test]
    fn a_models_own_names_stay() {
        for own in [
            ["img_encoder.model.0.weight", "itm.bias"],
            ["a.weight", "model.conv.weight"],
            ["a", "model.a"],
        ] {
            assert_eq!(unwrapped(&own), (own.map(str::to_owned).to_vec(), vec![]));
        }
        // A loss beside the model does not hide it.
        let mut names: Vec<String> = (0..30).map(|i| format!("model.layer{i:02}.weight")).collect();
        names.push("loss.weight".into());
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (found, notes) = unwrapped(&names);
        assert_eq!(
            (found[0].as_str(), found[30].as_str()),
            ("layer00.weight", "loss.weight")
        );
        assert!(notes[0].contains("every name but 1"), "{notes:?}");
    }
}

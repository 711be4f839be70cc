//! What other libraries call the parts of a transformer layer, as data. Layers are counted in all of them, so
//! a name is changed inside its layer alone: what stands before the layers stays.

use super::{Array, Arrays};

/// Parts of a block of timm's ViT, in timm and here. Outside of blocks (`patch_embed.proj`, `cls_token`,
/// `pos_embed`, `norm`, `fc_norm`) the names agree. Queries, keys and values are one tensor in timm,
/// `attn.qkv`, which [`from_timm`] splits first.
pub const TIMM_BLOCK: &[(&str, &str)] = &[
    ("norm1", "attention.norm"),
    ("attn.query", "attention.query"),
    ("attn.key", "attention.key"),
    ("attn.value", "attention.value"),
    ("attn.proj", "attention.output"),
    ("norm2", "output_norm"),
    ("mlp.fc1", "intermediate"),
    ("mlp.fc2", "output"),
];

/// `name` with what stands behind `stack` and a number ("blocks.", 3) renamed by `parts`; a name that is in
/// no layer stays.
pub fn layer_name(name: &str, stack: &str, parts: &[(&str, &str)]) -> String {
    let renamed = || {
        let (before, inside) = name.split_at(name.find(stack)? + stack.len());
        let (number, part) = inside.split_once('.')?;
        parts.iter().find_map(|(theirs, own)| {
            let kind = part.strip_prefix(theirs)?.strip_prefix('.')?;
            Some(format!("{before}{number}.{own}.{kind}"))
        })
    };
    renamed().unwrap_or_else(|| name.to_owned())
}

/// A checkpoint in timm's names and layout in the engine's: renamed, and `qkv` split into query, key and
/// value.
///
/// A `qkv` whose rows are no multiple of 3 stays as it is, so that loading names it.
pub fn from_timm(checkpoint: &Arrays) -> Arrays {
    let own = |name: &str| layer_name(name, "blocks.", TIMM_BLOCK);
    let mut arrays = Arrays::new();
    for (name, array) in checkpoint {
        let fused = ["weight", "bias"]
            .into_iter()
            .find_map(|kind| Some((name.strip_suffix(kind)?.strip_suffix("qkv.")?, kind)));
        let rows = array.shape.first().copied().unwrap_or(0);
        match fused {
            Some((before, kind)) if rows > 0 && rows % 3 == 0 && array.data.len() % rows == 0 => {
                // Rows are outputs: (3 W, W) or (3 W), queries first, then keys, then values.
                let parts = array.data.chunks(array.data.len() / 3);
                for (part, data) in ["query", "key", "value"].into_iter().zip(parts) {
                    let mut shape = array.shape.clone();
                    shape[0] = rows / 3;
                    let data = data.to_vec();
                    arrays.insert(own(&format!("{before}{part}.{kind}")), Array { shape, data });
                }
            }
            _ => drop(arrays.insert(own(name), array.clone())),
        }
    }
    arrays
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(shape: &[usize]) -> Array {
        Array {
            shape: shape.to_vec(),
            data: (0..shape.iter().product()).map(|v: usize| v as f32).collect(),
        }
    }

    #[test]
    fn timm_names_are_split_and_renamed_under_any_prefix() {
        let timm = [
            ("decoder_blocks.3.attn.qkv.weight".to_owned(), array(&[6, 2])),
            ("blocks.0.attn.qkv.bias".to_owned(), array(&[6])),
            ("blocks.1.attn.qkv.bias".to_owned(), array(&[5])),
            ("backbone.blocks.11.norm2.weight".to_owned(), array(&[2])),
            ("norm.weight".to_owned(), array(&[2])),
        ];
        let own = from_timm(&timm.into());
        let names: Vec<&str> = own.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "backbone.blocks.11.output_norm.weight",
                "blocks.0.attention.key.bias",
                "blocks.0.attention.query.bias",
                "blocks.0.attention.value.bias",
                "blocks.1.attn.qkv.bias",
                "decoder_blocks.3.attention.key.weight",
                "decoder_blocks.3.attention.query.weight",
                "decoder_blocks.3.attention.value.weight",
                "norm.weight",
            ]
        );
        let key = &own["decoder_blocks.3.attention.key.weight"];
        assert_eq!(key.shape, [2, 2]);
        assert_eq!(key.data, [4.0, 5.0, 6.0, 7.0]);
    }
}

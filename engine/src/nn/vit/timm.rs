//! timm's names of a ViT, as data, and the splitting of its fused projection.

use crate::nn::{Array, Arrays};

/// What stands inside a block, in timm and here. Outside of blocks (`patch_embed.proj`, `cls_token`, `pos_embed`,
/// `norm`, `fc_norm`) the names agree. Queries, keys and values are one tensor in timm, `attn.qkv`, which
/// [`from_timm`] splits first.
pub const TIMM_BLOCK: [(&str, &str); 8] = [
    ("norm1", "attention.norm"),
    ("attn.query", "attention.query"),
    ("attn.key", "attention.key"),
    ("attn.value", "attention.value"),
    ("attn.proj", "attention.output"),
    ("norm2", "output_norm"),
    ("mlp.fc1", "intermediate"),
    ("mlp.fc2", "output"),
];

/// The engine's name of what timm calls `name`: whatever stands before the blocks stays (`decoder_blocks.0.norm1`,
/// `backbone.blocks.0.norm1`), and so does a name that is in no block.
pub fn timm_name(name: &str) -> String {
    let Some(at) = name.find("blocks.") else {
        return name.to_owned();
    };
    let (before, inside) = name.split_at(at + "blocks.".len());
    let Some((number, part)) = inside.split_once('.') else {
        return name.to_owned();
    };
    for (timm, own) in TIMM_BLOCK {
        if let Some(kind) = part.strip_prefix(timm).and_then(|rest| rest.strip_prefix('.')) {
            return format!("{before}{number}.{own}.{kind}");
        }
    }
    name.to_owned()
}

/// A checkpoint in timm's names and layout in the engine's: renamed, and `qkv` split into query, key and value.
///
/// A `qkv` whose rows are no multiple of 3 stays as it is, so that loading names it.
pub fn from_timm(checkpoint: &Arrays) -> Arrays {
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
                    arrays.insert(
                        timm_name(&format!("{before}{part}.{kind}")),
                        Array { shape, data },
                    );
                }
            }
            _ => drop(arrays.insert(timm_name(name), array.clone())),
        }
    }
    arrays
}

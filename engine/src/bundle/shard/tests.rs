//! Tests of the shards: round trips, cuts, and what must be refused.
use super::*;
use crate::bundle::sha256_hex;

fn array(shape: &[usize]) -> Array {
    let count = shape.iter().product::<usize>();
    // Not representable in f16 and in varied order, so that a lost or swapped row shows.
    let data = (0..count)
        .map(|i| ((i * 7919 % 2003) as f32 - 1001.0) * 1.37e-3)
        .collect();
    Array {
        shape: shape.to_vec(),
        data,
    }
}

fn some() -> Arrays {
    let shapes: [(&str, &[usize]); 7] = [
        ("conv.weight", &[16, 8, 3, 3]),
        ("empty", &[0, 4]),
        ("norm.bias", &[2000]),
        ("scalar", &[]),
        ("small.weight", &[4, 4]),
        ("table.weight", &[57, 45]),
        ("wide.weight", &[2, 3000]),
    ];
    shapes
        .into_iter()
        .map(|(name, shape)| (name.to_owned(), array(shape)))
        .collect()
}

fn shards(arrays: &Arrays, dtype: Dtype, shard_bytes: usize) -> Vec<(FileEntry, Vec<u8>)> {
    let mut shards = Vec::new();
    encode(arrays, dtype, shard_bytes, |bytes| {
        shards.push((entry(&bytes), bytes));
        Ok(())
    })
    .unwrap();
    shards
}

fn entry(bytes: &[u8]) -> FileEntry {
    FileEntry {
        path: "weights-000.safetensors".to_owned(),
        bytes: bytes.len() as u64,
        sha256: sha256_hex(bytes),
    }
}

fn decode(shards: &[(FileEntry, Vec<u8>)]) -> Arrays {
    let mut decoder = ShardDecoder::new();
    let mut arrays = Arrays::new();
    for (entry, bytes) in shards {
        arrays.extend(decoder.push(entry, bytes).unwrap());
    }
    decoder.finish().unwrap();
    arrays
}

#[test]
fn f32_comes_back_bit_for_bit_whatever_the_size_of_a_shard() {
    for shard_bytes in [1, 100, 999, 4096, 1 << 20] {
        let shards = shards(&some(), Dtype::F32, shard_bytes);
        assert_eq!(decode(&shards), some(), "{shard_bytes}");
        assert!(
            shard_bytes > 1 << 16 || shards.len() > 3,
            "{} shards of {shard_bytes}",
            shards.len()
        );
    }
}

#[test]
fn f16_and_q8_keep_vectors_exact_and_matrices_close() {
    for (dtype, tolerance) in [(Dtype::F16, 1.4 / 2048.0), (Dtype::Q8, 1.4 / 127.0 * 0.51)] {
        for shard_bytes in [1000, 1 << 20] {
            let back = decode(&shards(&some(), dtype, shard_bytes));
            assert_eq!(back["norm.bias"], some()["norm.bias"]);
            assert_eq!(back["scalar"], some()["scalar"]);
            for (name, array) in some() {
                assert_eq!(back[&name].shape, array.shape, "{name}");
                for (a, b) in array.data.iter().zip(&back[&name].data) {
                    assert!((a - b).abs() <= tolerance, "{dtype:?} {name}: {a} {b}");
                }
            }
            assert_ne!(back["table.weight"], some()["table.weight"]);
        }
    }
}

#[test]
fn only_large_matrices_are_stored_in_eight_bits() {
    let shards = shards(&some(), Dtype::Q8, 1 << 20);
    let stored = ShardDecoder::new()
        .push_stored(&shards[0].0, &shards[0].1)
        .unwrap();
    let q8: Vec<&str> = stored
        .iter()
        .filter(|(_, stored)| matches!(stored, Stored::Q8(_)))
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(q8, ["conv.weight", "table.weight", "wide.weight"]);
    let Stored::Q8(blocks) = &stored["conv.weight"] else {
        panic!("it is q8")
    };
    assert_eq!((blocks.values.len(), blocks.scales.len()), (16 * 72, 16 * 3));
}

#[test]
fn a_tensor_out_of_the_range_of_f16_stays_f32() {
    let mut large = array(&[40, 40]);
    large.data[3] = 70_000.0;
    let arrays = Arrays::from([("a".to_owned(), large)]);
    for dtype in [Dtype::F16, Dtype::Q8] {
        assert_eq!(decode(&shards(&arrays, dtype, 1 << 20)), arrays);
    }
}

#[test]
fn more_than_ten_pieces_keep_their_order() {
    let arrays = Arrays::from([("a".to_owned(), array(&[25, 40]))]);
    // All pieces in one shard, where the names sort as 1, 10, 11, ..., 2.
    let one = shards(&arrays, Dtype::F32, 2 * 160);
    assert_eq!(one.len(), 13);
    let mut views = BTreeMap::new();
    for (_, bytes) in &one {
        let shard = SafeTensors::deserialize(bytes).unwrap();
        views.extend(shard.tensors());
    }
    let cuts = serde_json::json!({"a": {"pieces": 13, "shape": [25, 40]}}).to_string();
    let bytes = safetensors::serialize(views, Some(HashMap::from([(CUT.to_owned(), cuts)]))).unwrap();
    assert_eq!(decode(&[(entry(&bytes), bytes)]), arrays);
}

#[test]
fn a_piece_that_is_missing_repeated_or_out_of_order_is_refused() {
    let arrays = Arrays::from([("a".to_owned(), array(&[9, 40]))]);
    let shards = shards(&arrays, Dtype::Q8, 200);
    assert!(shards.len() >= 3);
    let run = |order: &[usize]| -> Result<(), BundleError> {
        let mut decoder = ShardDecoder::new();
        for &k in order {
            decoder.push(&shards[k].0, &shards[k].1)?;
        }
        decoder.finish()
    };
    assert!(run(&[1]).unwrap_err().to_string().contains("piece 1 of a"));
    assert!(run(&[0, 2]).is_err());
    assert!(run(&[0, 0]).is_err());
    assert!(run(&[0, 1]).unwrap_err().to_string().contains("pieces of a"));
}

#[test]
fn a_shard_that_was_changed_is_not_decoded() {
    let (entry, mut bytes) = shards(&some(), Dtype::F32, 1 << 20).remove(0);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    assert!(matches!(
        ShardDecoder::new().push(&entry, &bytes),
        Err(BundleError::Hash { .. })
    ));
    bytes.pop();
    assert!(matches!(
        ShardDecoder::new().push(&entry, &bytes),
        Err(BundleError::Length { .. })
    ));
}

/// Pushes a hand-made shard and returns the sentence of its refusal.
fn refused(tensors: &[(&str, Element, &[usize], usize)], cuts: Option<&str>) -> String {
    let zeros = vec![0; 4096];
    let views = tensors.iter().map(|(name, element, shape, bytes)| {
        (
            *name,
            TensorView::new(*element, shape.to_vec(), &zeros[..*bytes]).unwrap(),
        )
    });
    let metadata = cuts.map(|cuts| HashMap::from([(CUT.to_owned(), cuts.to_owned())]));
    let bytes = safetensors::serialize(views, metadata).unwrap();
    ShardDecoder::new()
        .push(&entry(&bytes), &bytes)
        .unwrap_err()
        .to_string()
}

#[test]
fn a_shard_against_the_format_is_refused_with_the_tensor_named() {
    let q8 = ("a", Element::I8, &[2, 40][..], 80);
    assert!(refused(&[q8], None).contains("a has 8-bit weights without f16 scales"));
    assert!(refused(&[q8, ("a.scale", Element::F16, &[2, 1], 4)], None).contains("scales of shape [2, 1]"));
    assert!(refused(&[("b", Element::I64, &[2], 16)], None).contains("b is of the type I64"));
    assert!(refused(&[("c@0", Element::F32, &[2], 8)], None).contains("does not say how c was cut"));
    assert!(refused(&[("c@x", Element::F32, &[2], 8)], None).contains("c@x"));
    assert!(refused(&[("c@0", Element::F32, &[2], 8)], Some("{")).contains("list of cut tensors"));
    let cut = r#"{"c": {"pieces": 1, "shape": [3]}}"#;
    assert!(refused(&[("c@0", Element::F32, &[2], 8)], Some(cut)).contains("[3]"));
    // What is declared is not allocated because it is declared: room is made for no more than there can be
    // pieces of.
    let cut = format!(r#"{{"c": {{"pieces": {0}, "shape": [{0}]}}}}"#, usize::MAX / 8);
    assert!(refused(&[("c@0", Element::F32, &[2], 8)], Some(&cut)).contains("does not fit the memory"));
    let bytes = b"no safetensors".to_vec();
    assert!(ShardDecoder::new().push(&entry(&bytes), &bytes).is_err());
}

#[test]
fn what_cannot_be_stored_faithfully_is_refused_with_its_name() {
    let refused = |name: &str, array: Array| {
        let mut arrays = some();
        arrays.insert(name.to_owned(), array);
        encode(&arrays, Dtype::Q8, 1 << 20, |_| Ok(()))
            .unwrap_err()
            .to_string()
    };
    let mut nan = array(&[4]);
    nan.data[2] = f32::NAN;
    assert!(refused("sick", nan).contains("sick") && !refused("a@1", array(&[4])).is_empty());
    assert!(
        refused(
            "short",
            Array {
                shape: vec![5],
                data: vec![0.0; 4]
            }
        )
        .contains("[5]")
    );
    assert!(refused("table.weight.scale", array(&[4])).contains("8-bit scales"));
}

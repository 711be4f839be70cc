//! Checkpoints of every form, those of PyTorch and transformers from `tests/golden`, and what is none.

use super::*;
use crate::bundle::IntArray;

fn golden(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/golden")
        .join(name)
}

/// The values that `make_bert.py` says it writes into every checkpoint.
fn check_golden_values(arrays: &Arrays) {
    let weight = Array {
        shape: vec![3, 2],
        data: vec![0.5, 10.5, 1.5, 11.5, 2.5, 12.5],
    };
    for name in [
        "linear.weight",
        "tied.weight",
        "half.weight",
        "brain.weight",
        "double.weight",
    ] {
        assert_eq!(arrays[name], weight, "{name}");
    }
    assert_eq!(
        arrays["linear.bias"],
        Array {
            shape: vec![3],
            data: vec![-1.0, 0.25, 3.0]
        }
    );
    assert_eq!(arrays.len(), 6);
}

#[test]
fn parity_pytorch_files_of_every_form_hold_the_same_weights() {
    for name in [
        "checkpoint_zip.pth",
        "checkpoint_legacy.bin",
        "checkpoint_nested.pt",
    ] {
        let checkpoint = read_with_notes(&golden(name)).unwrap();
        check_golden_values(&checkpoint.arrays);
        let notes = checkpoint.notes.join(" ");
        assert!(
            notes.contains("bn.num_batches_tracked") && notes.contains("position_ids"),
            "{name}: {notes}"
        );
        assert_eq!(notes.contains("state_dict"), name.contains("nested"), "{notes}");
    }
}

#[test]
fn parity_safetensors_of_transformers_and_torchvision_are_read() {
    let arrays = read(&golden("bert_tiny.weights.safetensors")).unwrap();
    assert_eq!(arrays["bert.embeddings.word_embeddings.weight"].shape, [50, 32]);
    let io = read_safetensors_any(&golden("bert_tiny.io.safetensors")).unwrap();
    assert_eq!(io["in.input_ids"].int().unwrap().shape, [2, 11]);
    assert_eq!(io["out.pooled"].float().unwrap().shape, [2, 32]);
}

#[test]
fn what_is_written_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.safetensors");
    let array = Array {
        shape: vec![2, 2],
        data: vec![1.0, f32::MIN_POSITIVE, -0.0, 3.0],
    };
    let arrays = Arrays::from([("module.a".to_owned(), array.clone())]);
    write_safetensors(&path, &arrays).unwrap();
    assert_eq!(
        read_safetensors_any(&path).unwrap()["module.a"],
        AnyArray::Float(array.clone())
    );
    assert_eq!(read(&path).unwrap(), Arrays::from([("a".to_owned(), array)]));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn integers_are_kept_where_they_are_asked_for() {
    let io = read_safetensors_any(&golden("bert_tiny.io.safetensors")).unwrap();
    let AnyArray::Int(IntArray { data, .. }) = &io["in.attention_mask"] else {
        panic!("it is integer")
    };
    assert_eq!(data.iter().sum::<i64>(), 11 + 8);
}

#[test]
fn every_truncation_of_a_checkpoint_is_an_error_that_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    for name in [
        "checkpoint_zip.pth",
        "checkpoint_legacy.bin",
        "xrv_tiny.legacy.pt",
        "xrv_tiny.whole.pt",
        "resnet_tiny.weights.safetensors",
    ] {
        let bytes = fs::read(golden(name)).unwrap();
        let path = dir.path().join(name);
        for length in (0..bytes.len()).step_by(bytes.len() / 23) {
            fs::write(&path, &bytes[..length]).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(name), "{length}: {error}");
        }
    }
}

#[test]
fn a_file_that_would_grow_without_bound_is_refused() {
    let error = read(&golden("checkpoint_expanded.pt")).unwrap_err().to_string();
    assert!(error.contains("declares 4000000 bytes"), "{error}");
}

#[test]
fn a_checkpoint_is_read_whatever_its_name_says() {
    let dir = tempfile::tempdir().unwrap();
    for (file, name) in [
        ("resnet_tiny.weights.safetensors", "a.bin"),
        ("resnet_tiny.weights.safetensors", "a"),
        ("checkpoint_zip.pth", "a.safetensors"),
        ("checkpoint_zip.pth", "a.model"),
        ("checkpoint_legacy.bin", "a.SAFETENSORS"),
    ] {
        let path = dir.path().join(name);
        fs::copy(golden(file), &path).unwrap();
        assert_eq!(
            read(&path).unwrap(),
            read(&golden(file)).unwrap(),
            "{file} as {name}"
        );
    }
}

#[test]
fn what_was_saved_in_a_checkpoints_place_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let mut npz = b"PK\x03\x04".to_vec();
    npz.resize(26, 0);
    npz.extend(b"\x05\0\0\0a.npy");
    for (bytes, said) in [
        (&b""[..], "an empty file"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
            "git lfs pull",
        ),
        (b"<!DOCTYPE html>\n<html>Not found</html>", "a web page"),
        (b"<?xml version='1.0'?><Error>AccessDenied</Error>", "an XML file"),
        (b"{\"error\": \"gated\"}", "a JSON file"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "decompress it"),
        (b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "a ZIP archive"),
        (&npz, "a NumPy archive"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"Access denied\n", "plain text"),
    ] {
        for name in ["a.bin", "a.safetensors", "a.ckpt"] {
            let path = dir.path().join(name);
            fs::write(&path, bytes).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains(name), "{error}");
        }
    }
}

#[test]
fn what_is_no_checkpoint_is_refused_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weights.onnx");
    fs::write(&path, b"x").unwrap();
    assert!(read(&path).unwrap_err().to_string().contains(".safetensors"));
    assert!(
        read(&dir.path().join("no.pt"))
            .unwrap_err()
            .to_string()
            .contains("no.pt")
    );
    let wrong = Arrays::from([(
        "a".to_owned(),
        Array {
            shape: vec![3],
            data: vec![1.0],
        },
    )]);
    assert!(write_safetensors(&dir.path().join("y.safetensors"), &wrong).is_err());
}

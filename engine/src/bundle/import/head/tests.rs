//! Heads of published classifiers: TorchXRayVision's own class as `tests/golden/make_xrv.py` saved it, and made-up ones.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use serde_json::{Value, json};

use super::*;
use crate::bundle::checkpoint::{Checkpoint, read_safetensors_any, read_with_notes};
use crate::bundle::{AnyArray, import};
use crate::nn::{Trace, normalize, place, shapes};
use crate::systems::Model;
use crate::text::Specials;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/golden")
        .join(name)
}

fn table() -> &'static HeadNames {
    Table::of("findings").unwrap().head.as_ref().unwrap()
}

fn preset(name: &str) -> Vec<String> {
    Model::preset_labels("findings", name).unwrap()
}

fn settle(checkpoint: &mut Checkpoint, stem: &str, given: Option<&str>) -> Result<Settled, BundleError> {
    let given: Option<Vec<String>> = given.map(|names| names.split(',').map(str::to_owned).collect());
    let Checkpoint { arrays, words, .. } = checkpoint;
    let head = Head::read("findings", arrays, words, stem, given.as_deref())?.unwrap();
    head.settle(&preset("xrv"), arrays)
}

/// What the package says of the module that was saved: names as they are, thresholds as they are.
fn told() -> (Vec<String>, Vec<Option<f32>>) {
    let told: Value = serde_json::from_slice(&std::fs::read(golden("xrv_tiny.json")).unwrap()).unwrap();
    let names = serde_json::from_value(told["targets"].clone()).unwrap();
    (names, serde_json::from_value(told["op_threshs"].clone()).unwrap())
}

#[test]
fn parity_logits_labels_and_thresholds_are_torchxrayvisions() {
    let (names, thresholds) = told();
    let kept: Vec<usize> = (0..names.len()).filter(|at| !names[*at].is_empty()).collect();
    assert_eq!((names.len(), kept.len()), (18, 14));
    let io = read_safetensors_any(&golden("xrv_tiny.io.safetensors")).unwrap();
    let of = |name: &str| io[name].float().unwrap().clone();
    let (image, logits) = (of("in.image"), of("out.logits"));
    for (file, stem, whole) in [
        ("xrv_tiny.whole.pt", "mine", false),
        ("xrv_tiny.state.pt", "mine", false),
        // As published: neither names nor operating points, and the file's name is all there is to know them by.
        (
            "xrv_tiny.legacy.pt",
            "nih-densenet121-d121-tw-lr001-rot45-tr15-sc15-seed0-best",
            false,
        ),
        ("xrv_tiny.legacy.pt", "mine", true),
    ] {
        let mut checkpoint = read_with_notes(&golden(file)).unwrap();
        let Settled {
            arrays,
            labels,
            notes,
        } = settle(&mut checkpoint, stem, None).unwrap();
        let notes = notes.join(" ");
        let outputs: Vec<usize> = if whole { (0..18).collect() } else { kept.clone() };
        assert_eq!(labels.len(), outputs.len(), "{file}: {notes}");
        assert_eq!(notes.contains("4 of 18 outputs were left out"), !whole, "{notes}");
        assert_eq!(notes.contains("no operating points"), whole, "{notes}");
        assert!(notes.contains("Effusion is Pleural Effusion"), "{notes}");
        for (label, at) in labels.iter().zip(&outputs) {
            if !whole {
                let name = if names[*at] == "Effusion" {
                    "Pleural Effusion"
                } else {
                    &names[*at]
                };
                assert_eq!(label.name, name, "{file}");
                assert_eq!(
                    label.operating_point,
                    thresholds[*at].map(f64::from),
                    "{file} {name}"
                );
                assert_eq!(label.temperature, Some(1.0));
            }
        }

        let own: Vec<String> = labels.iter().map(|label| label.name.clone()).collect();
        let mut config = Model::config_with("findings", "xrv", &arrays, Some(&own)).unwrap();
        assert_eq!(
            config["encoder"]["densenet"],
            json!({"channels": 1, "width": 8, "growth": 4, "depths": [1, 2, 1, 1]})
        );
        config["preprocessing"]["size"] = 64.into();
        let device = Device::flex();
        let model = Model::new("findings", &config, Specials::BERT, &device).unwrap();
        let imported = import("findings", &arrays, &shapes(&model), false).unwrap();
        assert_eq!(imported.notes, Vec::<String>::new());
        let model = place(model, imported.arrays, &device).unwrap();
        let mut trace = Trace::on();
        let inputs = [("in.image".to_owned(), AnyArray::Float(image.clone()))];
        model.as_system().trace(&inputs.into(), &mut trace).unwrap();
        let found = &trace.into_arrays().unwrap()["out.logits"];
        for (row, expected) in found.data.chunks(outputs.len()).zip(logits.data.chunks(18)) {
            for (value, at) in row.iter().zip(&outputs) {
                assert!(
                    (value - expected[*at]).abs() < 1e-4,
                    "{file}: {value} {expected:?}"
                );
            }
        }
    }
}

#[test]
fn pixels_are_on_torchxrayvisions_scale() {
    let config = Model::config_for("findings", "xrv", &Arrays::new()).unwrap();
    let model = Model::new("findings", &config, Specials::BERT, &Device::flex()).unwrap();
    let norm = model.as_system().spec().preprocessing.norm;
    let pixels = TensorData::new(vec![0.0, 0.5, 1.0_f32], [1, 1, 1, 3]);
    let pixels = normalize(Tensor::from_data(pixels, &Device::flex()), norm, 1);
    assert_eq!(
        pixels.into_data().try_to_vec::<f32>().unwrap(),
        [-1024.0, 0.0, 1024.0]
    );
}

#[test]
fn every_published_file_is_known_by_its_name() {
    let rows = published(table());
    assert_eq!(rows.len(), 7);
    for row in &rows {
        assert_eq!(
            (row.labels.len(), row.op_threshs.len()),
            (18, 18),
            "{}",
            row.weights
        );
        for (label, point) in row.labels.iter().zip(&row.op_threshs) {
            assert_eq!(label.is_empty(), point.is_none(), "{} {label}", row.weights);
        }
    }
    assert!(rows.iter().any(|row| row.labels == preset("xrv")));
}

/// A head of `outputs` over two features, each weight its place.
fn checkpoint(outputs: usize, points: Option<&[f32]>) -> Checkpoint {
    let array = |shape: &[usize]| Array {
        shape: shape.to_vec(),
        data: (0..shape.iter().product()).map(|i: usize| i as f32).collect(),
    };
    let mut arrays = Arrays::from([
        ("densenet121.classifier.0.weight".to_owned(), array(&[outputs, 2])),
        ("densenet121.classifier.0.bias".to_owned(), array(&[outputs])),
    ]);
    if let Some(points) = points {
        let data = points.to_vec();
        let shape = vec![data.len()];
        arrays.insert("op_threshs".to_owned(), Array { shape, data });
    }
    Checkpoint {
        arrays,
        ..Checkpoint::default()
    }
}

#[test]
fn labels_may_be_given_and_an_empty_one_leaves_its_output_out() {
    let mut three = checkpoint(3, Some(&[0.25, f32::NAN, f32::NAN]));
    three.words.insert("targets".to_owned(), vec!["x".to_owned(); 4]);
    let settled = settle(&mut three, "", Some("Infiltrate,,Scoliosis")).unwrap();
    let names: Vec<&str> = settled.labels.iter().map(|l| l.name.as_str()).collect();
    assert_eq!(names, ["Infiltration", "Scoliosis"]);
    assert_eq!(settled.labels[0].operating_point, Some(0.25));
    assert_eq!(settled.labels[1].operating_point, None);
    let of = |name: &str| &settled.arrays[&format!("densenet121.classifier.0.{name}")];
    assert_eq!(of("weight").data, [0.0, 1.0, 4.0, 5.0]);
    assert_eq!(
        (&of("weight").shape, &of("bias").data),
        (&vec![2, 2], &vec![0.0, 2.0])
    );
    let notes = settled.notes.join(" ");
    for part in [
        "Its targets are 4 names for 3 outputs",
        "1 of 3 outputs were left out",
        "Scoliosis has no operating point and counts as present from a probability of 0.5 on",
    ] {
        assert!(notes.contains(part), "{part}: {notes}");
    }
    assert!(!settled.arrays.contains_key("op_threshs"));
}

#[test]
fn what_a_head_lacks_is_said() {
    let refused = |mut checkpoint: Checkpoint, given: Option<&str>| {
        settle(&mut checkpoint, "", given).unwrap_err().to_string()
    };
    let unnamed = refused(checkpoint(5, None), None);
    assert!(
        unnamed.contains("5 outputs") && unnamed.contains("--labels a,b,c"),
        "{unnamed}"
    );
    let few = refused(checkpoint(5, None), Some("a,b"));
    assert!(
        few.contains("names 2 labels") && few.contains("5 outputs"),
        "{few}"
    );
    assert!(refused(checkpoint(2, None), Some(",")).contains("none of its outputs has a name"));
    assert!(refused(checkpoint(2, Some(&[0.5])), Some("a,b")).contains("1 numbers for 2 outputs"));
    assert!(refused(checkpoint(2, Some(&[0.5, 1.5])), Some("a,b")).contains("1.5, which is no probability"));

    // Other models of the same package, whole or in part.
    let one = || Array {
        shape: vec![1],
        data: vec![0.0],
    };
    for (name, says) in [
        ("layer4.2.conv3.weight", "512 px"),
        ("model.layer4.2.conv3.weight", "512 px"),
        ("uplayer1.0.conv1.weight", "autoencoder"),
    ] {
        let mut other = checkpoint(18, None);
        other.arrays.insert(name.to_owned(), one());
        other.arrays.insert("layer4.0.bn1.weight".to_owned(), one());
        let text = refused(other, None);
        assert!(
            text.contains(says) && text.contains("densenet121-res224-all"),
            "{text}"
        );
    }
    // An encoder alone has no head, and labels have nothing to name.
    let mut bare = Arrays::from([("features.conv0.weight".to_owned(), one())]);
    let none = BTreeMap::new();
    assert!(
        Head::read("findings", &mut bare, &none, "", None)
            .unwrap()
            .is_none()
    );
    let given = ["a".to_owned()];
    assert!(Head::read("findings", &mut bare, &none, "", Some(&given)).is_err());
    assert!(
        Head::read("medvill", &mut bare, &none, "", None)
            .unwrap()
            .is_none()
    );
    assert!(Head::read("medvill", &mut bare, &none, "", Some(&given)).is_err());
}

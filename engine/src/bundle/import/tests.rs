//! Tests of the import tables, on made-up checkpoints and, where the folder is set, on the reference tensors.
use std::path::PathBuf;

use super::*;
use crate::nn::{DenseNet, DenseNetConfig};

type Shapes = BTreeMap<String, Vec<usize>>;

/// The sizes of a MedViLL.
struct Sizes {
    width: usize,
    blocks: [usize; 4],
    hidden: usize,
    inner: usize,
    layers: usize,
    vocabulary: usize,
    positions: usize,
}

const TINY: Sizes = Sizes {
    width: 8,
    blocks: [3, 4, 6, 3],
    hidden: 64,
    inner: 128,
    layers: 2,
    vocabulary: 120,
    positions: 64,
};

fn put(shapes: &mut Shapes, name: String, shape: &[usize]) {
    shapes.insert(name, shape.to_vec());
}

fn linear(shapes: &mut Shapes, name: &str, output: usize, input: usize) {
    put(shapes, format!("{name}.weight"), &[output, input]);
    put(shapes, format!("{name}.bias"), &[output]);
}

fn norm(shapes: &mut Shapes, name: &str, width: usize, statistics: bool) {
    let more: &[&str] = if statistics {
        &["running_mean", "running_var"]
    } else {
        &[]
    };
    for part in ["weight", "bias"].iter().chain(more) {
        put(shapes, format!("{name}.{part}"), &[width]);
    }
}

fn resnet(shapes: &mut Shapes, width: usize, blocks: [usize; 4]) -> usize {
    put(shapes, "image.conv1.weight".to_owned(), &[width, 3, 7, 7]);
    norm(shapes, "image.bn1", width, true);
    let mut input = width;
    for (stage, count) in blocks.into_iter().enumerate() {
        let inner = width << stage;
        for block in 0..count {
            let at = format!("image.layer{}.{block}", stage + 1);
            put(shapes, format!("{at}.conv1.weight"), &[inner, input, 1, 1]);
            put(shapes, format!("{at}.conv2.weight"), &[inner, inner, 3, 3]);
            put(shapes, format!("{at}.conv3.weight"), &[4 * inner, inner, 1, 1]);
            norm(shapes, &format!("{at}.bn1"), inner, true);
            norm(shapes, &format!("{at}.bn2"), inner, true);
            norm(shapes, &format!("{at}.bn3"), 4 * inner, true);
            if block == 0 {
                put(
                    shapes,
                    format!("{at}.downsample.0.weight"),
                    &[4 * inner, input, 1, 1],
                );
                norm(shapes, &format!("{at}.downsample.1"), 4 * inner, true);
            }
            input = 4 * inner;
        }
    }
    input
}

fn bert(shapes: &mut Shapes, sizes: &Sizes) {
    let hidden = sizes.hidden;
    put(
        shapes,
        "text.word_embeddings.weight".to_owned(),
        &[sizes.vocabulary, hidden],
    );
    put(
        shapes,
        "text.position_embeddings.weight".to_owned(),
        &[sizes.positions, hidden],
    );
    put(
        shapes,
        "text.token_type_embeddings.weight".to_owned(),
        &[2, hidden],
    );
    norm(shapes, "text.norm", hidden, false);
    for layer in 0..sizes.layers {
        let at = format!("encoder.layer.{layer}");
        for part in ["query", "key", "value", "output"] {
            linear(shapes, &format!("{at}.attention.{part}"), hidden, hidden);
        }
        norm(shapes, &format!("{at}.attention.norm"), hidden, false);
        linear(shapes, &format!("{at}.intermediate"), sizes.inner, hidden);
        linear(shapes, &format!("{at}.output"), hidden, sizes.inner);
        norm(shapes, &format!("{at}.output_norm"), hidden, false);
    }
    linear(shapes, "pooler", hidden, hidden);
    linear(shapes, "mlm.transform", hidden, hidden);
    norm(shapes, "mlm.norm", hidden, false);
    put(shapes, "mlm.decoder.bias".to_owned(), &[sizes.vocabulary]);
}

fn medvill(sizes: &Sizes) -> Shapes {
    let mut shapes = Shapes::new();
    let features = resnet(&mut shapes, sizes.width, sizes.blocks);
    bert(&mut shapes, sizes);
    linear(&mut shapes, "visual.projection", sizes.hidden, features);
    linear(&mut shapes, "itm", 2, sizes.hidden);
    shapes
}

fn array(shape: &[usize], seed: f32) -> Array {
    let data = (0..shape.iter().product())
        .map(|i: usize| seed + i as f32)
        .collect();
    Array {
        shape: shape.to_vec(),
        data,
    }
}

fn problems(result: Result<Imported, BundleError>) -> Vec<String> {
    match result {
        Err(BundleError::Import { problems }) => problems,
        other => panic!("an import error was expected, not {other:?}"),
    }
}

fn parity_file(name: &str) -> Option<PathBuf> {
    let file = std::env::var_os("HILUM_PARITY_DIR").map(|dir| PathBuf::from(dir).join(name));
    match file {
        Some(file) if file.is_file() => Some(file),
        _ => {
            eprintln!("skipped: HILUM_PARITY_DIR with {name} is not set");
            None
        }
    }
}

#[test]
fn patterns_match_whole_names_only() {
    assert_eq!(rename("a.*.c", "x.*", "a.1.c").as_deref(), Some("x.1"));
    assert_eq!(rename("a.**", "x.**", "a.1.c").as_deref(), Some("x.1.c"));
    assert_eq!(rename("a*.b.*", "x*.y*", "a1.b.2").as_deref(), Some("x1.y2"));
    for (pattern, name) in [
        ("a.*.c", "a.1.c.d"),
        ("a.*", "a"),
        ("a.**", "a"),
        ("a.b", "a.bc"),
        ("a.b", "a.b.c"),
        ("a*", "a"),
    ] {
        assert_eq!(rename(pattern, "x", name), None, "{pattern} {name}");
    }
}

#[test]
fn the_three_spellings_of_medvill_and_its_parts_meet_in_one_name() {
    let table = Table::of("medvill").unwrap();
    let is = |name: &str, canonical: &str| {
        assert_eq!(table.target(name), Target::Name(canonical.to_owned()), "{name}");
    };
    is(
        "enc.img_encoder.model.6.4.bn2.running_var",
        "image.layer3.4.bn2.running_var",
    );
    is(
        "img_encoder.model.4.0.downsample.0.weight",
        "image.layer1.0.downsample.0.weight",
    );
    is("layer4.2.conv3.weight", "image.layer4.2.conv3.weight");
    is(
        "features.denseblock3.denselayer24.conv2.weight",
        "image.denseblock3.denselayer24.conv2.weight",
    );
    is(
        "features.denseblock3.denselayer24.norm.1.running_var",
        "image.denseblock3.denselayer24.norm1.running_var",
    );
    is(
        "features.transition2.norm.weight",
        "image.transition2.norm.weight",
    );
    is(
        "enc.encoder.layer.11.attention.output.LayerNorm.weight",
        "encoder.layer.11.attention.norm.weight",
    );
    is(
        "bert.encoder.layer.3.output.LayerNorm.gamma",
        "encoder.layer.3.output_norm.weight",
    );
    is(
        "encoder.layer.3.attention.self.key.bias",
        "encoder.layer.3.attention.key.bias",
    );
    is("bert.embeddings.LayerNorm.beta", "text.norm.bias");
    is(
        "bert.img_embeddings.img_embeddings.weight",
        "visual.projection.weight",
    );
    is("cls.predictions.bias", "mlm.decoder.bias");
    is("mlm.predictions.decoder.weight", "text.word_embeddings.weight");
    is("itm.linear.weight", "itm.weight");
    is(
        "encoder.layer.3.attention.norm.bias",
        "encoder.layer.3.attention.norm.bias",
    );
    assert!(matches!(table.target("bert.fc.weight"), Target::Dropped(_)));
    assert_eq!(table.target("optimizer.state"), Target::Unknown);
}

/// A small model and a checkpoint of it under the release's names.
fn small() -> (Shapes, Arrays) {
    let mut shapes = Shapes::new();
    linear(&mut shapes, "itm", 2, 4);
    put(&mut shapes, "text.word_embeddings.weight".to_owned(), &[6, 4]);
    put(&mut shapes, "mlm.decoder.bias".to_owned(), &[6]);
    let arrays = [
        ("itm.linear.weight", array(&[2, 4], 0.0)),
        ("itm.linear.bias", array(&[2], 1.0)),
        ("enc.txt_embeddings.word_embeddings.weight", array(&[6, 4], 2.0)),
        ("enc.img_embeddings.word_embeddings.weight", array(&[6, 4], 2.0)),
        ("mlm.predictions.decoder.weight", array(&[6, 4], 2.0)),
        ("mlm.predictions.bias", array(&[6], 3.0)),
        ("fc.bias", array(&[9], 3.0)),
    ];
    (
        shapes,
        arrays
            .into_iter()
            .map(|(name, array)| (name.to_owned(), array))
            .collect(),
    )
}

#[test]
fn copies_and_a_tied_decoder_are_accepted() {
    let (shapes, arrays) = small();
    let imported = import("medvill", &arrays, &shapes, false).unwrap();
    assert_eq!(
        imported.arrays["text.word_embeddings.weight"],
        array(&[6, 4], 2.0)
    );
    assert_eq!(imported.arrays["itm.bias"], array(&[2], 1.0));
    assert_eq!(imported.arrays.len(), shapes.len());
    assert!(
        imported.notes.iter().any(|note| note.contains("fc.bias")),
        "{:?}",
        imported.notes
    );
}

#[test]
fn copies_that_differ_are_named_both() {
    let (shapes, mut arrays) = small();
    arrays.insert(
        "enc.img_embeddings.word_embeddings.weight".to_owned(),
        array(&[6, 4], 9.0),
    );
    let problems = problems(import("medvill", &arrays, &shapes, true));
    // The odd one is the first by name, so each of the others differs from it.
    assert_eq!(problems.len(), 2);
    assert!(
        problems
            .iter()
            .all(|p| p.contains("enc.img_embeddings.word_embeddings.weight")),
        "{problems:?}"
    );
    assert!(
        problems[0].contains("enc.txt_embeddings.word_embeddings.weight"),
        "{problems:?}"
    );
}

#[test]
fn missing_left_over_and_misshapen_tensors_are_all_named_with_their_shapes() {
    let (shapes, mut arrays) = small();
    arrays.remove("itm.linear.bias");
    arrays.insert("itm.linear.weight".to_owned(), array(&[3, 4], 0.0));
    arrays.insert("strange.weight".to_owned(), array(&[5], 0.0));
    arrays.insert("enc.pooler.dense.bias".to_owned(), array(&[4], 0.0));
    let text = problems(import("medvill", &arrays, &shapes, false)).join("\n");
    for part in [
        "itm.bias of shape [2] is missing",
        "itm.linear.weight has the shape [3, 4] where itm.weight has [2, 4]",
        "strange.weight of shape [5] is left over",
        "enc.pooler.dense.bias of shape [4] is left over, the model has no pooler.bias",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn with_allow_missing_only_what_is_wrong_is_an_error() {
    let (shapes, mut arrays) = small();
    arrays.remove("itm.linear.bias");
    arrays.insert("enc.pooler.dense.bias".to_owned(), array(&[4], 0.0));
    arrays.insert("visual.projection.bias".to_owned(), array(&[4], 0.0));
    arrays.insert("vqa.0.bias".to_owned(), array(&[4], 0.0));
    let imported = import("medvill", &arrays, &shapes, true).unwrap();
    assert_eq!(imported.arrays.len(), shapes.len() - 1);
    assert!(
        imported
            .notes
            .iter()
            .any(|note| note.contains("itm.bias of shape [2] is missing"))
    );
    for part in [
        "no pooler.bias",
        "no visual.projection.bias",
        "vqa.0.bias of shape [4] is left over, no part",
    ] {
        assert!(
            imported.notes.iter().any(|note| note.contains(part)),
            "{part}: {:?}",
            imported.notes
        );
    }
    // Another shape stays an error, for the model would be half what the user asked for.
    arrays.insert("itm.linear.weight".to_owned(), array(&[3, 4], 0.0));
    assert_eq!(problems(import("medvill", &arrays, &shapes, true)).len(), 1);
    let stranger = Arrays::from([("fc.weight".to_owned(), array(&[2], 0.0))]);
    let text = problems(import("medvill", &stranger, &shapes, true)).join("\n");
    assert!(
        text.contains("none of its 1 tensors belongs to medvill"),
        "{text}"
    );
}

#[test]
fn a_system_without_a_table_is_named_with_those_that_have_one() {
    let error = import("lungnet", &Arrays::new(), &Shapes::new(), false)
        .unwrap_err()
        .to_string();
    assert!(error.contains("lungnet") && error.contains("medvill"), "{error}");
}

#[test]
fn parity_golden_bert_and_resnet_are_imported_whole() {
    let read = |name: &str| {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("../tests/golden")
            .join(name);
        crate::bundle::checkpoint::read(&path).unwrap()
    };
    let mut shapes = Shapes::new();
    bert(
        &mut shapes,
        &Sizes {
            hidden: 32,
            inner: 64,
            vocabulary: 50,
            positions: 24,
            ..TINY
        },
    );
    let checkpoint = read("bert_tiny.weights.safetensors");
    let imported = import("medvill", &checkpoint, &shapes, false).unwrap();
    let key = "bert.encoder.layer.1.attention.self.key.weight";
    assert_eq!(
        imported.arrays["encoder.layer.1.attention.key.weight"],
        checkpoint[key]
    );

    let mut shapes = Shapes::new();
    resnet(&mut shapes, 4, [1, 2, 1, 1]);
    assert_eq!(
        import(
            "medvill",
            &read("resnet_tiny.weights.safetensors"),
            &shapes,
            false
        )
        .unwrap()
        .arrays
        .len(),
        shapes.len()
    );
}

#[test]
fn parity_medvill_release_is_imported_whole() {
    let Some(path) = parity_file("medvill_tiny.weights.safetensors") else {
        return;
    };
    let checkpoint = crate::bundle::checkpoint::read(&path).unwrap();
    let shapes = medvill(&TINY);
    let imported = import("medvill", &checkpoint, &shapes, false).unwrap();
    assert_eq!(imported.arrays.len(), shapes.len());
    assert_eq!(imported.notes, Vec::<String>::new());
    assert_eq!(
        imported.arrays["image.layer2.1.bn3.running_var"],
        checkpoint["enc.img_encoder.model.5.1.bn3.running_var"]
    );

    // Fine-tuned files drop `enc.` and say `cls.` for `mlm.`.
    let tuned = checkpoint.iter().map(|(name, array)| {
        let name = name
            .strip_prefix("enc.")
            .unwrap_or(name)
            .replace("mlm.predictions", "cls.predictions");
        (name, array.clone())
    });
    let tuned = import("medvill", &tuned.collect(), &shapes, false).unwrap();
    assert_eq!(tuned.arrays, imported.arrays);
}

#[test]
fn parity_bert_and_resnet_are_imported_as_parts() {
    let files = [
        "bert_h64.weights.safetensors",
        "bert_h64_legacy_names.weights.safetensors",
    ];
    let [Some(new), Some(legacy)] = files.map(parity_file) else {
        return;
    };
    let Some(resnet_path) = parity_file("resnet50_w8.weights.safetensors") else {
        return;
    };
    let mut shapes = Shapes::new();
    bert(&mut shapes, &TINY);
    let read = |path: PathBuf| crate::bundle::checkpoint::read(&path).unwrap();
    let new = import("medvill", &read(new), &shapes, false).unwrap();
    let legacy = import("medvill", &read(legacy), &shapes, false).unwrap();
    assert_eq!(new.arrays, legacy.arrays);

    let mut shapes = Shapes::new();
    resnet(&mut shapes, TINY.width, TINY.blocks);
    let imported = import("medvill", &read(resnet_path), &shapes, false).unwrap();
    assert_eq!(imported.arrays.len(), shapes.len());
    assert!(
        imported.notes.iter().all(|note| note.contains("fc.")),
        "{:?}",
        imported.notes
    );
}

#[test]
fn parity_full_size_names_and_shapes_are_all_known() {
    let Some(path) = parity_file("full_size_manifests.json") else {
        return;
    };
    let all: BTreeMap<String, Shapes> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let full = Sizes {
        width: 64,
        blocks: [3, 4, 6, 3],
        hidden: 768,
        inner: 3072,
        layers: 12,
        vocabulary: 30522,
        positions: 512,
    };
    let expected = medvill(&full);
    let table = Table::of("medvill").unwrap();
    let mut matched = 0;
    for part in ["torchvision.resnet50", "hf.bert-base-uncased.BertForPreTraining"] {
        for (name, shape) in &all[part] {
            match table.target(name) {
                Target::Name(target) => {
                    assert_eq!(expected.get(&target), Some(shape), "{name}");
                    matched += 1;
                }
                Target::Dropped(_) => {}
                Target::Unknown => panic!("{name} is unknown"),
            }
        }
    }
    assert!(matched > 400, "{matched}");
    // Clinical-BERT's text and encoder have the same names; of BERT it has no pooler and no head.
    let table = Table::of("clinical-bert").unwrap();
    let named = all["hf.bert-base-uncased.BertForPreTraining"].iter();
    let named: Vec<(String, &Vec<usize>)> = named
        .filter_map(|(name, shape)| match table.target(name) {
            Target::Name(target) => Some((target, shape)),
            Target::Dropped(_) => None,
            Target::Unknown => panic!("{name} is unknown"),
        })
        .collect();
    assert_eq!(named.len(), 5 + 12 * 16);
    for (target, shape) in named {
        assert_eq!(expected.get(&target), Some(shape), "{target}");
    }
}

#[test]
fn parity_names_and_shapes_of_densenet_121_are_all_known() {
    let Some(path) = parity_file("full_size_manifests.json") else {
        return;
    };
    let all: BTreeMap<String, Shapes> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let net = DenseNet::new(&DenseNetConfig::densenet121(), &burn::tensor::Device::flex());
    let expected: Shapes = crate::nn::shapes(&net)
        .into_iter()
        .map(|(name, shape)| (format!("image.{name}"), shape))
        .collect();
    for system in ["medvill", "clinical-bert"] {
        let table = Table::of(system).unwrap();
        let mut expected = expected.clone();
        for (name, shape) in &all["torchvision.densenet121"] {
            match table.target(name) {
                Target::Name(target) => assert_eq!(expected.remove(&target).as_ref(), Some(shape), "{name}"),
                Target::Dropped(_) => assert!(
                    name.contains("num_batches") || name.starts_with("classifier"),
                    "{name}"
                ),
                Target::Unknown => panic!("{name} is unknown"),
            }
        }
        assert!(expected.is_empty(), "{system}: {expected:?}");
    }
}

#[test]
fn clinical_bert_takes_bert_base_and_densenet_121() {
    let table = Table::of("clinical-bert").unwrap();
    let name = |theirs: &str| match table.target(theirs) {
        Target::Name(own) => own,
        other => format!("{other:?}"),
    };
    for (theirs, own) in [
        (
            "bert.embeddings.word_embeddings.weight",
            "text.word_embeddings.weight",
        ),
        ("embeddings.LayerNorm.gamma", "text.norm.weight"),
        (
            "bert.encoder.layer.11.attention.self.query.bias",
            "encoder.layer.11.attention.query.bias",
        ),
        (
            "encoder.layer.3.output.LayerNorm.beta",
            "encoder.layer.3.output_norm.bias",
        ),
        ("features.conv0.weight", "image.conv0.weight"),
        (
            "features.denseblock3.denselayer24.norm.1.running_mean",
            "image.denseblock3.denselayer24.norm1.running_mean",
        ),
        (
            "features.transition2.conv.weight",
            "image.transition2.conv.weight",
        ),
    ] {
        assert_eq!(name(theirs), own);
    }
    for left in [
        "bert.pooler.dense.weight",
        "cls.predictions.bias",
        "cls.seq_relationship.weight",
        "classifier.weight",
    ] {
        assert!(matches!(table.target(left), Target::Dropped(_)), "{left}");
    }
}

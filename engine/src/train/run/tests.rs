//! The engine with a system that is none of the five: what a system must bring is all that it brings.

use std::ops::ControlFlow;

use super::*;
use crate::bundle::{Bundle, Dtype};
use crate::data::phantom::Institution;
use crate::data::{Format, Layout, ReadOptions, Split, Study, WriteOptions, load, write_phantoms};
use crate::image::{WindowChoice, decode_file};
use crate::systems::medvill::MedVillConfig;
use crate::systems::pixels::PixelsConfig;
use crate::systems::{SystemConfig, Task};
use crate::tasks::{
    EvaluateOptions, Session, Subject, TaskError, TaskRequest, TaskResult, evaluate, perform,
};
use crate::train::{ExportOptions, Which, export, train};

/// The newest weights, as they are.
const NEWEST: ExportOptions = ExportOptions {
    weights: Dtype::F32,
    which: Which::Newest,
    average: false,
    name: None,
    data: None,
    command: None,
};

fn config(out: &Path, steps: usize, objective: &str) -> RunConfig {
    let text = format!(
        "system = \"pixels\"\npreset = \"tiny\"\nout = {out:?}\nseed = 3\ncheckpoint_every = 10\n[data]\nroots = []\naugment = true\n\
         [objectives]\n{objective} = 1.0\n[optim]\nlr = 3e-3\nbatch = 16\nsteps = {steps}\nschedule = \"constant\"\nwarmup = 0.0\n"
    );
    toml::from_str(&text).unwrap()
}

fn phantoms(root: &Path, count: usize, size: usize, seed: u64, split_all: Option<Split>) -> Vec<Study> {
    let options = WriteOptions {
        root: root.to_owned(),
        layout: Layout::MimicCxr,
        count,
        size,
        format: Format::Png,
        seed,
        split_all,
        institution: Institution::First,
    };
    write_phantoms(&options, &mut |_| ()).unwrap();
    load(root, None, &ReadOptions::default()).unwrap().studies
}

fn losses(dir: &Path, name: &str) -> Vec<f32> {
    let lines = std::fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
    let value = |line: &str| serde_json::from_str::<Line>(line).unwrap().values[name];
    lines.lines().map(value).collect()
}

fn mean(part: &[f32]) -> f32 {
    part.iter().sum::<f32>() / part.len() as f32
}

#[test]
fn another_system_trains_resumes_exports_loads_and_serves() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let studies = phantoms(&data, 200, 64, 4, None);
    let device = Device::flex();
    let go = |config: &RunConfig, resume: bool| {
        train(config, &studies, &[], &device, resume, &|| false, &|_| ()).unwrap();
        Run::open(&config.out, Which::Newest).unwrap()
    };
    let whole_config = |name: &str, steps: usize| {
        let mut config = config(&dir.path().join(name), steps, "findings");
        config.data.roots = vec![data.clone()];
        config
    };
    // It trains, and a run that was broken off ends as one that was not, bit for bit.
    let whole = go(&whole_config("whole", 60), false);
    go(&whole_config("broken", 20), false);
    let resumed = go(&whole_config("broken", 60), true);
    assert_eq!(whole.step, 60);
    assert!(
        whole.weights["head.weight"].data == resumed.weights["head.weight"].data,
        "the resumed run ends elsewhere"
    );
    let learned = losses(&whole.dir, "findings");
    // The first loss is that of a model that knows nothing: ln 2.
    assert!((learned[0] - std::f32::consts::LN_2).abs() < 1e-5);
    assert!(mean(&learned[50..]) < 0.8 * learned[0], "{learned:?}");
    // Its checkpoint is scored as `hilum evaluate` scores it.
    let log = std::fs::read_to_string(whole.dir.join("metrics.jsonl")).unwrap();
    let last: Line = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    let validated = last.values["validation_findings_macro_auroc"];
    assert!(last.values.contains_key("validation_findings"));

    // It exports, and the bundle opens.
    let root = dir.path().join("bundle");
    let manifest = export(std::slice::from_ref(&whole.dir), &root, &NEWEST, &device, &|_| ()).unwrap();
    assert_eq!(
        (manifest.system.as_str(), &manifest.tasks[..]),
        ("pixels", &[Task::Findings][..])
    );
    assert_eq!(manifest.labels.len(), 14);
    let session = Session::open(&Bundle::open(&root).unwrap(), &device).unwrap();

    // It is evaluated, with the same score: the areas of labels do not hang on their temperatures.
    let held_out: Vec<Study> = studies
        .iter()
        .filter(|s| s.split == Split::Validate)
        .cloned()
        .collect();
    let evaluated = |task| {
        pollster::block_on(evaluate(
            &session,
            task,
            &held_out,
            &EvaluateOptions::default(),
            |_| (),
        ))
    };
    let cases = evaluated(Task::Findings).unwrap();
    assert!((cases.all()["macro_auroc"] - f64::from(validated)).abs() < 1e-6);
    assert!(evaluated(Task::Vqa).is_err());

    // It answers the worker's protocol, and says what it does not offer.
    let radiograph = decode_file(&held_out[0].image).unwrap();
    let image = session.encode(&radiograph, &WindowChoice::Default).unwrap();
    let ask = |request: TaskRequest| {
        let subject = Subject {
            image: Some(&image),
            gallery: None,
        };
        let go_on = async |_| ControlFlow::Continue(());
        pollster::block_on(perform(&session, &request, subject, &|| 0.0, go_on))
    };
    let Ok(TaskResult::Findings(readings)) = ask(TaskRequest::Findings) else {
        panic!("no findings")
    };
    assert_eq!(readings.len(), 14);
    assert!(readings.is_sorted_by(|a, b| a.probability >= b.probability));
    let refused = ask(TaskRequest::Draft).unwrap_err();
    assert!(matches!(refused, TaskError::NotOffered { .. }));
    assert!(refused.to_string().contains("draft") && refused.to_string().contains("findings"));

    // It traces.
    let size = session.spec().preprocessing.size;
    let pixels = crate::nn::Array {
        shape: vec![1, 1, size, size],
        data: image.prepared.pixels.clone(),
    };
    let mut trace = nn::Trace::on();
    let given = [("in.image".to_owned(), nn::AnyArray::Float(pixels))].into();
    session.system().trace(&given, &mut trace).unwrap();
    let traced = trace.into_arrays().unwrap();
    assert_eq!(traced["out.logits"].shape, [1, 14]);
    assert!(
        session
            .system()
            .trace(&Default::default(), &mut nn::Trace::off())
            .is_err()
    );

    // A run's model is that of its own system, in its own folder and as another's beginning.
    let wrong = whole.model_config::<MedVillConfig>().unwrap_err().to_string();
    assert!(wrong.contains("pixels") && wrong.contains("medvill"), "{wrong}");
    let mut other = whole_config("whole", 80);
    other.system = "medvill".to_owned();
    let wrong = train(&other, &studies, &[], &device, true, &|| false, &|_| ()).unwrap_err();
    assert!(wrong.to_string().contains("pixels"), "{wrong}");
    let mut unknown = whole_config("unknown", 1);
    unknown.system = "oracle".to_owned();
    let error = train(&unknown, &studies, &[], &device, false, &|| false, &|_| ())
        .unwrap_err()
        .to_string();
    assert!(error.contains("oracle") && error.contains("medvill"), "{error}");
}

#[test]
fn a_bundle_is_refused_where_it_does_not_fit_its_model() {
    let device = Device::flex();
    let config = PixelsConfig::preset("tiny").unwrap();
    let model = || -> crate::systems::Model {
        crate::systems::pixels::Pixels::init(&config, crate::text::Specials::BERT, &device)
            .unwrap()
            .into()
    };
    let mut manifest = crate::bundle::Manifest::new("b", "pixels", "tiny", serde_json::Value::Null);
    manifest.tasks = vec![Task::Findings];
    let open = |manifest: &crate::bundle::Manifest, tokenizer: Option<crate::text::Tokenizer>| {
        Session::from_parts(manifest.clone(), model(), tokenizer, device.clone())
            .map(|_| ())
            .map_err(|e| e.to_string())
    };
    let error = open(&manifest, None).unwrap_err();
    assert!(
        error.contains("14 labels") && error.contains("names 0"),
        "{error}"
    );
    let set = crate::text::LabelSet::chexpert14();
    manifest.labels = set.labels.iter().map(crate::bundle::Label::new).collect();
    open(&manifest, None).unwrap();
    let texts = ["no effusion".to_owned(), "the heart is large".to_owned()];
    let tokenizer = crate::text::Tokenizer::train(texts.into_iter(), 60).unwrap();
    let error = open(&manifest, Some(tokenizer)).unwrap_err();
    assert!(error.contains("80"), "{error}");
}

#[test]
fn images_alone_and_words_alone_can_be_learned_from() {
    let dir = tempfile::tempdir().unwrap();
    let studies = phantoms(&dir.path().join("data"), 32, 64, 5, Some(Split::Train));
    let device = Device::flex();
    let go = |name: &str, objective: &str, studies: &[Study]| {
        let config = config(&dir.path().join(name), 30, objective);
        train(&config, studies, &[], &device, false, &|| false, &|_| ()).map(|_| config.out)
    };
    let silent: Vec<Study> = studies
        .iter()
        .cloned()
        .map(|study| Study {
            report: Default::default(),
            questions: Vec::new(),
            ..study
        })
        .collect();
    let run = go("images", "findings", &silent).unwrap();
    assert!(Run::tokenizer(&run).unwrap().is_none());
    let learned = losses(&run, "findings");
    assert!(mean(&learned[25..]) < learned[0], "{learned:?}");

    let blind = without_images(&studies);
    let run = go("words", "words", &blind).unwrap();
    let learned = losses(&run, "words");
    assert!(mean(&learned[25..]) < learned[0], "{learned:?}");
    let error = go("none", "findings", &blind).unwrap_err().to_string();
    assert!(error.contains("no study with an image"), "{error}");
}

#[test]
fn the_recurrent_writer_learns_four_phantoms_by_heart() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let studies = phantoms(&data, 4, 96, 9, Some(Split::Train));
    let text = format!(
        "system = \"medvill\"\npreset = \"tiny\"\nout = {:?}\nseed = 1\n[model]\nbaseline = \"tienet\"\n[data]\nroots = []\n\
         [objectives]\nreport = 1.0\n[optim]\nrate = 1e-2\nimage_rate = 0.0\nbatch = 4\nsteps = 150\n",
        dir.path().join("run")
    );
    let config: RunConfig = toml::from_str(&text).unwrap();
    let losses = std::cell::RefCell::new(Vec::new());
    let keep = |progress: Progress<'_>| {
        if let Progress::Step(_, _, values) = progress {
            losses.borrow_mut().push(values["report"]);
        }
    };
    train(&config, &studies, &[], &Device::flex(), false, &|| false, &keep).unwrap();
    let losses = losses.into_inner();
    assert!(
        losses[0] > 3.0 && losses[149] < 0.3,
        "{} .. {}",
        losses[0],
        losses[149]
    );
}

/// MedViLL from films that nobody wrote of, as NIH publishes them, and from reports without films.
fn without_images(studies: &[Study]) -> Vec<Study> {
    let told = |study: &Study| Study {
        image: PathBuf::new(),
        ..study.clone()
    };
    studies.iter().map(told).collect()
}

#[test]
fn medvill_learns_from_films_alone_and_from_reports_alone() {
    let dir = tempfile::tempdir().unwrap();
    let studies = phantoms(&dir.path().join("data"), 12, 64, 6, Some(Split::Train));
    let device = Device::flex();
    let go = |name: &str, objectives: &str, studies: &[Study]| {
        let text = format!(
            "system = \"medvill\"\npreset = \"tiny\"\nout = {:?}\n[model]\npreprocessing = {{ size = 64 }}\nsampled = 3\n\
             ours = {{ findings_head = true }}\n[data]\nroots = []\n[objectives]\n{objectives}\n\
             [optim]\nlr = 3e-3\nbatch = 4\nsteps = 12\n",
            dir.path().join(name)
        );
        let config: RunConfig = toml::from_str(&text).unwrap();
        train(&config, studies, &[], &device, false, &|| false, &|_| ()).map(|_| config.out)
    };
    let films = |study: Study| Study {
        report: Default::default(),
        questions: Vec::new(),
        ..study
    };
    let films: Vec<Study> = studies.iter().cloned().map(films).collect();
    let run = go("films", "findings = 1.0", &films).unwrap();
    let learned = losses(&run, "findings");
    assert!(mean(&learned[9..]) < mean(&learned[..3]), "{learned:?}");
    let root = dir.path().join("bundle");
    let manifest = export(std::slice::from_ref(&run), &root, &NEWEST, &device, &|_| ()).unwrap();
    assert_eq!(
        (manifest.tasks.as_slice(), &manifest.tokenizer),
        (&[Task::Findings][..], &None)
    );
    let session = Session::open(&Bundle::open(&root).unwrap(), &device).unwrap();
    let cases = pollster::block_on(evaluate(
        &session,
        Task::Findings,
        &films,
        &EvaluateOptions::default(),
        |_| (),
    ));
    assert_eq!(cases.unwrap().len(), 12);
    let error = go("mixed", "findings = 1.0\nmlm = 1.0", &films)
        .unwrap_err()
        .to_string();
    assert!(error.contains("hold no text"), "{error}");

    let run = go("reports", "mlm = 1.0", &without_images(&studies)).unwrap();
    let learned = losses(&run, "mlm");
    assert!(mean(&learned[9..]) < mean(&learned[..3]), "{learned:?}");
}

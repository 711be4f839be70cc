//! Training from the outside: a run that is killed and resumed ends as the run that was left alone, and
//! nothing is lost.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "it waits for processes that it kills")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

fn hilum() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hilum"));
    command.args(["--device", "cpu"]).env("RAYON_NUM_THREADS", "2");
    command
}

fn done(output: &Output) {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn phantoms(dir: &Path) -> PathBuf {
    let data = dir.join("data");
    done(
        &hilum()
            .args(["phantom", "--count", "24", "--size", "96", "--seed", "5", "--out"])
            .arg(&data)
            .output()
            .unwrap(),
    );
    data
}

/// A run that uses all that must come back: dropout, shifts, mixes, parts of a batch, an average, a trained
/// image encoder.
fn config(dir: &Path, data: &Path, name: &str, steps: usize, more: &str) -> PathBuf {
    let path = dir.join(format!("{name}.toml"));
    let text = format!(
        "system = \"medvill\"\npreset = \"tiny\"\nout = {:?}\nseed = 9\ncheckpoint_every = 2\n{more}\n\
         [model]\ndiagnosis = true\npreprocessing = {{ size = 64 }}\nsampled = 3\n\
         [data]\nroots = [{data:?}]\naugment = true\n\
         [objectives]\nmlm = 1.0\nitm = 1.0\ndiagnosis = 0.5\nreport = 1.0\n\
         [[mix]]\nshare = 2\nof = [\"mlm\", \"itm\"]\n[[mix]]\nshare = 1\nof = [\"diagnosis\", \"report\"]\n\
         [optim]\nrate = 1e-3\nbatch = 6\naccumulate = 2\nsteps = {steps}\nema = 0.9\nlayer_decay = 0.8\nweight_decay = 0.01\n",
        dir.join(name)
    );
    std::fs::write(&path, text).unwrap();
    path
}

fn newest(run: &Path) -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir(run.join("checkpoints"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.file_name().unwrap().to_str().unwrap().starts_with("step-"))
        .collect();
    found.sort();
    found.pop().unwrap()
}

/// The same of Medical X-VL: queues, the centre of the teacher's patches, masks and negatives, beside the teacher itself.
fn remembering(dir: &Path, data: &Path, name: &str, steps: usize) -> PathBuf {
    let path = dir.join(format!("{name}.toml"));
    let text = format!(
        "system = \"xvl\"\npreset = \"tiny\"\nout = {:?}\nseed = 9\ncheckpoint_every = 2\nvalidate = []\n\
         [model]\nbert.vocabulary = 300\nbert.dropout = 0.1\nbert.positions = 100\nmax_tokens = 60\n\
         [data]\nroots = [{data:?}]\naugment = true\n\
         [objectives]\ncontrast = 1.0\nitm = 1.0\nmlm = 1.0\nmim = 1.0\nreport = 1.0\n\
         [optim]\nrate = 1e-3\nbatch = 6\naccumulate = 2\nsteps = {steps}\nema = 0.9\n",
        dir.join(name)
    );
    std::fs::write(&path, text).unwrap();
    path
}

const FILES: [&str; 4] = [
    "weights.safetensors",
    "optimizer.safetensors",
    "average.safetensors",
    "state.json",
];

fn same(a: &Path, b: &Path) {
    let (a, b) = (newest(a), newest(b));
    assert_eq!(a.file_name(), b.file_name());
    let memory = "memory.safetensors";
    let files = FILES.into_iter().chain(a.join(memory).exists().then_some(memory));
    for file in files {
        let (a, b) = (
            std::fs::read(a.join(file)).unwrap(),
            std::fs::read(b.join(file)).unwrap(),
        );
        assert!(a == b, "{file} differs: {} and {} bytes", a.len(), b.len());
    }
}

/// The losses of a log by step, without what a clock said.
fn losses(run: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines = text.lines().map(|line| {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        let object = line.as_object_mut().unwrap();
        object.remove("seconds");
        object.remove("waited");
        line.to_string()
    });
    lines.collect()
}

#[test]
fn a_run_that_is_killed_again_and_again_ends_as_the_one_left_alone() {
    killed_again_and_again(&|dir, data, name| config(dir, data, name, 12, ""));
}

#[test]
fn a_run_that_remembers_is_killed_and_ends_as_the_one_left_alone() {
    killed_again_and_again(&|dir, data, name| remembering(dir, data, name, 12));
}

/// `config` writes a run's config into a folder: of data, under a name.
fn killed_again_and_again(config: &dyn Fn(&Path, &Path, &str) -> PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let data = phantoms(dir.path());
    let left_alone = config(dir.path(), &data, "alone");
    done(&hilum().arg("finetune").arg(left_alone).output().unwrap());
    let killed = config(dir.path(), &data, "killed");
    let mut kills = 0;
    // Later and later, so that it dies while it reads, computes and writes, and comes to an end at last.
    for attempt in 0..40u64 {
        let mut child = hilum()
            .args(["finetune", "--resume"])
            .arg(&killed)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let until = std::time::Instant::now() + Duration::from_millis(150 + 131 * attempt);
        let ended = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            if std::time::Instant::now() > until {
                break None;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        match ended {
            Some(status) => {
                assert!(status.success());
                break;
            }
            None => {
                child.kill().unwrap();
                child.wait().unwrap();
                kills += 1;
            }
        }
    }
    assert!(kills >= 2, "it was too quick to be killed: {kills}");
    println!("killed {kills} times");
    same(&dir.path().join("alone"), &dir.path().join("killed"));
    assert_eq!(
        losses(&dir.path().join("alone")),
        losses(&dir.path().join("killed"))
    );
}

#[test]
fn an_unfinished_checkpoint_is_no_checkpoint_and_a_full_disk_loses_the_last_interval_alone() {
    let dir = tempfile::tempdir().unwrap();
    let data = phantoms(dir.path());
    let run = dir.path().join("run");
    done(
        &hilum()
            .arg("finetune")
            .arg(config(dir.path(), &data, "run", 2, ""))
            .output()
            .unwrap(),
    );
    let whole = newest(&run);
    let before = std::fs::read(whole.join("weights.safetensors")).unwrap();
    // No file may grow beyond 300 kB: writing breaks off in the middle, as on a full disk.
    let next = config(dir.path(), &data, "run", 4, "");
    let failed = Command::new("sh")
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 600; exec \"$0\" --device cpu finetune --resume \"$1\"",
        ])
        .args([Path::new(env!("CARGO_BIN_EXE_hilum")), &next])
        .output()
        .unwrap();
    assert_eq!(failed.status.code(), Some(1));
    let message = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(
        message.contains("weights.safetensors") && !message.contains("panicked"),
        "{message}"
    );
    assert_eq!(newest(&run), whole);
    assert_eq!(std::fs::read(whole.join("weights.safetensors")).unwrap(), before);
    // What a process that died while writing leaves behind.
    std::fs::create_dir_all(run.join("checkpoints").join("unfinished")).unwrap();
    std::fs::write(
        run.join("checkpoints")
            .join("unfinished")
            .join("weights.safetensors"),
        &before[..100],
    )
    .unwrap();
    done(&hilum().args(["finetune", "--resume"]).arg(next).output().unwrap());
    assert!(newest(&run).ends_with("step-00000004"));
}

#[test]
fn the_best_checkpoint_is_kept_and_exported() {
    let dir = tempfile::tempdir().unwrap();
    let data = phantoms(dir.path());
    let best = "best = { key = \"validation_mlm\" }";
    done(
        &hilum()
            .arg("pretrain")
            .arg(config(dir.path(), &data, "run", 6, best))
            .output()
            .unwrap(),
    );
    let values: Vec<(f64, u64)> = losses(&dir.path().join("run"))
        .iter()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter_map(|line| Some((line["validation_mlm"].as_f64()?, line["step"].as_u64()?)))
        .collect();
    let lowest = values.iter().min_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
    let kept = dir
        .path()
        .join("run")
        .join("checkpoints")
        .join(format!("best-{:08}", lowest.1));
    assert!(kept.is_dir(), "{values:?}");
    let bundle = dir.path().join("bundle");
    let from = dir.path().join("run");
    done(
        &hilum()
            .arg("export")
            .arg("--from")
            .arg(from)
            .args(["--best", "--average", "--out"])
            .arg(&bundle)
            .output()
            .unwrap(),
    );
    let manifest = std::fs::read_to_string(bundle.join("bundle.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(
        manifest["tasks"],
        serde_json::json!(["draft", "findings", "retrieve"])
    );
    assert_eq!(manifest["labels"].as_array().unwrap().len(), 14);
    let unknown = "best = { key = \"validation_luck\" }";
    let refused = hilum()
        .arg("pretrain")
        .arg(config(dir.path(), &data, "other", 2, unknown))
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        message.contains("validation_luck") && message.contains("validation_mlm"),
        "{message}"
    );
}

#[test]
fn ablations_of_visual_features_and_the_recurrent_writer_have_rows() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = hilum();
    command.arg("tables").arg("--out").arg(dir.path()).args([
        "--seeds",
        "1",
        "--scale",
        "0.004",
        "--task",
        "generation",
    ]);
    for key in ["all-features", "r-101", "d-121", "tienet"] {
        command.args(["--variant", key]);
    }
    let made = command.arg("--json").output().unwrap();
    done(&made);
    let tables: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    let rows = tables["cells"]["first"]["generation"].as_object().unwrap();
    let names = [
        "MedViLL, D-121",
        "MedViLL, R-101",
        "MedViLL, all features",
        "TieNet's writer",
    ];
    assert_eq!(rows.keys().collect::<Vec<_>>(), names);
    let own = |run: &str| {
        std::fs::read_to_string(dir.path().join("seed-0/runs").join(run).join("config.toml")).unwrap()
    };
    assert!(own("all-features-pretraining").contains("sampled = 16"));
    assert!(
        own("d-121-first-generation").contains("growth = 8")
            && own("tienet-first-generation").contains("tienet")
    );
}

#[test]
fn tables_compare_variants_over_seeds_and_keep_what_they_made() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("tables");
    let make = |more: &[&str]| {
        let few = [
            "--seeds",
            "2",
            "--scale",
            "0.004",
            "--variant",
            "s2s",
            "--variant",
            "fine-tuning-only",
            "--task",
            "vqa",
        ];
        hilum()
            .arg("tables")
            .arg("--out")
            .arg(&out)
            .args(few)
            .args(more)
            .output()
            .unwrap()
    };
    let made = make(&["--json"]);
    done(&made);
    let tables: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    for institution in ["first", "second"] {
        let variants = tables["cells"][institution]["vqa"].as_object().unwrap();
        assert_eq!(variants.keys().collect::<Vec<_>>(), ["Fine-tuning only", "S2S"]);
        for cell in variants
            .values()
            .flat_map(|columns| columns.as_object().unwrap().values())
        {
            assert_eq!(cell["seeds"].as_array().unwrap().len(), 2, "{cell}");
            assert!((0.0..=1.0).contains(&cell["mean"].as_f64().unwrap()), "{cell}");
        }
    }
    let text = std::fs::read_to_string(out.join("tables.md")).unwrap();
    assert_eq!(
        text.lines().filter(|line| line.starts_with("| S2S |")).count(),
        2,
        "{text}"
    );
    assert!(
        std::fs::read_to_string(out.join("tables.svg"))
            .unwrap()
            .contains("vqa, institution second")
    );
    // A run that is there is not made again, and what it scored is not computed again.
    let run = out.join("seed-1/runs/s2s-second-vqa");
    let weights = std::fs::read(newest(&run).join("weights.safetensors")).unwrap();
    let again = make(&["--json"]);
    done(&again);
    assert_eq!(again.stdout, made.stdout);
    assert_eq!(
        std::fs::read(newest(&run).join("weights.safetensors")).unwrap(),
        weights
    );
    // Another scale would find what is there and call it its own.
    let other = hilum()
        .arg("tables")
        .arg("--out")
        .arg(&out)
        .args(["--seeds", "2", "--scale", "0.005"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(
        !other.status.success() && text.contains("0.004") && text.contains("another folder"),
        "{text}"
    );
    let refused = make(&["--variant", "none"]);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("fine-tuning-only"));
}

#[test]
fn a_classifier_learns_from_labels_from_boxes_and_from_views() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (data, run, config) = (at("nih"), at("run"), at("run.toml"));
    let drawn = [
        "phantom", "--layout", "nih14", "--count", "48", "--size", "96", "--seed", "5", "--split", "train",
    ];
    done(&hilum().args(drawn).arg("--out").arg(&data).output().unwrap());
    let text = format!(
        "system = \"findings\"\npreset = \"tiny\"\nout = {run:?}\nseed = 2\n[model]\nprojection = 16\n\
         [data]\nroots = [{data:?}]\n[data.augment]\nrotation = 8.0\ncrop = [0.8, 1.2]\nflip = true\n\
         [objectives]\nfindings = 1.0\nboxes = 0.5\ncontrast = 1.0\n[optim]\nlr = 4e-3\nbatch = 12\nsteps = 200\n"
    );
    std::fs::write(&config, text).unwrap();
    done(&hilum().arg("finetune").arg(&config).output().unwrap());
    let lines: Vec<serde_json::Value> = losses(&run)
        .iter()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    for objective in ["findings", "boxes", "contrast"] {
        // A batch without a box has no such loss.
        let values: Vec<f64> = lines.iter().filter_map(|line| line[objective].as_f64()).collect();
        assert!(
            values.len() > 30 && values.iter().all(|v| v.is_finite()),
            "{objective}: {values:?}"
        );
        let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
        let (first, last) = (mean(&values[..10]), mean(&values[values.len() - 10..]));
        assert!(last < 0.95 * first, "{objective}: {first} to {last}");
    }
}

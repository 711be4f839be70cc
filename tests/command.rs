//! The command from the outside: what it prints, where, and how it exits.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

fn hilum(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hilum"))
        .args(arguments)
        .output()
        .unwrap()
}

/// One sentence on stderr, nothing on stdout, exit 1; the sentence is returned.
fn refused(arguments: &[&str]) -> String {
    let output = hilum(arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    assert!(
        error.starts_with("hilum: ") && error.trim_end().lines().count() == 1,
        "{arguments:?}: {error}"
    );
    assert!(!error.contains("panicked"), "{error}");
    error
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn wrong_usage_exits_2() {
    for arguments in [
        &["nothing"][..],
        &["draft"],
        &["phantom", "--count", "many"],
        &["--device", "abacus", "systems"],
    ] {
        assert_eq!(hilum(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn systems_and_doctor_speak_json() {
    let systems: serde_json::Value = serde_json::from_slice(&hilum(&["systems", "--json"]).stdout).unwrap();
    assert_eq!(systems[0]["name"], "medvill");
    let doctor: serde_json::Value =
        serde_json::from_slice(&hilum(&["doctor", "--json", "--device", "cpu"]).stdout).unwrap();
    assert_eq!(doctor["will_use"], "CPU");
}

/// Kernels are chosen by what the processor can do: a processor of 2008 (no AVX, no FMA), emulated, and one core.
#[test]
fn an_old_processor_and_a_single_core_write_the_same_words() {
    let picture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../www/samples/devices.png");
    let draft = ["draft", "--device", "cpu", text(&picture)];
    let expected = hilum(&draft);
    assert!(expected.status.success() && !expected.stdout.is_empty());
    let single = Command::new(env!("CARGO_BIN_EXE_hilum"))
        .args(draft)
        .env("RAYON_NUM_THREADS", "1")
        .output()
        .unwrap();
    assert_eq!(single.stdout, expected.stdout, "one thread");
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        println!("SKIPPED without AVX: this is no Linux on x86-64");
        return;
    }
    let emulated = Command::new("qemu-x86_64")
        .args(["-cpu", "Nehalem", env!("CARGO_BIN_EXE_hilum")])
        .args(draft)
        // With settings of its own the command does not start itself anew, which would be without the emulator.
        .env("MALLOC_TRIM_THRESHOLD_", "1000000000")
        .output();
    match emulated {
        Ok(emulated) => assert_eq!(emulated.stdout, expected.stdout, "no AVX"),
        Err(error) => println!("SKIPPED without AVX: qemu-x86_64 does not start: {error}"),
    }
}

#[test]
fn no_library_complains_without_a_desktop() {
    for value in [None, Some(""), Some("run")] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hilum"));
        command
            .args(["doctor", "--json"])
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY");
        match value {
            None => command.env_remove("XDG_RUNTIME_DIR"),
            Some(value) => command.env("XDG_RUNTIME_DIR", value),
        };
        let output = command.output().unwrap();
        assert!(output.status.success());
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!error.contains("XDG_RUNTIME_DIR"), "{value:?}: {error}");
    }
}

#[test]
fn scores_do_not_read_byte_order_marks() {
    let dir = tempfile::tempdir().unwrap();
    let texts = "clear lungs without any effusion\nsmall left pleural effusion is seen\n";
    let wide = || {
        "\u{feff}"
            .encode_utf16()
            .chain(texts.encode_utf16())
            .flat_map(u16::to_le_bytes)
            .collect()
    };
    let (plain, other) = (dir.path().join("plain.txt"), dir.path().join("other.txt"));
    std::fs::write(&plain, texts).unwrap();
    let forms: [Vec<u8>; 4] = [
        texts.into(),
        format!("\u{feff}{texts}").into(),
        format!("\u{feff}{texts}").replace('\n', "\r\n").into(),
        wide(),
    ];
    for form in forms {
        std::fs::write(&other, &form).unwrap();
        for (candidates, references) in [(&plain, &other), (&other, &plain)] {
            let scored = hilum(&[
                "score",
                "--candidates",
                text(candidates),
                "--references",
                text(references),
                "--json",
            ]);
            assert!(
                scored.status.success(),
                "{}",
                String::from_utf8_lossy(&scored.stderr)
            );
            let scores: serde_json::Value = serde_json::from_slice(&scored.stdout).unwrap();
            let near = |value: &serde_json::Value, to: f64| (value.as_f64().unwrap() - to).abs() < 1e-6;
            assert!(
                near(&scores["rouge_l"], 1.0) && near(&scores["cider"], 10.0),
                "{scores}"
            );
        }
    }
}

#[test]
fn what_cannot_be_drafted_is_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let words = file("words.dcm", b"The heart is normal in size.");
    let empty = file("empty.png", b"");
    assert!(refused(&["draft", text(&words), "--device", "cpu"]).contains("words.dcm"));
    refused(&["draft", text(&empty), "--device", "cpu"]);
    assert!(refused(&["draft", "nowhere.png", "--device", "cpu"]).contains("nowhere.png"));
}

#[test]
fn the_demo_offers_every_task() {
    let manifest =
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../www/models/demo/bundle.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(
        manifest["tasks"],
        serde_json::json!(["draft", "findings", "retrieve", "vqa"])
    );
    let labels = manifest["labels"].as_array().unwrap();
    assert_eq!(labels.len(), 3 * 14, "anywhere, on the left, on the right");
    assert!(
        labels[..14]
            .iter()
            .all(|label| label["operating_point"].is_number())
    );
    assert!(labels[14..].iter().all(|label| label["side"].is_string()));
}

#[test]
fn the_demo_says_what_it_records_and_other_words_are_refused() {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../www/models/demo");
    let said = hilum(&["trial", "--bundle", text(&demo), "--device", "cpu", "--json"]);
    let said: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(said["right"], true);

    let dir = tempfile::tempdir().unwrap();
    for file in walk(&demo) {
        let copy = dir.path().join(file.strip_prefix(&demo).unwrap());
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        std::fs::copy(&file, copy).unwrap();
    }
    let manifest = dir.path().join("bundle.json");
    let own = std::fs::read(&manifest).unwrap();
    let mut value: serde_json::Value = serde_json::from_slice(&own).unwrap();
    value["trial"]["tokens"][2] = 99.into();
    std::fs::write(&manifest, value.to_string()).unwrap();
    let on = ["trial", "--bundle", text(dir.path()), "--device", "cpu"];
    assert!(refused(&on).contains("computes wrongly"));
    // Recorded anew, it is the demo's own again, to the byte.
    assert!(hilum(&[&on[..], &["--write"]].concat()).status.success());
    assert_eq!(std::fs::read(&manifest).unwrap(), own);
}

#[test]
fn a_run_becomes_a_bundle_and_drafts() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (data, config, bundle) = (at("data"), at("run.toml"), at("bundle"));
    let made = hilum(&[
        "phantom",
        "--count",
        "8",
        "--size",
        "96",
        "--seed",
        "5",
        "--split",
        "train",
        "--out",
        text(&data),
    ]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let settings = |steps: usize| {
        format!(
            "system = \"medvill\"\npreset = \"tiny\"\nout = {:?}\n[data]\nroots = [{:?}]\n[objectives]\nreport = 1.0\n\
             mlm = 0.5\n[optim]\nrate = 1e-3\nbatch = 4\nsteps = {steps}\n",
            at("run"),
            data
        )
    };
    std::fs::write(&config, settings(3)).unwrap();
    let trained = hilum(&["finetune", text(&config), "--device", "cpu"]);
    assert!(
        trained.status.success(),
        "{}",
        String::from_utf8_lossy(&trained.stderr)
    );
    // Two more steps, from where it stopped.
    std::fs::write(&config, settings(5)).unwrap();
    let resumed = hilum(&["finetune", text(&config), "--device", "cpu", "--resume"]);
    assert!(
        resumed.status.success(),
        "{}",
        String::from_utf8_lossy(&resumed.stderr)
    );
    let metrics = std::fs::read_to_string(at("run").join("metrics.jsonl")).unwrap();
    let steps: Vec<u64> = metrics
        .lines()
        .map(|l| {
            serde_json::from_str::<serde_json::Value>(l).unwrap()["step"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert_eq!(steps, [1, 2, 3, 4, 5]);
    assert!(at("run").join("curves.svg").is_file());

    for weights in ["f32", "f16", "q8"] {
        let out = at(weights);
        let exported = hilum(&[
            "export",
            "--from",
            text(&at("run")),
            "--out",
            text(&out),
            "--weights",
            weights,
        ]);
        assert!(
            exported.status.success(),
            "{}",
            String::from_utf8_lossy(&exported.stderr)
        );
    }
    std::fs::rename(at("f16"), &bundle).unwrap();
    let image = walk(&data)
        .into_iter()
        .find(|p| p.extension().is_some_and(|e| e == "jpg"))
        .unwrap();
    let drafted = hilum(&[
        "draft",
        text(&image),
        "--bundle",
        text(&bundle),
        "--device",
        "cpu",
        "--json",
    ]);
    assert!(
        drafted.status.success(),
        "{}",
        String::from_utf8_lossy(&drafted.stderr)
    );
    let draft: serde_json::Value = serde_json::from_slice(&drafted.stdout).unwrap();
    assert_eq!(draft["device"], "CPU");
    assert_eq!(draft["bundle"]["sha256"].as_str().unwrap().len(), 64);
    let time = |name: &str| draft["timing"][name].as_f64().unwrap();
    assert!(time("first_token_ms") > time("prepare_ms") + time("encode_ms"));
    let whole = hilum(&[
        "draft",
        text(&image),
        "--bundle",
        text(&bundle),
        "--device",
        "cpu",
        "--json",
        "--no-cache",
    ]);
    let whole: serde_json::Value = serde_json::from_slice(&whole.stdout).unwrap();
    assert_eq!(draft["text"], whole["text"]);

    let scored = hilum(&[
        "evaluate",
        "--bundle",
        text(&bundle),
        "--task",
        "draft",
        "--data",
        text(&data),
        "--split",
        "all",
        "--device",
        "cpu",
        "--json",
    ]);
    assert!(
        scored.status.success(),
        "{}",
        String::from_utf8_lossy(&scored.stderr)
    );
    let scores: serde_json::Value = serde_json::from_slice(&scored.stdout).unwrap();
    assert_eq!(scores["n"], 8);
    assert!(scores["micro_f1"].as_f64().unwrap() <= 1.0);

    // A damaged shard is found before anything is computed.
    let shard = walk(&bundle)
        .into_iter()
        .find(|p| p.extension().is_some_and(|e| e == "safetensors"))
        .unwrap();
    let mut bytes = std::fs::read(&shard).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&shard, bytes).unwrap();
    let error = refused(&[
        "draft",
        text(&image),
        "--bundle",
        text(&bundle),
        "--device",
        "cpu",
    ]);
    assert!(error.contains("damaged"), "{error}");
}

fn walk(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(&path))
        } else {
            found.push(path)
        }
    }
    found.sort();
    found
}

#[test]
fn a_bad_config_is_refused_before_the_first_step() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("run.toml");
    let cases = [
        ("preset = \"huge\"", "preset"),
        ("preset = \"tiny\"\nspeed = 3", "speed"),
        ("preset = 4", "preset"),
    ];
    for (line, key) in cases {
        let rest = "[data]\nroots = [\".\"]\n[objectives]\nreport = 1.0\n[optim]\nrate = 1e-3\nbatch = 4\nsteps = 3\n";
        std::fs::write(
            &config,
            format!("system = \"medvill\"\nout = \"out\"\n{line}\n{rest}"),
        )
        .unwrap();
        let error = refused(&["finetune", text(&config), "--device", "cpu"]);
        assert!(error.contains(key), "{error}");
    }
}

#[test]
fn an_import_names_what_does_not_fit_with_both_shapes() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("bundle");
    let from = golden.join("resnet_tiny.weights.safetensors");
    let error = refused(&[
        "import",
        "--system",
        "medvill",
        "--from",
        text(&from),
        "--out",
        text(&out),
        "--preset",
        "tiny",
    ]);
    assert!(
        error.contains("[4, 3, 7, 7]") && error.contains("[8, 3, 7, 7]"),
        "{error}"
    );
    assert!(!out.exists());
}

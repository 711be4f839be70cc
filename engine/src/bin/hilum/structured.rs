//! `hilum draft IMAGE` of a bundle that does not draft but reads findings: the text is written from them.

use std::ops::ControlFlow;

use anyhow::bail;
use hilum::bundle::Bundle;
use hilum::device::Chosen;
use hilum::image::Gray8;
use hilum::tasks::structured::{Form, Line, State};
use hilum::tasks::{Session, Subject, TaskRequest, TaskResult, perform};
use serde_json::{Value, json};

use super::globals::{Globals, say};
use super::session;

pub fn run(
    bundle: &Bundle,
    session: &Session,
    gray: &Gray8,
    chosen: &Chosen,
    globals: &Globals,
) -> anyhow::Result<()> {
    let image = session.encode_gray(gray);
    let judged = session::judge(session, &image)?;
    let subject = Subject {
        image: Some(&image),
        gallery: None,
    };
    let asked = perform(session, &TaskRequest::Findings, subject, &|| 0.0, async |_| {
        ControlFlow::Continue(())
    });
    let TaskResult::Findings(readings) = pollster::block_on(asked)? else {
        bail!("the model read no findings");
    };
    let form = Form::filled(&readings, judged.is_foreign());
    let (text, manifest) = (form.text(), bundle.manifest());
    let [present, absent, open] = State::ALL.map(|state| form.count(state));
    eprintln!(
        "note: this bundle does not draft; the text was written from its findings by templates: {present} present, \
         {absent} absent, {open} left open for you to fill in; research software, not for clinical use"
    );
    if globals.json {
        let mut told = json!({
            "text": text,
            "made": "structured",
            "form": form.lines.iter().map(line).collect::<Vec<_>>(),
            "device": chosen.name,
            "bundle": { "name": manifest.name, "version": manifest.version, "sha256": bundle.sha256() },
        });
        judged.put(&mut told);
        return say(told);
    }
    match text.is_empty() {
        true => Ok(()),
        false => say(text),
    }
}

fn line(line: &Line) -> Value {
    let reading = line.reading.as_ref();
    json!({
        "region": line.region(), "line": line.name, "state": line.state.name(), "side": line.side,
        "label": reading.map(|r| &r.name), "probability": reading.map(|r| r.probability),
        "operating_point": reading.map(|r| r.operating_point),
    })
}

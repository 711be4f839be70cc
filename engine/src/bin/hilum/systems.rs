//! `hilum systems`.

use hilum::systems::{SYSTEMS, Task};
use serde_json::json;

use super::globals::Globals;

pub fn run(globals: &Globals) -> anyhow::Result<()> {
    if globals.json {
        let systems: Vec<_> = SYSTEMS
            .iter()
            .map(|s| json!({ "name": s.name, "paper": s.paper, "tasks": s.tasks, "presets": s.presets }))
            .collect();
        println!("{}", json!(systems));
        return Ok(());
    }
    for system in SYSTEMS {
        println!("{}\n  {}", system.name, system.paper);
        println!(
            "  tasks:   {}\n  presets: {}",
            Task::list(system.tasks),
            system.presets.join(", ")
        );
    }
    Ok(())
}

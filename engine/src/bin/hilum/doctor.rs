//! `hilum doctor`.

use hilum::device;
use serde_json::json;

use super::globals::Globals;

pub fn run(globals: &Globals) -> anyhow::Result<()> {
    let adapters = pollster::block_on(device::adapters());
    let chosen = globals.open_device()?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    if globals.json {
        println!(
            "{}",
            json!({ "adapters": adapters, "threads": threads, "will_use": chosen.name })
        );
        return Ok(());
    }
    println!("CPU: {threads} threads");
    if adapters.is_empty() {
        println!("WebGPU: no adapter; a Vulkan, Metal or DirectX 12 driver would bring one");
    }
    for a in &adapters {
        println!("WebGPU: {} ({}, {}, {})", a.name, a.kind, a.backend, a.driver);
        println!(
            "  storage binding {} MiB, storage buffers {}, invocations {}, workgroup memory {} KiB",
            a.max_storage_binding >> 20,
            a.max_storage_buffers,
            a.max_invocations,
            a.max_workgroup_memory >> 10
        );
    }
    println!("Will use: {}", chosen.name);
    Ok(())
}

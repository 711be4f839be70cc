//! Where tensors live: WebGPU or the CPU, chosen once at the door.

use burn::tensor::Device;
use burn::tensor::wgpu::wgpu;
use serde::Serialize;
use thiserror::Error;

/// What was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// WebGPU where there is an adapter that is no software, else the CPU.
    #[default]
    Auto,
    /// WebGPU, on a software adapter too.
    WebGpu,
    /// The CPU.
    Cpu,
}

/// Why WebGPU was asked for in vain.
#[derive(Debug, Error)]
#[error("no WebGPU adapter can be had ({reason}); {remedy}")]
pub struct DeviceError {
    reason: String,
    remedy: &'static str,
}

impl DeviceError {
    fn new(reason: impl Into<String>) -> Self {
        let remedy = match cfg!(target_family = "wasm") {
            true => "use a browser with WebGPU, or use the CPU",
            false => "install a Vulkan, Metal or DirectX 12 driver, or pass --device cpu",
        };
        Self {
            reason: reason.into(),
            remedy,
        }
    }
}

/// An adapter's name and the limits that matter here.
#[derive(Clone, Debug, Serialize)]
pub struct Adapter {
    /// Its name.
    pub name: String,
    /// Driver and its version.
    pub driver: String,
    /// Vulkan, Metal, Dx12, `BrowserWebGpu`.
    pub backend: String,
    /// Discrete, integrated, virtual, software.
    pub kind: String,
    /// Whether it computes on the processor.
    pub software: bool,
    /// Largest storage binding in bytes.
    pub max_storage_binding: u64,
    /// Storage buffers a kernel.
    pub max_storage_buffers: u32,
    /// Invocations a workgroup.
    pub max_invocations: u32,
    /// Workgroup memory in bytes.
    pub max_workgroup_memory: u32,
}

/// A device with what to call it.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// For tensors.
    pub device: Device,
    /// "CPU", or "WebGPU" with the adapter's name.
    pub name: String,
    /// The adapter, where there is one.
    pub adapter: Option<Adapter>,
    /// Why it is the CPU although WebGPU would have been taken: a clause.
    pub why: Option<String>,
    handle: Option<wgpu::Device>,
}

impl Chosen {
    /// Calls `report` with the reason when the adapter's device is lost: its driver crashed, the card was
    /// taken out, the system took it away. Nothing that lives on it can be used then.
    pub fn on_lost(&self, report: impl Fn(String) + Send + 'static) {
        if let Some(handle) = &self.handle {
            handle.set_device_lost_callback(move |reason, message| report(format!("{reason:?}: {message}")));
        }
    }

    /// Loses the adapter's device, for those who test what comes after.
    pub fn lose(&self) {
        if let Some(handle) = &self.handle {
            handle.destroy();
        }
    }
}

fn describe(adapter: &wgpu::Adapter) -> Adapter {
    let (info, limits) = (adapter.get_info(), adapter.limits());
    Adapter {
        name: info.name.clone(),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        backend: format!("{:?}", info.backend),
        kind: format!("{:?}", info.device_type),
        software: info.device_type == wgpu::DeviceType::Cpu,
        max_storage_binding: limits.max_storage_buffer_binding_size,
        max_storage_buffers: limits.max_storage_buffers_per_shader_stage,
        max_invocations: limits.max_compute_invocations_per_workgroup,
        max_workgroup_memory: limits.max_compute_workgroup_storage_size,
    }
}

/// All adapters of this machine.
pub async fn adapters() -> Vec<Adapter> {
    // Not OpenGL: it is not where the engine's shaders run.
    let backends = wgpu::Backends::PRIMARY;
    let descriptor = wgpu::InstanceDescriptor {
        backends,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    };
    wgpu::Instance::new(descriptor)
        .enumerate_adapters(backends)
        .await
        .iter()
        .map(describe)
        .collect()
}

/// The CPU.
pub fn cpu() -> Chosen {
    Chosen {
        device: Device::flex(),
        name: "CPU".to_owned(),
        adapter: None,
        why: None,
        handle: None,
    }
}

/// The CPU, with a clause that says why it is not WebGPU.
pub fn cpu_because(why: impl Into<String>) -> Chosen {
    Chosen {
        why: Some(why.into()),
        ..cpu()
    }
}

/// The device that was asked for. Call it once: a WebGPU device cannot be initialised twice.
///
/// # Errors
/// When WebGPU was asked for by name and cannot be had.
pub async fn choose(choice: DeviceChoice) -> Result<Chosen, DeviceError> {
    if choice == DeviceChoice::Cpu {
        return Ok(cpu());
    }
    if choice == DeviceChoice::WebGpu {
        if adapters().await.is_empty() {
            return Err(DeviceError::new("none is present"));
        }
        return webgpu().await;
    }
    if let Err(why) = hardware().await {
        return Ok(cpu_because(why));
    }
    match webgpu().await {
        Err(error) => Ok(cpu_because(format!("WebGPU did not start: {}", error.reason))),
        outcome => outcome,
    }
}

/// The adapter that [`DeviceChoice::Auto`] takes.
///
/// # Errors
/// A clause that says why it is the CPU: there is no adapter, or only one that computes in software.
pub async fn hardware() -> Result<Adapter, &'static str> {
    let found = adapters().await;
    if found.is_empty() {
        return Err("there is no WebGPU adapter");
    }
    found
        .into_iter()
        .find(|adapter| !adapter.software)
        .ok_or("the only WebGPU adapter computes in software, more slowly than the CPU does")
}

async fn webgpu() -> Result<Chosen, DeviceError> {
    let (device, setup) = Device::wgpu_options()
        .init_with_setup_async()
        .await
        .map_err(|e| DeviceError::new(e.to_string()))?;
    let adapter = describe(&setup.adapter);
    // A browser may keep an adapter's name to itself.
    let name = match adapter.name.as_str() {
        "" => "WebGPU".to_owned(),
        name => format!("WebGPU, {name}"),
    };
    Ok(Chosen {
        device,
        name,
        adapter: Some(adapter),
        why: None,
        handle: Some(setup.device),
    })
}

/// The devices that tests run on: the CPU, and WebGPU where `HILUM_TEST_WEBGPU` is `1` or, where it is not
/// set, an adapter is present. What is left out is said.
#[doc(hidden)]
#[cfg(feature = "cli")]
pub fn test_devices() -> Vec<(&'static str, Device)> {
    static PRESENT: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    let wanted = match std::env::var("HILUM_TEST_WEBGPU").as_deref() {
        Ok("1") => true,
        Ok(_) => false,
        Err(_) => *PRESENT.get_or_init(|| !pollster::block_on(adapters()).is_empty()),
    };
    let mut devices = vec![("CPU", Device::flex())];
    if wanted {
        devices.push(("WebGPU", Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)));
    } else {
        println!("SKIPPED on WebGPU: no Vulkan, Metal or DirectX 12 driver, or HILUM_TEST_WEBGPU is 0");
    }
    devices
}

//! What every kernel needs to be launched through Burn.

use burn::backend::DispatchDevice;
use burn::cubecl::prelude::{CubeCount, CubeDim, KernelId};
use burn::cubecl::server::{KernelArguments, MetadataBindingInfo};
use burn::tensor::{Device, Shape};
use burn_wgpu::{CubeTensor, KernelSource, SourceKernel, SourceTemplate, into_contiguous};

/// Whether kernels run on `device`, those of `shaders/` or those of `hilum-cpu`: where no gradients are recorded.
pub fn runs_kernels(device: &Device) -> bool {
    matches!(
        device.as_dispatch(),
        DispatchDevice::Cube(_) | DispatchDevice::Flex(_)
    )
}

/// Whether the kernels of `hilum-cpu` run on `device`: the CPU without autodiff.
pub fn runs_cpu_kernels(device: &Device) -> bool {
    matches!(device.as_dispatch(), DispatchDevice::Flex(_))
}

/// Whether the kernels of `shaders/` run on `device`: WebGPU without autodiff.
pub fn runs_wgsl(device: &Device) -> bool {
    matches!(device.as_dispatch(), DispatchDevice::Cube(_))
}

/// A kernel with the constants of its shader, which are part of its identity too.
pub(super) struct Kernel {
    pub name: &'static str,
    pub source: &'static str,
    pub constants: Vec<(&'static str, String)>,
}

impl KernelSource for Kernel {
    fn source(&self) -> SourceTemplate {
        let fill =
            |t: SourceTemplate, (name, value): &(&'static str, String)| t.register(*name, value.clone());
        self.constants.iter().fold(SourceTemplate::new(self.source), fill)
    }

    fn id(&self) -> KernelId {
        KernelId::new::<Self>()
            .info((self.name, self.constants.clone(), "f32"))
            .cube_dim(CubeDim::new_1d(64).into())
    }

    fn lang(&self) -> &'static str {
        "wgsl"
    }
}

impl Kernel {
    /// Launches with `tensors` bound in order and `params` as the uniform after them.
    pub fn launch(self, tensors: Vec<CubeTensor>, params: &[u32], count: CubeCount) {
        let Some(client) = tensors.first().map(|t| t.client.clone()) else {
            return;
        };
        let mut arguments = KernelArguments::new();
        for tensor in tensors {
            arguments = arguments.with_buffer(tensor.handle.binding());
        }
        let words = params
            .chunks(2)
            .map(|pair| u64::from(pair[0]) | (u64::from(pair.get(1).copied().unwrap_or(0)) << 32))
            .collect();
        let arguments = arguments.with_info(MetadataBindingInfo::custom(words));
        client.launch(
            Box::new(SourceKernel::new(self, CubeDim::new_1d(64))),
            count,
            arguments,
        );
    }
}

/// The tensor in row-major order, copied only when it is not.
pub(super) fn contiguous(tensor: CubeTensor) -> CubeTensor {
    into_contiguous(tensor)
}

/// An uninitialised tensor of `shape`, row by row, beside `like`.
pub(super) fn empty(like: &CubeTensor, shape: Shape) -> CubeTensor {
    let handle = like.client.empty(shape.num_elements() * like.dtype.size());
    CubeTensor::new_contiguous(
        like.client.clone(),
        like.device.clone(),
        shape,
        handle,
        like.dtype,
    )
}

/// An uninitialised tensor shaped like `like`, row by row.
pub(super) fn empty_like(like: &CubeTensor) -> CubeTensor {
    empty(like, like.meta.shape().clone())
}

/// What is bound where a shader declares a tensor that there is none of: never read.
pub(super) fn nothing(like: &CubeTensor) -> CubeTensor {
    empty(like, Shape::new([1]))
}

/// Workgroups along x and y for at least `count` of them: WebGPU allows 65,535 along one axis.
pub(super) fn spread(count: usize) -> (u32, CubeCount) {
    const MOST: usize = 65_535;
    let across = count.clamp(1, MOST);
    (
        across as u32,
        CubeCount::Static(across as u32, count.div_ceil(across) as u32, 1),
    )
}

#[cfg(test)]
pub(super) mod tests {
    use burn::tensor::Tensor;

    use super::*;

    /// The WebGPU device for tests, where there is one.
    pub fn webgpu() -> Option<Device> {
        crate::device::test_devices().into_iter().map(|d| d.1).nth(1)
    }

    /// The CPU, and WebGPU where there is one.
    pub fn cpu_and_webgpu() -> Vec<(&'static str, Device)> {
        crate::device::test_devices()
    }

    /// Asserts that two tensors of any devices agree within `absolute`.
    pub fn close<const D: usize>(expected: Tensor<D>, found: Tensor<D>, absolute: f32, what: &str) {
        assert_eq!(expected.dims(), found.dims(), "{what}");
        let expected: Vec<f32> = expected.into_data().iter::<f32>().collect();
        let found: Vec<f32> = found.into_data().iter::<f32>().collect();
        for (i, (e, f)) in expected.iter().zip(&found).enumerate() {
            assert!(
                (e - f).abs() <= absolute,
                "{what}: value {i} is {f}, expected {e}"
            );
        }
    }

    #[test]
    fn every_shader_is_valid_wgsl() {
        for (name, source) in crate::kernels::SHADERS {
            for (head_dim, rows, on) in [
                (1, 1, false),
                (7, 3, true),
                (32, 5, false),
                (64, 8, true),
                (65, 2, false),
                (80, 2, true),
                (96, 2, false),
                (128, 2, true),
            ] {
                // The same constants for all: a shader takes those that it names.
                let constants = [
                    ("head_dim", head_dim.to_string()),
                    (
                        "columns",
                        crate::kernels::attention::columns(head_dim).to_string(),
                    ),
                    ("rows", rows.to_string()),
                    ("gelu", on.to_string()),
                    ("relu", on.to_string()),
                    ("residual", on.to_string()),
                ];
                let source = Kernel {
                    name,
                    source,
                    constants: constants.to_vec(),
                }
                .source()
                .complete();
                let module = naga::front::wgsl::parse_str(&source)
                    .unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(&source)));
                let flags = naga::valid::ValidationFlags::all();
                let mut validator = naga::valid::Validator::new(flags, naga::valid::Capabilities::empty());
                validator
                    .validate(&module)
                    .unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(&source)));
                let bytes: u32 = workgroup_bytes(&module);
                assert!(
                    bytes <= 16_384,
                    "{name} uses {bytes} bytes of workgroup memory with heads of {head_dim}"
                );
            }
        }
    }

    fn workgroup_bytes(module: &naga::Module) -> u32 {
        let mut layouter = naga::proc::Layouter::default();
        layouter
            .update(module.to_ctx())
            .expect("layout of a valid module");
        module
            .global_variables
            .iter()
            .filter(|(_, v)| v.space == naga::AddressSpace::WorkGroup)
            .map(|(_, v)| layouter[v.ty].size)
            .sum()
    }
}

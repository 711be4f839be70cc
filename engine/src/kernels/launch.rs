//! What every kernel needs to be launched through Burn.

use burn::backend::DispatchDevice;
use burn::cubecl::prelude::{CubeCount, CubeDim, KernelId};
use burn::cubecl::server::{KernelArguments, MetadataBindingInfo};
use burn::tensor::Device;
use burn_wgpu::{CubeTensor, KernelSource, SourceKernel, SourceTemplate, into_contiguous};

/// Whether the kernels of `shaders/` run on `device`: WebGPU without autodiff.
pub fn runs_wgsl(device: &Device) -> bool {
    matches!(device.as_dispatch(), DispatchDevice::Cube(_))
}

/// A kernel for heads of one size: the size is a constant of the shader, so it is part of the identity too.
pub(super) struct HeadKernel {
    pub name: &'static str,
    pub source: &'static str,
    pub head_dim: usize,
}

impl KernelSource for HeadKernel {
    fn source(&self) -> SourceTemplate {
        SourceTemplate::new(self.source).register("head_dim", self.head_dim.to_string())
    }

    fn id(&self) -> KernelId {
        KernelId::new::<Self>().info((self.name, self.head_dim, "f32")).cube_dim(CubeDim::new_1d(64).into())
    }

    fn lang(&self) -> &'static str {
        "wgsl"
    }
}

impl HeadKernel {
    /// Launches with `tensors` bound in order and `params` as the uniform after them.
    pub fn launch(self, tensors: Vec<CubeTensor>, params: &[u32], count: CubeCount) {
        let Some(client) = tensors.first().map(|t| t.client.clone()) else { return };
        let mut arguments = KernelArguments::new();
        for tensor in tensors {
            arguments = arguments.with_buffer(tensor.handle.binding());
        }
        let words = params
            .chunks(2)
            .map(|pair| u64::from(pair[0]) | (u64::from(pair.get(1).copied().unwrap_or(0)) << 32))
            .collect();
        let arguments = arguments.with_info(MetadataBindingInfo::custom(words));
        client.launch(Box::new(SourceKernel::new(self, CubeDim::new_1d(64))), count, arguments);
    }
}

/// The tensor in row-major order, copied only when it is not.
pub(super) fn contiguous(tensor: CubeTensor) -> CubeTensor {
    into_contiguous(tensor)
}

/// An uninitialised tensor shaped like `like`.
pub(super) fn empty_like(like: &CubeTensor) -> CubeTensor {
    let shape = like.meta.shape().clone();
    let bytes = shape.num_elements() * like.dtype.size();
    let handle = like.client.empty(bytes);
    CubeTensor::new_contiguous(like.client.clone(), like.device.clone(), shape, handle, like.dtype)
}

#[cfg(test)]
pub(super) mod tests {
    use burn::tensor::Tensor;

    use super::*;

    /// The WebGPU device for tests, where there is one.
    pub fn webgpu() -> Option<Device> {
        crate::device::test_devices().into_iter().map(|d| d.1).nth(1)
    }

    /// Asserts that two tensors of any devices agree within `absolute`.
    pub fn close<const D: usize>(expected: Tensor<D>, found: Tensor<D>, absolute: f32, what: &str) {
        assert_eq!(expected.dims(), found.dims(), "{what}");
        let expected: Vec<f32> = expected.into_data().iter::<f32>().collect();
        let found: Vec<f32> = found.into_data().iter::<f32>().collect();
        for (i, (e, f)) in expected.iter().zip(&found).enumerate() {
            assert!((e - f).abs() <= absolute, "{what}: value {i} is {f}, expected {e}");
        }
    }

    #[test]
    fn every_shader_is_valid_wgsl() {
        for (name, source) in crate::kernels::SHADERS {
            for head_dim in [1, 7, 32, 64] {
                let source = SourceTemplate::new(source).register("head_dim", head_dim.to_string()).complete();
                let module = naga::front::wgsl::parse_str(&source)
                    .unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(&source)));
                let flags = naga::valid::ValidationFlags::all();
                let mut validator = naga::valid::Validator::new(flags, naga::valid::Capabilities::empty());
                validator.validate(&module).unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(&source)));
                let bytes: u32 = workgroup_bytes(&module);
                assert!(bytes <= 16_384, "{name} uses {bytes} bytes of workgroup memory with heads of {head_dim}");
            }
        }
    }

    fn workgroup_bytes(module: &naga::Module) -> u32 {
        let mut layouter = naga::proc::Layouter::default();
        layouter.update(module.to_ctx()).expect("layout of a valid module");
        module
            .global_variables
            .iter()
            .filter(|(_, v)| v.space == naga::AddressSpace::WorkGroup)
            .map(|(_, v)| layouter[v.ty].size)
            .sum()
    }
}

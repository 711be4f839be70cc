//! Vision transformer (Dosovitskiy et al. 2021) with timm's parts: class token or none, pooling by it or by
//! the mean, learned or fixed positions, taps between its blocks, and passes over some of the patches (He et
//! al. 2022).

use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Initializer, PaddingConfig2d};
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    AttentionPass, INITIALIZER_RANGE, LayerConfig, LayerNorm, SinCos, TransformerLayer, convolve,
    sincos_positions,
};
use crate::kernels::Mask;

/// What stands for the whole image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The class token after the last norm (`norm`).
    Cls,
    /// The mean of the patches, and then a norm (`fc_norm`); the tokens themselves stay without a last norm.
    Mean,
}

/// How a patch knows where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Positions {
    /// A table that is learned (`pos_embed`).
    Learned,
    /// Sines and cosines, which are no parameters: a checkpoint's `pos_embed` is left out.
    Fixed(SinCos),
}

/// Sizes and switches of a ViT.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VitConfig {
    /// Channels of the image.
    pub channels: usize,
    /// Side of the image in pixels.
    pub size: usize,
    /// Side of a patch in pixels.
    pub patch: usize,
    /// Width of the tokens.
    pub width: usize,
    /// Blocks.
    pub layers: usize,
    /// Attention heads; divide the width.
    pub heads: usize,
    /// Width of the feed-forward layer by that of the tokens.
    pub mlp_ratio: usize,
    /// Whether a class token stands before the patches.
    pub class_token: bool,
    /// What stands for the whole image.
    pub pooling: Pooling,
    /// How a patch knows where it is.
    pub positions: Positions,
    /// Whether queries, keys and values have biases.
    pub qkv_bias: bool,
    /// Epsilon of the layer norms.
    pub norm_eps: f64,
    /// Stochastic depth of the last block in training; it grows linearly from 0 at the first.
    pub drop_path: f64,
}

/// Sizes that make no ViT.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VitConfigError {
    /// Patches do not fill the image.
    #[error(
        "patches of {patch} px do not fill an image of {size} px; choose a size that is a multiple of {patch}"
    )]
    Patches {
        /// Side of the image.
        size: usize,
        /// Side of a patch.
        patch: usize,
    },
    /// Heads do not divide the width.
    #[error("{heads} heads do not divide a width of {width}; choose a number that does")]
    Heads {
        /// Width of the tokens.
        width: usize,
        /// Attention heads.
        heads: usize,
    },
    /// Fixed positions have four parts.
    #[error("fixed positions need a width that is a multiple of 4, not {width}")]
    Positions {
        /// Width of the tokens.
        width: usize,
    },
    /// There is no class token to pool by.
    #[error("pooling by the class token needs one; set class_token = true or pooling = \"mean\"")]
    ClassToken,
    /// A rate that is none.
    #[error("drop_path must be at least 0 and below 1")]
    DropPath,
}

impl VitConfig {
    /// ViT-S/16 at 224 px, `vit_small_patch16_224` of timm.
    pub const fn vit_s16() -> Self {
        Self {
            width: 384,
            heads: 6,
            ..Self::vit_b16()
        }
    }

    /// ViT-B/16 at 224 px, `vit_base_patch16_224` of timm.
    pub const fn vit_b16() -> Self {
        Self {
            channels: 3,
            size: 224,
            patch: 16,
            width: 768,
            layers: 12,
            heads: 12,
            mlp_ratio: 4,
            class_token: true,
            pooling: Pooling::Cls,
            positions: Positions::Learned,
            qkv_bias: true,
            norm_eps: 1e-6,
            drop_path: 0.0,
        }
    }

    /// Small enough for tests: 16 patches, 3 blocks.
    pub const fn tiny() -> Self {
        Self {
            size: 64,
            width: 64,
            layers: 3,
            heads: 4,
            ..Self::vit_b16()
        }
    }

    /// Patches along a side.
    pub const fn grid(&self) -> usize {
        self.size / self.patch
    }

    /// Whether the sizes make a ViT.
    ///
    /// # Errors
    /// The first that does not.
    pub fn validate(&self) -> Result<(), VitConfigError> {
        let &Self {
            size,
            patch,
            width,
            heads,
            ..
        } = self;
        if patch == 0 || size == 0 || size % patch != 0 {
            return Err(VitConfigError::Patches { size, patch });
        }
        if heads == 0 || width == 0 || width % heads != 0 {
            return Err(VitConfigError::Heads { width, heads });
        }
        if matches!(self.positions, Positions::Fixed(_)) && width % 4 != 0 {
            return Err(VitConfigError::Positions { width });
        }
        if self.pooling == Pooling::Cls && !self.class_token {
            return Err(VitConfigError::ClassToken);
        }
        if !(0.0..1.0).contains(&self.drop_path) {
            return Err(VitConfigError::DropPath);
        }
        Ok(())
    }

    /// The block at `number` of `layers`.
    fn layer(&self, number: usize) -> LayerConfig {
        let last = self.layers.saturating_sub(1).max(1);
        LayerConfig {
            pre_norm: true,
            qkv_bias: self.qkv_bias,
            norm_eps: self.norm_eps,
            drop_path: self.drop_path * number as f64 / last as f64,
            ..LayerConfig::new(self.width, self.heads, self.width * self.mlp_ratio)
        }
    }
}

/// Patches to tokens: a convolution whose stride is its size.
#[derive(Module, Debug)]
pub struct PatchEmbed {
    proj: Conv2d,
}

impl PatchEmbed {
    /// Tokens of `width` from patches of `patch` pixels.
    pub fn new(channels: usize, patch: usize, width: usize, device: &Device) -> Self {
        let proj = Conv2dConfig::new([channels, width], [patch, patch])
            .with_stride([patch, patch])
            .with_padding(PaddingConfig2d::Valid)
            .with_initializer(Initializer::XavierUniform { gain: 1.0 })
            .init(device);
        Self { proj }
    }

    /// # Shapes
    /// - pixels `(batch, channels, rows * patch, columns * patch)` -> `(batch, rows * columns, width)`
    pub fn forward(&self, pixels: Tensor<4>) -> Tensor<3> {
        // (B, W, rows, columns) -> (B, W, K) -> (B, K, W)
        convolve(&self.proj, pixels).flatten::<3>(2, 3).swap_dims(1, 2)
    }
}

/// The transformer. Names are timm's but for those inside a block, see
/// [`TIMM_BLOCK`](super::names::TIMM_BLOCK).
#[derive(Module, Debug)]
pub struct Vit {
    patch_embed: PatchEmbed,
    cls_token: Option<Param<Tensor<3>>>,
    pos_embed: Option<Param<Tensor<3>>>,
    // No parameter: computed from the sizes.
    fixed_positions: Option<Tensor<3>>,
    blocks: Vec<TransformerLayer>,
    norm: Option<LayerNorm>,
    fc_norm: Option<LayerNorm>,
    grid: usize,
}

impl Vit {
    /// With random weights.
    ///
    /// # Errors
    /// Sizes that make no ViT.
    pub fn new(config: &VitConfig, device: &Device) -> Result<Self, VitConfigError> {
        config.validate()?;
        let (width, grid) = (config.width, config.grid());
        let tokens = grid * grid + usize::from(config.class_token);
        let normal = Initializer::Normal {
            mean: 0.0,
            std: INITIALIZER_RANGE,
        };
        let norm =
            |pooling| (config.pooling == pooling).then(|| LayerNorm::new(width, config.norm_eps, device));
        let fixed_positions = match config.positions {
            Positions::Learned => None,
            Positions::Fixed(frequencies) => {
                let values = sincos_positions(width, [grid, grid], config.class_token, frequencies);
                Some(Tensor::from_data(
                    TensorData::new(values, [1, tokens, width]),
                    device,
                ))
            }
        };
        Ok(Self {
            patch_embed: PatchEmbed::new(config.channels, config.patch, width, device),
            cls_token: config.class_token.then(|| normal.init([1, 1, width], device)),
            pos_embed: (config.positions == Positions::Learned)
                .then(|| normal.init([1, tokens, width], device)),
            fixed_positions,
            blocks: (0..config.layers)
                .map(|number| TransformerLayer::new(&config.layer(number), device))
                .collect(),
            norm: norm(Pooling::Cls),
            fc_norm: norm(Pooling::Mean),
            grid,
        })
    }

    /// Tokens of the patches, before positions: where a mask token is put in place of some (iBOT, Zhou et al.
    /// 2022).
    ///
    /// # Shapes
    /// - pixels `(batch, channels, size, size)` -> `(batch, patches, width)`
    pub fn patches(&self, pixels: Tensor<4>) -> Tensor<3> {
        self.patch_embed.forward(pixels)
    }

    /// Positions onto the patches; then, where `visible` names the ones that a masked autoencoder sees, those
    /// alone, in that order; then the class token in front.
    ///
    /// # Shapes
    /// - patches `(batch, patches, width)`, visible `(batch, kept)` -> `(batch, class + kept or patches,
    ///   width)`
    pub fn embed(&self, patches: Tensor<3>, visible: Option<Tensor<2, Int>>) -> Tensor<3> {
        let [batch, count, width] = patches.dims();
        let class = usize::from(self.cls_token.is_some());
        let learned = self.pos_embed.as_ref().map(Param::val);
        let positions = learned.or_else(|| self.fixed_positions.clone());
        let mut tokens = patches;
        if let Some(positions) = &positions {
            tokens = tokens + positions.clone().narrow(1, class, count);
        }
        if let Some(visible) = visible {
            tokens = gather_tokens(tokens, visible);
        }
        let Some(cls) = &self.cls_token else {
            return tokens;
        };
        let mut cls = cls.val();
        if let Some(positions) = positions {
            cls = cls + positions.narrow(1, 0, 1);
        }
        Tensor::cat(vec![cls.expand([batch, 1, width]), tokens], 1)
    }

    /// The blocks, and the last norm where pooling is by the class token; `watch` is called with each block's
    /// number and output.
    ///
    /// # Shapes
    /// - tokens `(batch, tokens, width)`, as [`Vit::embed`] gives them -> the same
    pub fn encode(&self, mut tokens: Tensor<3>, mut watch: impl FnMut(usize, &Tensor<3>)) -> Tensor<3> {
        let [batch, count, _] = tokens.dims();
        let attend = AttentionPass::new(Mask::padding(vec![count; batch]));
        for (number, block) in self.blocks.iter().enumerate() {
            tokens = block.forward(tokens, &attend, None);
            watch(number, &tokens);
        }
        match &self.norm {
            Some(norm) => norm.forward(tokens),
            None => tokens,
        }
    }

    /// All tokens of an image.
    ///
    /// # Shapes
    /// - pixels `(batch, channels, size, size)` -> `(batch, class + patches, width)`
    pub fn forward(&self, pixels: Tensor<4>) -> Tensor<3> {
        self.encode(self.embed(self.patches(pixels), None), |_, _| ())
    }

    /// The tokens of some patches, which see nothing of the others (masked autoencoder).
    ///
    /// # Shapes
    /// - pixels `(batch, channels, size, size)`, visible `(batch, kept)` -> `(batch, class + kept, width)`
    pub fn forward_visible(&self, pixels: Tensor<4>, visible: Tensor<2, Int>) -> Tensor<3> {
        self.encode(self.embed(self.patches(pixels), Some(visible)), |_, _| ())
    }

    /// All tokens, and the patches behind the blocks numbered in `taps` as maps for a segmentation head, in
    /// ascending order, without a norm (timm's `forward_intermediates`).
    ///
    /// # Shapes
    /// - pixels `(batch, channels, size, size)` -> `(batch, class + patches, width)` and, each,
    ///   `(batch, width, rows, columns)`
    ///
    /// # Panics
    /// When there are fewer blocks than a tap says.
    pub fn forward_intermediates(&self, pixels: Tensor<4>, taps: &[usize]) -> (Tensor<3>, Vec<Tensor<4>>) {
        let layers = self.blocks.len();
        assert!(
            taps.iter().all(|tap| *tap < layers),
            "taps {taps:?} of a ViT with {layers} blocks"
        );
        let mut maps = Vec::with_capacity(taps.len());
        let tokens = self.encode(self.embed(self.patches(pixels), None), |number, tokens| {
            if taps.contains(&number) {
                maps.push(self.map(tokens));
            }
        });
        (tokens, maps)
    }

    /// The patches among `tokens` as a map.
    ///
    /// # Shapes
    /// - tokens `(batch, class + patches, width)` -> `(batch, width, rows, columns)`
    pub fn map(&self, tokens: &Tensor<3>) -> Tensor<4> {
        let [batch, _, width] = tokens.dims();
        // (B, K, W) -> (B, W, K) -> (B, W, rows, columns)
        let patches = self.patch_tokens(tokens).swap_dims(1, 2);
        patches.reshape([batch, width, self.grid, self.grid])
    }

    /// What stands for the whole image.
    ///
    /// # Shapes
    /// - tokens of [`Vit::forward`], `(batch, class + patches, width)` -> `(batch, width)`
    pub fn pool(&self, tokens: &Tensor<3>) -> Tensor<2> {
        match &self.fc_norm {
            Some(norm) => norm.forward(self.patch_tokens(tokens).mean_dim(1).squeeze_dim::<2>(1)),
            None => tokens.clone().narrow(1, 0, 1).squeeze_dim::<2>(1),
        }
    }

    /// The tokens without the class token.
    ///
    /// # Shapes
    /// - tokens `(batch, class + patches, width)` -> `(batch, patches, width)`
    pub fn patch_tokens(&self, tokens: &Tensor<3>) -> Tensor<3> {
        let class = usize::from(self.cls_token.is_some());
        tokens.clone().narrow(1, class, tokens.dims()[1] - class)
    }

    /// Its blocks.
    pub fn layers(&self) -> usize {
        self.blocks.len()
    }
}

/// Of each sample the tokens at its `indices`, in that order.
///
/// # Shapes
/// - tokens `(batch, tokens, width)`, indices `(batch, kept)` -> `(batch, kept, width)`
pub fn gather_tokens(tokens: Tensor<3>, indices: Tensor<2, Int>) -> Tensor<3> {
    let width = tokens.dims()[2];
    // (B, kept) -> (B, kept, 1) -> (B, kept, W)
    tokens.gather(1, indices.unsqueeze_dim::<3>(2).repeat_dim(2, width))
}

#[cfg(test)]
mod tests;

//! Medical X-VL (Park et al., "Vision-Language Pretraining Enables Radiographs and Reports to be Learned without Curation", 2022): a ViT
//! for images, the lower layers of a BERT for reports, and its upper layers, with cross-attention, as one fusion encoder that runs
//! both ways: the text asks the image, the image asks the text.
//!
//! A text is CLS, W1..WN, SEP. The config is in `config` and `presets`, how it writes in `generation`, what is learned in `contrast` (eq. 1 to 6),
//! `matching` (eq. 9), `masking` (eq. 7 and 8) and `objectives`, by the image encoder alone in `image_alone`, its named intermediates in `trace`.

mod answering;
mod config;
mod contrast;
mod generation;
mod image_alone;
mod masking;
mod matching;
mod objectives;
mod presets;
#[cfg(not(target_family = "wasm"))]
mod trace;

use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

#[cfg(not(target_family = "wasm"))]
use super::TraceInputError;
use super::{Answerer, ConfigError, Generator, Input, Spec, System, SystemConfig, Task};
use crate::kernels::Mask;
#[cfg(not(target_family = "wasm"))]
use crate::nn::{AnyArrays, Trace};
use crate::nn::{
    AttentionPass, Cross, Encoder, ImageEncoder, LayerConfig, MlmHead, PrototypeHead, TextEmbeddings, Vit,
    column_of, dense, ints, linear, normalize, padded, unit,
};
use crate::text::Specials;

pub use config::{ContrastConfig, MimConfig, Paths, XvlConfig};
pub use contrast::{ContrastLosses, Features, Queued};
pub use image_alone::{ImageAlone, ImageAloneHead};
pub use masking::{MaskedTexts, mask_blocks, mask_words, mim_loss, teacher_temperature};
pub use matching::{MistakenTexts, Negatives};

/// The model.
#[derive(Module, Debug)]
pub struct Xvl {
    image: Option<ImageEncoder>,
    visual_encoder: Vit,
    masked_embed: Param<Tensor<2>>,
    text: TextEmbeddings,
    // Text encoder below, fusion encoder above.
    encoder: Encoder,
    // The image path's own fusion encoder where the two do not share one.
    image_fusion: Option<Encoder>,
    mlm: MlmHead,
    vision_proj: Linear,
    text_proj: Linear,
    temp: Param<Tensor<1>>,
    itm_head_t: Linear,
    itm_head_v: Linear,
    head: PrototypeHead,
    diagnosis: Option<Linear>,
    decoder: Option<Encoder>,
    image_alone: Option<ImageAloneHead>,
    #[module(skip)]
    config: XvlConfig,
    #[module(skip)]
    specials: Specials,
}

/// Texts as the model reads them: CLS in front, padded behind.
#[derive(Clone, Debug)]
pub struct Texts {
    /// `(B, T)`.
    pub tokens: Tensor<2, Int>,
    /// Tokens that are no padding, a count a text.
    pub lengths: Vec<usize>,
}

/// Hidden states of texts.
#[derive(Clone, Debug)]
pub struct ReadTexts {
    /// `(B, T, width)`.
    pub hidden: Tensor<3>,
    /// Tokens that are no padding, a count a text.
    pub lengths: Vec<usize>,
}

impl Xvl {
    /// Random weights.
    ///
    /// # Errors
    /// When the config cannot run.
    pub fn init(config: &XvlConfig, specials: Specials, device: &Device) -> Result<Self, ConfigError> {
        config.validate()?;
        let XvlConfig {
            bert, vit, contrast, ..
        } = config;
        let width = bert.width;
        let crossing = LayerConfig {
            memory_width: Some(width),
            ..bert.layer()
        };
        let below = bert.layers - config.fusion;
        let layers = [vec![bert.layer(); below], vec![crossing.clone(); config.fusion]].concat();
        let visual_encoder = Vit::new(vit, device).map_err(|_| ConfigError {
            key: "vit",
            must: "be sizes that make a ViT",
        })?;
        let labels = config.labels().len();
        Ok(Self {
            image: config.backbone.as_ref().map(|net| ImageEncoder::new(net, device)),
            visual_encoder,
            masked_embed: Initializer::Zeros.init([1, width], device),
            text: TextEmbeddings::new(bert, device),
            encoder: Encoder::from_layers(&layers, device),
            image_fusion: (!config.alternating)
                .then(|| Encoder::from_layers(&vec![crossing.clone(); config.fusion], device)),
            decoder: (config.decoder > 0)
                .then(|| Encoder::from_layers(&vec![crossing; config.decoder], device)),
            mlm: MlmHead::new(bert, bert.norm_eps, device),
            vision_proj: linear(width, contrast.projection, device),
            text_proj: linear(width, contrast.projection, device),
            temp: Initializer::Constant {
                value: contrast.temperature,
            }
            .init([1], device),
            itm_head_t: linear(width, 2, device),
            itm_head_v: linear(width, 2, device),
            head: PrototypeHead::new(width, &config.mim.head, device),
            diagnosis: config.diagnosis.then(|| linear(width, labels, device)),
            // Last, so that the weights before it are drawn as without it.
            image_alone: config
                .image_alone
                .map(|method| ImageAloneHead::new(method, config, device)),
            config: config.clone(),
            specials,
        })
    }

    /// The config.
    pub fn config(&self) -> &XvlConfig {
        &self.config
    }

    /// Where it lies.
    pub fn device(&self) -> Device {
        self.temp.val().device()
    }

    /// Layers of the text encoder, below the fusion encoder.
    fn below(&self) -> usize {
        self.config.bert.layers - self.config.fusion
    }

    /// An image as the network wants it.
    ///
    /// # Shapes
    /// - pixels in [0, 1] `(B, 1, S, S)` -> `(B, channels, S, S)`
    fn normalized(&self, pixels: Tensor<4>) -> Tensor<4> {
        normalize(pixels, self.config.preprocessing.norm, self.config.channels())
    }

    /// What the ViT cuts into patches: the image, or a backbone's map of it.
    ///
    /// # Shapes
    /// - normalised image `(B, channels, S, S)` -> `(B, F, side, side)`
    pub fn view(&self, image: Tensor<4>) -> Tensor<4> {
        match &self.image {
            Some(backbone) => backbone.forward(image, |_, _| ()),
            None => image,
        }
    }

    /// The image's CLS and patches; where `masked` names patches, a learned token stands for each of them.
    ///
    /// # Shapes
    /// - what [`Xvl::view`] gives, masked `B * K` patches -> `(B, 1 + K, width)`
    pub fn encode_patches(&self, view: Tensor<4>, masked: Option<&[bool]>) -> Tensor<3> {
        let mut patches = self.visual_encoder.patches(view);
        if let Some(masked) = masked {
            let [batch, count, width] = patches.dims();
            let hidden = Tensor::<3, Bool>::from_data(
                TensorData::new(masked.to_vec(), [batch, count, 1]),
                &patches.device(),
            );
            // (1, width) -> (B, K, width)
            let token = self
                .masked_embed
                .val()
                .unsqueeze_dim::<3>(0)
                .expand([batch, count, width]);
            patches = patches.mask_where(hidden.expand([batch, count, width]), token);
        }
        let tokens = self.visual_encoder.embed(patches, None);
        self.visual_encoder.encode(tokens, |_, _| ())
    }

    /// Texts with CLS in front of each.
    pub fn texts(&self, texts: &[&[u32]]) -> Texts {
        let with_cls: Vec<Vec<u32>> = texts
            .iter()
            .map(|text| [&[self.specials.cls], *text].concat())
            .collect();
        let lengths: Vec<usize> = with_cls.iter().map(Vec::len).collect();
        let longest = lengths.iter().copied().max().unwrap_or(1);
        let tokens = with_cls.iter().map(Vec::as_slice);
        Texts {
            tokens: padded(tokens, longest, self.specials.pad, &self.device()),
            lengths,
        }
    }

    /// Words and their positions, of which the first is number `first`.
    ///
    /// # Shapes
    /// - tokens `(B, T)` -> `(B, T, width)`
    fn embed(&self, tokens: Tensor<2, Int>, first: usize) -> Tensor<3> {
        let [batch, count] = tokens.dims();
        let places = (first..first + count).map(|place| place as i32);
        let places = places.cycle().take(batch * count).collect();
        let places = ints(places, [batch, count], &tokens.device());
        self.text.forward(tokens, places, 0)
    }

    /// The text encoder: each word reads all of its text.
    pub fn read(&self, texts: &Texts) -> ReadTexts {
        let attend = AttentionPass::new(Mask::padding(texts.lengths.clone()));
        let embedded = self.embed(texts.tokens.clone(), 0);
        ReadTexts {
            hidden: self
                .encoder
                .forward_layers(0..self.below(), embedded, &attend, None, |_, _| ()),
            lengths: texts.lengths.clone(),
        }
    }

    /// The fusion encoder, the text asking the image.
    ///
    /// # Shapes
    /// - texts `(B, T, width)`, image `(B, 1 + K, width)` -> `(B, T, width)`
    pub fn fuse_text(&self, texts: &ReadTexts, image: &Tensor<3>) -> Tensor<3> {
        let attend = AttentionPass::new(Mask::padding(texts.lengths.clone()));
        let crossing = AttentionPass::new(whole(image));
        self.fuse_text_under(texts.hidden.clone(), image, &attend, &crossing)
    }

    fn fuse_text_under(
        &self,
        hidden: Tensor<3>,
        image: &Tensor<3>,
        attend: &AttentionPass,
        crossing: &AttentionPass,
    ) -> Tensor<3> {
        let cross = Cross {
            memory: image,
            attend: crossing,
        };
        let layers = self.below()..self.config.bert.layers;
        self.encoder
            .forward_layers(layers, hidden, attend, Some(cross), |_, _| ())
    }

    /// The fusion encoder, the image asking the text.
    ///
    /// # Shapes
    /// - image `(B, 1 + K, width)`, texts `(B, T, width)` -> `(B, 1 + K, width)`
    pub fn fuse_image(&self, image: &Tensor<3>, texts: &ReadTexts) -> Tensor<3> {
        let attend = AttentionPass::new(whole(image));
        let crossing = AttentionPass::new(Mask::padding(texts.lengths.clone()));
        let cross = Cross {
            memory: &texts.hidden,
            attend: &crossing,
        };
        let (encoder, layers) = match &self.image_fusion {
            Some(own) => (own, 0..own.layers()),
            None => (&self.encoder, self.below()..self.config.bert.layers),
        };
        encoder.forward_layers(layers, image.clone(), &attend, Some(cross), |_, _| ())
    }

    /// What images are compared by, of unit length (eq. 1).
    ///
    /// # Shapes
    /// - image `(B, 1 + K, width)` -> `(B, projection)`
    pub fn image_features(&self, image: &Tensor<3>) -> Tensor<2> {
        unit(dense(&self.vision_proj, column_of(image, 0), false))
    }

    /// What texts are compared by, of unit length (eq. 1).
    ///
    /// # Shapes
    /// - texts `(B, T, width)` -> `(B, projection)`
    pub fn text_features(&self, texts: &ReadTexts) -> Tensor<2> {
        unit(dense(&self.text_proj, column_of(&texts.hidden, 0), false))
    }

    /// Logits of the vocabulary.
    ///
    /// # Shapes
    /// - hidden `(rows, width)` -> `(rows, V)`
    pub fn word_logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        self.mlm.forward(hidden, self.text.words())
    }

    /// Logits of no match and match: of the text's path, and of the image's.
    ///
    /// # Shapes
    /// - image `(B, 1 + K, width)`, texts `(B, T, width)` -> `(B, 2)` each
    pub fn matching_logits(&self, image: &Tensor<3>, texts: &ReadTexts) -> [Tensor<2>; 2] {
        [self.text_path(image, texts), self.image_path(image, texts)]
    }

    fn text_path(&self, image: &Tensor<3>, texts: &ReadTexts) -> Tensor<2> {
        let fused = self.fuse_text(texts, image);
        dense(&self.itm_head_t, column_of(&fused, 0), false)
    }

    fn image_path(&self, image: &Tensor<3>, texts: &ReadTexts) -> Tensor<2> {
        let fused = self.fuse_image(image, texts);
        dense(&self.itm_head_v, column_of(&fused, 0), false)
    }

    /// Those of the paths that the config names.
    fn path_logits(&self, image: &Tensor<3>, texts: &ReadTexts) -> [Option<Tensor<2>>; 2] {
        let paths = self.config.paths;
        [
            matches!(paths, Paths::Both | Paths::Text).then(|| self.text_path(image, texts)),
            matches!(paths, Paths::Both | Paths::Image).then(|| self.image_path(image, texts)),
        ]
    }
}

/// Every token of an image.
fn whole(image: &Tensor<3>) -> Mask {
    let [batch, tokens, _] = image.dims();
    Mask::padding(vec![tokens; batch])
}

impl System for Xvl {
    fn spec(&self) -> Spec {
        let side = self.config.vit.grid();
        Spec {
            preprocessing: self.config.preprocessing,
            text: SystemConfig::text(&self.config),
            grid: [side, side],
            lead: 1,
            features: self.config.vit.width,
            labels: match self.diagnosis {
                Some(_) => self.config.labels().len(),
                None => 0,
            },
            answers: self.config.answers.len(),
        }
    }

    fn tasks(&self) -> Vec<Task> {
        let findings = self.diagnosis.is_some().then_some(Task::Findings);
        let asked = self.decoder.is_some() && !self.config.answers.is_empty();
        [Task::Draft, Task::Retrieve, Task::Check]
            .into_iter()
            .chain(findings)
            .chain(asked.then_some(Task::Vqa))
            .collect()
    }

    fn encode_image(&self, pixels: Tensor<4>) -> Tensor<3> {
        self.encode_patches(self.view(self.normalized(pixels)), None)
    }

    fn classify(&self, input: Input<'_>) -> Option<Tensor<2>> {
        let head = self.diagnosis.as_ref()?;
        Some(dense(head, column_of(&input.image?, 0), false))
    }

    fn answer(&self, image: Tensor<3>, questions: &[&[u32]]) -> Option<Tensor<2>> {
        self.ranked_answers(&image, questions)
    }

    fn answerer(&self) -> Option<&dyn Answerer> {
        self.decoder.is_some().then_some(self)
    }

    /// The mean of match minus no match over the paths that the config names; of a model without a path, how alike the features are.
    fn match_pairs(&self, image: Tensor<3>, texts: &[&[u32]]) -> Option<Tensor<1>> {
        let texts = self.read(&self.texts(texts));
        if self.config.paths == Paths::Neither {
            // Not over the temperature: the probabilities of pairs that are much alike would all be 1.
            let alike = self.image_features(&image) * self.text_features(&texts);
            return Some(alike.sum_dim(1).squeeze_dim(1));
        }
        let margin = |logits: Tensor<2>| {
            let batch = logits.dims()[0];
            // (B, 2) -> (B)
            (logits.clone().narrow(1, 1, 1) - logits.narrow(1, 0, 1)).reshape([batch])
        };
        match self.path_logits(&image, &texts).map(|logits| logits.map(margin)) {
            [Some(text), Some(image)] => Some((text + image).div_scalar(2.0)),
            [one, other] => one.or(other),
        }
    }

    fn image_feature(&self, image: Tensor<3>) -> Option<Tensor<2>> {
        Some(self.image_features(&image))
    }

    fn text_feature(&self, texts: &[&[u32]]) -> Option<Tensor<2>> {
        Some(self.text_features(&self.read(&self.texts(texts))))
    }

    fn predict_masked(&self, image: Tensor<3>, texts: &[&[u32]], places: &[usize]) -> Option<Tensor<2>> {
        Some(self.masked_logits(image, texts, places))
    }

    fn word_maps(&self, image: Tensor<3>, text: &[u32]) -> Option<Tensor<2>> {
        self.matching_maps(image, text)
    }

    fn generator(&self) -> Option<&dyn Generator> {
        Some(self)
    }

    #[cfg(not(target_family = "wasm"))]
    fn trace(&self, inputs: &AnyArrays, trace: &mut Trace) -> Result<(), TraceInputError> {
        trace::trace(self, inputs, trace)
    }
}

#[cfg(test)]
mod tests;

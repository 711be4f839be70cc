//! The engine as a program for `cargo xtask bench`: what the page's worker computes on the CPU, without page and protocol.
//! `tests/peers/web/engine.js` calls it.

fn main() {
    #[cfg(not(target_family = "wasm"))]
    eprintln!("this program runs in a browser; `cargo xtask bench --only 6` builds it and measures it");
}

#[cfg(target_family = "wasm")]
mod web {
    use std::fmt::Display;
    use std::ops::ControlFlow;

    use burn::tensor::{Tensor, TensorData};
    use hilum::bundle::{Manifest, ModelLoader};
    use hilum::device;
    use hilum::kernels::Mask;
    use hilum::nn::{self, Array, Arrays, AttentionPass, LayerConfig};
    use hilum::systems::Task;
    use hilum::tasks::{DraftOptions, Drafter, Session, draft_text};
    use hilum::text::Tokenizer;
    use wasm_bindgen::prelude::*;

    fn failed(error: impl Display) -> JsValue {
        js_sys::Error::new(&error.to_string()).into()
    }

    /// A post-norm encoder over one sequence of tokens, all of them seen.
    #[wasm_bindgen]
    pub struct Encoder {
        encoder: nn::Encoder,
        input: Tensor<3>,
    }

    #[wasm_bindgen]
    impl Encoder {
        /// An encoder without weights, and its input `(1, tokens, width)`.
        #[wasm_bindgen(constructor)]
        pub fn new(layers: usize, width: usize, heads: usize, intermediate: usize, input: Vec<f32>) -> Self {
            console_error_panic_hook::set_once();
            let cpu = device::cpu().device;
            let layer = LayerConfig::new(width, heads, intermediate);
            let shape = [1, input.len() / width, width];
            Self {
                encoder: nn::Encoder::from_layers(&vec![layer; layers], &cpu),
                input: Tensor::from_data(TensorData::new(input, shape), &cpu),
            }
        }

        /// Puts a tensor into its place.
        ///
        /// # Errors
        /// A name or a shape that the encoder does not have.
        pub fn place(self, name: String, shape: Vec<usize>, data: Vec<f32>) -> Result<Self, JsValue> {
            let arrays = Arrays::from([(name, Array { shape, data })]);
            let encoder = nn::place(self.encoder, arrays, &device::cpu().device).map_err(failed)?;
            Ok(Self { encoder, ..self })
        }

        /// A pass: the tokens after the last layer.
        ///
        /// # Errors
        /// When the device fails.
        pub async fn run(&self) -> Result<Vec<f32>, JsValue> {
            let attend = AttentionPass::new(Mask::padding(vec![self.input.dims()[1]]));
            let out = self.encoder.forward(self.input.clone(), &attend, |_, _| ());
            let data = out
                .into_data_async()
                .await
                .map_err(|error| failed(format!("{error:?}")))?;
            Ok(data.iter::<f32>().collect())
        }
    }

    /// A bundle that drafts.
    #[wasm_bindgen]
    pub struct Bundle {
        session: Session,
    }

    #[wasm_bindgen]
    impl Bundle {
        /// A bundle of one shard, from the content of its files.
        ///
        /// # Errors
        /// Files that are not a bundle's.
        #[wasm_bindgen(constructor)]
        pub fn new(manifest: &[u8], tokenizer: &[u8], shard: &[u8]) -> Result<Self, JsValue> {
            console_error_panic_hook::set_once();
            let cpu = device::cpu().device;
            let manifest = Manifest::parse(manifest).map_err(failed)?;
            let tokenizer = Tokenizer::from_json(tokenizer).map_err(failed)?;
            let mut loader = ModelLoader::new(&manifest, tokenizer.specials(), &cpu).map_err(failed)?;
            for entry in manifest.shards() {
                loader = loader.push(entry, shard).map_err(failed)?;
            }
            let model = loader.finish().map_err(failed)?;
            let session = Session::from_parts(manifest, model, Some(tokenizer), cpu).map_err(failed)?;
            Ok(Self { session })
        }

        /// A greedy draft from prepared pixels to the text: the words' ids, then their probabilities.
        ///
        /// # Errors
        /// When the device fails.
        pub async fn draft(&self, pixels: Vec<f32>) -> Result<Vec<f32>, JsValue> {
            let image = self.session.encode_pixels(pixels, 1);
            let drafter = Drafter::new(&self.session).map_err(failed)?;
            let draft = drafter.draft(image, DraftOptions::default(), |_| ControlFlow::Continue(()));
            let draft = draft.await.map_err(failed)?;
            draft_text(self.session.tokenizer(Task::Draft).map_err(failed)?, &draft);
            let ids = draft.tokens.iter().map(|token| token.id as f32);
            let probabilities = draft.tokens.iter().map(|token| token.probability);
            Ok(ids.chain(probabilities).collect())
        }
    }
}

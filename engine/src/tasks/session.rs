//! A bundle at work: its manifest, its model on a device, its tokenizer; and the one way from a radiograph to image tokens.

use std::borrow::Cow;

use burn::tensor::{Device, Tensor, TensorData};

use hilum_task::Unlikeness;

use super::error::{TaskError, read_back};
#[cfg(not(target_family = "wasm"))]
use crate::bundle::{Bundle, load_model};
use crate::bundle::{Gate, Manifest, gate};
use crate::image::{Gray8, Prepared, Radiograph, WindowChoice};
use crate::systems::{Generator, Model, Spec, System, Task};
#[cfg(not(target_family = "wasm"))]
use crate::text::Specials;
use crate::text::{Report, Sections, Tokenizer};

/// A bundle at work.
pub struct Session {
    /// What the bundle says of itself.
    pub manifest: Manifest,
    /// The model.
    pub model: Model,
    /// Its tokenizer; `None` for a model of images alone.
    pub tokenizer: Option<Tokenizer>,
    /// Where it computes.
    pub device: Device,
    /// What its training pictures look like to it; `None` for a bundle that cannot tell.
    gate: Option<Gate>,
}

/// A radiograph as the model has read it: computed once, used by every task.
#[derive(Clone)]
pub struct Encoded {
    /// Image tokens, `(1, K, F)`.
    pub tokens: Tensor<3>,
    /// The image that they were computed from.
    pub prepared: Prepared,
}

impl Session {
    /// A bundle's folder, on a device.
    ///
    /// # Errors
    /// A bundle that cannot be read, and what [`Session::from_parts`] refuses.
    #[cfg(not(target_family = "wasm"))]
    pub fn open(bundle: &Bundle, device: &Device) -> Result<Self, TaskError> {
        let tokenizer = bundle
            .tokenizer()?
            .map(|bytes| Tokenizer::from_json(&bytes))
            .transpose()?;
        let specials = tokenizer.as_ref().map_or(Specials::BERT, Tokenizer::specials);
        let model = load_model(bundle.manifest(), bundle.arrays()?, specials, device)?;
        let session = Self::from_parts(bundle.manifest().clone(), model, tokenizer, device.clone())?;
        Ok(session.with_gate(gate::open(bundle)?))
    }

    /// A session of what was loaded already.
    ///
    /// # Errors
    /// A tokenizer of another vocabulary, and heads whose outputs the bundle does not name one by one.
    pub fn from_parts(
        manifest: Manifest,
        model: Model,
        tokenizer: Option<Tokenizer>,
        device: Device,
    ) -> Result<Self, TaskError> {
        let spec = model.as_system().spec();
        if let (Some(tokenizer), Some(text)) = (&tokenizer, spec.text)
            && tokenizer.vocabulary_size() != text.vocabulary
        {
            return Err(TaskError::Vocabulary {
                tokens: tokenizer.vocabulary_size(),
                vocabulary: text.vocabulary,
            });
        }
        let named = [
            (Task::Findings, "labels", spec.labels, manifest.labels.len()),
            (Task::Vqa, "answers", spec.answers, manifest.answers.len()),
        ];
        for (task, what, outputs, named) in named {
            if manifest.tasks.contains(&task) && outputs != named {
                return Err(TaskError::Unnamed { what, outputs, named });
            }
        }
        Ok(Self {
            manifest,
            model,
            tokenizer,
            device,
            gate: None,
        })
    }

    /// The same with a bundle's gate.
    pub fn with_gate(self, gate: Option<Gate>) -> Self {
        Self { gate, ..self }
    }

    /// How unlike what the model was trained on a radiograph is; `None` where the bundle cannot tell.
    ///
    /// # Errors
    /// A gate that was fitted to another model, and a device that fails.
    pub async fn unlikeness(&self, image: &Encoded) -> Result<Option<Unlikeness>, TaskError> {
        let Some(gate) = &self.gate else { return Ok(None) };
        let tokens = read_back(image.tokens.clone()).await?;
        let spec = self.spec();
        let features = gate::features(&tokens[spec.lead * spec.features..], spec.features, spec.grid);
        let (of, given) = (gate.dimensions(), features.len());
        match of == given {
            true => Ok(Some(Unlikeness(gate.unlikeness(&features)))),
            false => Err(TaskError::Gate { of, given }),
        }
    }

    /// The model as the tasks see it.
    pub fn system(&self) -> &dyn System {
        self.model.as_system()
    }

    /// Whether cases of a gallery are compared by their codes, not by reading a radiograph and a report together.
    pub fn compares_codes(&self) -> bool {
        self.system().code(self.blank()).is_some()
    }

    /// Image tokens of nothing, to ask the model for shapes.
    fn blank(&self) -> Tensor<3> {
        let spec = self.spec();
        let tokens = spec.lead + spec.grid[0] * spec.grid[1];
        Tensor::zeros([1, tokens, spec.features], &self.device)
    }

    /// The shape of [`Session::kept_of`].
    pub fn kept_shape(&self) -> [usize; 2] {
        self.kept_of(self.blank()).dims()
    }

    /// What a gallery keeps of a radiograph: its code, `(1, D)`, or its image tokens, `(1, K, F)`, as one row.
    ///
    /// # Shapes
    /// - image `(1, K, F)` -> `(K or 1, F or D)`
    pub fn kept_of(&self, image: Tensor<3>) -> Tensor<2> {
        match self.system().code(image.clone()) {
            Some(code) => code,
            None => image.squeeze_dim(0),
        }
    }

    /// Sizes and preprocessing of the model.
    pub fn spec(&self) -> Spec {
        self.system().spec()
    }

    /// Refuses a task that the bundle was not trained for.
    ///
    /// # Errors
    /// Names the tasks that it offers.
    pub fn offers(&self, task: Task) -> Result<(), TaskError> {
        if self.manifest.tasks.contains(&task) {
            return Ok(());
        }
        let offered = if self.manifest.tasks.is_empty() {
            "no task".to_owned()
        } else {
            Task::list(&self.manifest.tasks)
        };
        Err(TaskError::NotOffered { task, offered })
    }

    /// The tokenizer, for a task that reads or writes text.
    ///
    /// # Errors
    /// A bundle without one.
    pub fn tokenizer(&self, task: Task) -> Result<&Tokenizer, TaskError> {
        self.tokenizer.as_ref().ok_or(TaskError::NoTokenizer(task))
    }

    /// How the model writes.
    ///
    /// # Errors
    /// A model that writes nothing.
    pub fn generator(&self) -> Result<&dyn Generator, TaskError> {
        self.system()
            .generator()
            .ok_or(TaskError::NoHead("generator of text"))
    }

    /// A text as tokens, closing SEP included, at most as many as the model reads.
    ///
    /// # Errors
    /// A bundle without a tokenizer, and text that cannot be encoded.
    pub fn encode_text(&self, task: Task, text: &str) -> Result<Vec<u32>, TaskError> {
        let most = self.spec().text.map_or(0, |text| text.max_tokens);
        Ok(self.tokenizer(task)?.encode_closed(text, most)?)
    }

    /// What the model reads of a report.
    pub fn reference<'r>(&self, report: &'r Report) -> Cow<'r, str> {
        report.text(
            self.spec()
                .text
                .map_or_else(Sections::default, |text| text.sections),
        )
    }

    /// A radiograph as the model reads it, in the window that its file asks for or another.
    ///
    /// # Errors
    /// A radiograph that cannot be shown.
    pub fn encode(&self, radiograph: &Radiograph, window: &WindowChoice) -> Result<Encoded, TaskError> {
        Ok(self.encode_gray(&radiograph.display(window)?))
    }

    /// [`Session::encode`] of an image as it is displayed.
    pub fn encode_gray(&self, gray: &Gray8) -> Encoded {
        let prepared = self.spec().preprocessing.apply(gray);
        let tokens = self.encode_pixels(prepared.pixels.clone(), 1);
        Encoded { tokens, prepared }
    }

    /// Preprocessed images in one pass.
    ///
    /// # Shapes
    /// - `count * S * S` pixels in [0, 1] -> `(count, K, F)`
    pub fn encode_pixels(&self, pixels: Vec<f32>, count: usize) -> Tensor<3> {
        let size = self.spec().preprocessing.size;
        let data = TensorData::new(pixels, [count, 1, size, size]);
        self.system().encode_image(Tensor::from_data(data, &self.device))
    }
}

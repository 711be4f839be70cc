//! What a left-to-right decoder keeps between its steps.

use burn::tensor::{Int, Tensor, TensorData};

use super::{AttentionPass, Encoder, KeyValueCache, Memory, indices};
use crate::kernels::Mask;

/// Keys and values of all layers: those of the tokens so far and those of the memory, and how many tokens
/// there are. [`Encoder::step`] moves it on.
#[derive(Debug)]
pub struct DecodeState {
    caches: Vec<KeyValueCache>,
    memories: Vec<Option<Memory>>,
    // Keys of the memory that are no padding, one count a sample, and the pass that knows them.
    lengths: Vec<usize>,
    attend: AttentionPass,
    prefix: usize,
    position: usize,
    capacity: usize,
}

impl DecodeState {
    /// Nothing written yet, room for `capacity` tokens a sample, and no memory: a decoder whose prefix, if
    /// any, is its first step.
    ///
    /// # Shapes
    /// - `like` `(batch, _, width)`: whatever the decoder is going to read has its batch, width and device
    pub fn new(decoder: &Encoder, like: &Tensor<3>, capacity: usize) -> Self {
        let [batch, _, width] = like.dims();
        Self {
            caches: decoder.caches(batch, capacity, width, &like.device()),
            memories: vec![None; decoder.layers()],
            lengths: Vec::new(),
            attend: AttentionPass::new(Mask::padding(Vec::new())),
            prefix: 0,
            position: 0,
            capacity,
        }
    }

    /// The same over a memory whose first `lengths` columns are real, a count a sample. Its keys and values
    /// are computed here, once.
    ///
    /// # Shapes
    /// - memory `(batch, keys, memory_width)`
    pub fn with_memory(self, decoder: &Encoder, memory: &Tensor<3>, lengths: Vec<usize>) -> Self {
        Self {
            memories: decoder.memories(memory),
            attend: AttentionPass::new(Mask::padding(lengths.clone())),
            lengths,
            ..self
        }
    }

    /// Tokens written so far, the prefix among them: the position of the next.
    pub const fn position(&self) -> usize {
        self.position
    }

    /// Tokens that [`Encoder::prefill`] wrote.
    pub const fn prefix(&self) -> usize {
        self.prefix
    }

    /// Samples.
    pub fn batch(&self) -> usize {
        self.caches.first().map_or(0, KeyValueCache::batch)
    }

    /// Tokens that still fit.
    pub const fn room(&self) -> usize {
        self.capacity - self.position
    }

    /// Forgets the newest `tokens`, whose place the next step takes: a decoder that appends MASK overwrites
    /// it by the token that was predicted.
    ///
    /// # Panics
    /// When fewer were written after the prefix.
    pub fn rewind(&mut self, tokens: usize) {
        let written = self.position - self.prefix;
        assert!(
            tokens <= written,
            "{tokens} of {written} tokens cannot be forgotten"
        );
        self.position -= tokens;
    }

    /// Keeps the samples of `rows`, in that order, as a beam search reorders its hypotheses; a row may come
    /// several times.
    ///
    /// # Panics
    /// When a row is none of the state's.
    pub fn select(&mut self, rows: &[usize]) {
        let Some(device) = self.caches.first().map(KeyValueCache::device) else {
            return;
        };
        let indices: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
        let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [rows.len()]), &device);
        for cache in &mut self.caches {
            cache.select(&indices);
        }
        for memory in self.memories.iter_mut().flatten() {
            memory.select(&indices);
        }
        if !self.lengths.is_empty() {
            self.lengths = rows.iter().map(|&row| self.lengths[row]).collect();
            self.attend = AttentionPass::new(Mask::padding(self.lengths.clone()));
        }
    }

    /// [`DecodeState::select`] among samples that have the same prefix and memory, as the hypotheses of one beam: what was
    /// written is reordered, and what they share stays where it is.
    ///
    /// # Panics
    /// When there are more or fewer rows than samples, or a row is none of the state's.
    pub fn select_written(&mut self, rows: &[usize]) {
        assert_eq!(rows.len(), self.batch(), "a row for each sample");
        let written = self.prefix..self.position;
        if written.is_empty() || rows.iter().enumerate().all(|(i, row)| i == *row) {
            return;
        }
        for cache in &mut self.caches {
            let rows = indices(rows.iter().copied(), &cache.device());
            cache.select_columns(&rows, written.clone());
        }
    }

    /// Makes room for a prefix of `rows` tokens.
    pub(super) fn begin(&mut self, rows: usize) {
        assert_eq!(self.position, 0, "a prefix comes before all tokens");
        self.advance(rows);
        self.prefix = rows;
    }

    /// Makes room for `rows` and says where they begin.
    pub(super) fn advance(&mut self, rows: usize) -> usize {
        let start = self.position;
        assert!(
            rows <= self.room(),
            "{rows} rows after {start} do not fit a state of {}",
            self.capacity
        );
        self.position += rows;
        start
    }

    pub(super) fn layer(&mut self, number: usize) -> (&mut KeyValueCache, Option<(&Memory, &AttentionPass)>) {
        let memory = self.memories[number].as_ref();
        (
            &mut self.caches[number],
            memory.map(|memory| (memory, &self.attend)),
        )
    }
}

#[cfg(test)]
mod tests {
    use burn::module::Module;
    use burn::tensor::{Device, Distribution};

    use super::*;
    use crate::device::test_devices;
    use crate::kernels::MaskKind;
    use crate::nn::{Cross, LayerConfig};

    const LENGTHS: [usize; 3] = [6, 2, 4];

    struct Case {
        decoder: Encoder,
        tokens: Tensor<3>,
        memory: Tensor<3>,
    }

    /// Two layers, the second of which reads a memory, heads of 80.
    fn case(pre_norm: bool, device: &Device) -> Case {
        let cpu = Device::flex();
        let first = LayerConfig {
            pre_norm,
            ..LayerConfig::new(160, 2, 32)
        };
        let second = LayerConfig {
            memory_width: Some(12),
            ..first.clone()
        };
        let random = |shape| Tensor::<3>::random(shape, Distribution::Normal(0.0, 1.0), &cpu);
        Case {
            decoder: Encoder::from_layers(&[first, second], &cpu).to_device(device),
            tokens: random([3, 9, 160]).to_device(device),
            memory: random([3, 6, 12]).to_device(device),
        }
    }

    impl Case {
        fn whole(&self) -> Tensor<3> {
            let cross = AttentionPass::new(Mask::padding(LENGTHS.to_vec()));
            let cross = Cross {
                memory: &self.memory,
                attend: &cross,
            };
            let attend = AttentionPass::new(Mask::causal(3));
            self.decoder
                .forward_layers(0..2, self.tokens.clone(), &attend, Some(cross), |_, _| ())
        }

        fn state(&self) -> DecodeState {
            DecodeState::new(&self.decoder, &self.tokens, 9).with_memory(
                &self.decoder,
                &self.memory,
                LENGTHS.to_vec(),
            )
        }
    }

    fn close(expected: Tensor<3>, found: Tensor<3>, what: &str) {
        let expected: Vec<f32> = expected.into_data().iter::<f32>().collect();
        let found: Vec<f32> = found.into_data().iter::<f32>().collect();
        assert_eq!(expected.len(), found.len(), "{what}");
        for (e, f) in expected.iter().zip(&found) {
            assert!((e - f).abs() < 2e-5, "{what}: {f}, the whole pass says {e}");
        }
    }

    #[test]
    fn cached_steps_equal_the_whole_pass() {
        for (name, device) in test_devices() {
            for pre_norm in [false, true] {
                let case = case(pre_norm, &device);
                let mut state = case.state();
                // A prefix at once, a row that is taken back, then row by row.
                let mut rows = vec![case.decoder.step(case.tokens.clone().narrow(1, 0, 4), &mut state)];
                case.decoder.step(case.tokens.clone().narrow(1, 0, 1), &mut state);
                state.rewind(1);
                for at in 4..9 {
                    rows.push(
                        case.decoder
                            .step(case.tokens.clone().narrow(1, at, 1), &mut state),
                    );
                }
                assert_eq!((state.position(), state.room()), (9, 0));
                close(case.whole(), Tensor::cat(rows, 1), name);
            }
        }
    }

    #[test]
    fn a_prefix_under_a_mask_of_its_own_equals_the_whole_pass_under_it() {
        for (name, device) in test_devices() {
            let case = case(false, &device);
            let mask = || Mask {
                kind: MaskKind::Seq2Seq,
                context: 4,
                query_start: 0,
                lengths: vec![9; 3],
            };
            let cross = AttentionPass::new(Mask::padding(LENGTHS.to_vec()));
            let cross = Cross {
                memory: &case.memory,
                attend: &cross,
            };
            let attend = AttentionPass::new(mask());
            let tokens = |from, count| case.tokens.clone().narrow(1, from, count);
            let whole = case
                .decoder
                .forward_layers(0..2, tokens(0, 9), &attend, Some(cross), |_, _| ());
            let mut state = case.state();
            let mut rows = vec![
                case.decoder
                    .prefill(tokens(0, 4), &AttentionPass::new(mask()), &mut state),
            ];
            rows.extend((4..9).map(|at| case.decoder.step(tokens(at, 1), &mut state)));
            assert_eq!((state.prefix(), state.position()), (4, 9));
            close(whole, Tensor::cat(rows, 1), name);
        }
    }

    #[test]
    fn a_beam_takes_caches_memory_and_lengths_along() {
        for (name, device) in test_devices() {
            let case = case(false, &device);
            let mut state = case.state();
            case.decoder.step(case.tokens.clone().narrow(1, 0, 5), &mut state);
            let rows = [2, 0, 2, 1];
            state.select(&rows);
            let indices = Tensor::<1, Int>::from_data(rows.map(|r| r as i32), &device);
            let next = case.tokens.clone().narrow(1, 5, 1).select(0, indices.clone());
            let found = case.decoder.step(next, &mut state);
            close(
                case.whole().narrow(1, 5, 1).select(0, indices),
                found,
                &format!("beam on {name}"),
            );
        }
    }
}

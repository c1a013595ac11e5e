//! Memory of a plan on a GPU, and its ops bound to it. The native counterpart is
//! [`crate::kernels::Slots`].

use std::collections::HashMap;

use crate::device::Gpu;
use crate::device::launch::{Kernel, Launch};
use crate::error::EngineError;
use crate::kernels::dispatch::{SCRATCH, SCRATCH_WORDS};
use crate::kernels::{BufferId, Dispatch, Op, Place};

/// All memory of one plan on one GPU.
#[derive(Debug)]
pub struct DeviceMemory {
    gpu: Gpu,
    slots: Vec<wgpu::Buffer>,
    /// Of every logical buffer.
    place: Vec<Place>,
    scratch: wgpu::Buffer,
    /// Variants by [`Op::speed_key`], where not the usual one is wanted.
    chosen: HashMap<String, String>,
}

impl DeviceMemory {
    /// Zeroed memory: the words of each slot, and per buffer its slot and its words.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`] if a slot exceeds the adapter's limits or the memory is short.
    pub fn new(
        gpu: Gpu,
        slot_words: &[usize],
        place: Vec<(usize, usize)>,
    ) -> Result<Self, EngineError> {
        Self::placed(gpu, slot_words, place.into_iter().map(Place::from).collect())
    }

    /// As [`DeviceMemory::new`], with buffers anywhere in their slots.
    ///
    /// # Errors
    /// As [`DeviceMemory::new`].
    pub fn placed(gpu: Gpu, slot_words: &[usize], place: Vec<Place>) -> Result<Self, EngineError> {
        let slots: Result<Vec<_>, _> = slot_words
            .iter()
            .enumerate()
            .map(|(i, &words)| gpu.storage(&format!("memory slot {i}"), words))
            .collect();
        let scratch = gpu.storage("scratch", SCRATCH_WORDS)?;
        Ok(Self { slots: slots?, gpu, place, scratch, chosen: HashMap::new() })
    }

    /// The GPU.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Gives the memory back and keeps the GPU with its pipelines.
    pub fn into_gpu(self) -> Gpu {
        self.gpu
    }

    /// Ops of this [`Op::speed_key`] take this variant from now on.
    pub fn choose(&mut self, speed_key: String, variant: String) {
        self.chosen.insert(speed_key, variant);
    }

    /// Dispatches of an op in the chosen variant.
    pub fn calls(&self, op: &Op, full_stats: bool) -> Vec<Dispatch> {
        let chosen = op.speed_key().and_then(|key| self.chosen.get(&key));
        op.gpu(full_stats, chosen.map(String::as_str))
    }

    /// The device buffer that starts with `id`, and the words of it that belong to `id`.
    ///
    /// # Errors
    /// [`EngineError::Shape`] if there is no such buffer, or it begins inside another.
    pub fn find(&self, id: BufferId) -> Result<(&wgpu::Buffer, usize), EngineError> {
        match self.locate(id)? {
            (buffer, Place { offset: 0, words, .. }) => Ok((buffer, words)),
            _ => Err(Self::unknown(id)),
        }
    }

    fn unknown(id: BufferId) -> EngineError {
        EngineError::Shape { op: "plan", what: format!("no buffer {}", id.0) }
    }

    fn locate(&self, id: BufferId) -> Result<(&wgpu::Buffer, Place), EngineError> {
        if id == SCRATCH {
            return Ok((&self.scratch, Place { slot: 0, offset: 0, words: SCRATCH_WORDS }));
        }
        let place = self.place.get(id.index()).ok_or_else(|| Self::unknown(id))?;
        Ok((self.slots.get(place.slot).ok_or_else(|| Self::unknown(id))?, *place))
    }

    /// Binds ops to this memory. See [`Op::gpu`] for `full_stats`.
    pub fn prepare(&mut self, ops: &[Op], full_stats: bool) -> Result<Vec<Launch>, EngineError> {
        let calls: Vec<_> = ops.iter().flat_map(|op| self.calls(op, full_stats)).collect();
        calls.iter().map(|call| self.bind(call)).collect()
    }

    fn bind(&mut self, call: &Dispatch) -> Result<Launch, EngineError> {
        let find = |(id, _): &(BufferId, bool)| {
            self.locate(*id).map(|(buffer, place)| (buffer.clone(), 4 * place.offset as u64))
        };
        let buffers = call.buffers.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        let written: Vec<bool> = call.buffers.iter().map(|(_, written)| *written).collect();
        let kernel = Kernel {
            shader: call.shader,
            source: &call.source,
            entry: call.entry,
            written: &written,
        };
        let bound: Vec<wgpu::BufferBinding<'_>> = buffers
            .iter()
            .map(|(buffer, offset)| wgpu::BufferBinding { buffer, offset: *offset, size: None })
            .collect();
        self.gpu.launch(&kernel, &bound, &call.params, call.groups)
    }

    /// Bytes of each slot as allocated, and of the scratch.
    pub fn bytes(&self) -> (Vec<u64>, u64) {
        (self.slots.iter().map(wgpu::Buffer::size).collect(), self.scratch.size())
    }

    /// Runs bound ops once.
    pub fn run(&self, launches: &[Launch]) -> Result<(), EngineError> {
        self.gpu.submit(|encoder| record(encoder, launches))
    }

    /// Reads a whole buffer.
    pub fn read(&self, id: BufferId) -> Result<Vec<u32>, EngineError> {
        let (buffer, words) = self.find(id)?;
        self.gpu.download(buffer, words)
    }

    /// Writes words from the start of a buffer.
    pub fn write(&self, id: BufferId, words: &[u32]) -> Result<(), EngineError> {
        let (buffer, most) = self.find(id)?;
        if words.len() > most {
            let what = format!("{} words for buffer {} of {most}", words.len(), id.0);
            return Err(EngineError::Shape { op: "write", what });
        }
        self.gpu.upload(buffer, words)
    }
}

/// Records bound ops in order.
pub fn record(encoder: &mut wgpu::CommandEncoder, launches: &[Launch]) {
    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
    for launch in launches {
        launch.record(&mut pass);
    }
}

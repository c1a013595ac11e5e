//! One opened GPU: its device, its pipelines, and the few things the engine does with it. Nothing
//! here panics on a driver's fault; every fault becomes an [`EngineError`].

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::adapter::{Candidate, matrix_units_wanted};
use super::launch::{Kernel, Launch, Pipeline, build, fold_groups};
use super::{AdapterInfo, Capabilities};
use crate::error::EngineError;

/// How long a submission may take before the device counts as hung.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Faults that the driver reports outside a call.
#[derive(Debug, Default)]
struct Faults {
    lost: Mutex<Option<String>>,
    error: Mutex<Option<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An opened GPU. It belongs to one thread at a time, which is also its only poller.
#[derive(Debug)]
pub struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: AdapterInfo,
    capabilities: Capabilities,
    faults: Arc<Faults>,
    pipelines: HashMap<u64, Pipeline>,
}

impl Gpu {
    /// Opens an adapter. Limits are WebGPU's defaults, buffers as large as the adapter allows. Its matrix
    /// units are used where [`super::adapter::MATRIX_UNITS_ENV`] asks for them.
    pub fn open(mut candidate: Candidate) -> Result<Self, EngineError> {
        if !matrix_units_wanted() {
            candidate.capabilities.matrix_units = None;
        }
        Self::open_with_all(candidate)
    }

    /// As [`Gpu::open`], with all that the adapter can do.
    pub fn open_with_all(candidate: Candidate) -> Result<Self, EngineError> {
        let Candidate { info, capabilities, adapter, .. } = candidate;
        let experimental_features = match capabilities.matrix_units {
            None => wgpu::ExperimentalFeatures::disabled(),
            // SAFETY: asks for acceptance that experimental features may have faults that validation does
            // not find. The only one is cooperative matrices, and the only kernel with them reads and
            // writes them in workgroup memory at places that its constants bound.
            Some(_) => unsafe { wgpu::ExperimentalFeatures::enabled() },
        };
        let available = adapter.limits();
        let mut limits = wgpu::Limits::defaults().or_worse_values_from(&available);
        limits.max_buffer_size = available.max_buffer_size;
        limits.max_storage_buffer_binding_size = available.max_storage_buffer_binding_size;
        let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("fp8-studio"),
            required_features: capabilities.features(),
            required_limits: limits,
            experimental_features,
            memory_hints: wgpu::MemoryHints::Performance,
            trace: wgpu::Trace::Off,
        }))
        .map_err(|e| EngineError::NoAdapter(format!("{} cannot be opened: {e}", info.name)))?;
        let faults = Arc::new(Faults::default());
        let lost = Arc::clone(&faults);
        device.set_device_lost_callback(move |reason, message| {
            let text = if message.is_empty() { format!("{reason:?}") } else { message };
            lock(&lost.lost).get_or_insert(text);
        });
        let uncaptured = Arc::clone(&faults);
        // Without a handler of our own wgpu panics.
        device.on_uncaptured_error(Arc::new(move |e: wgpu::Error| {
            tracing::error!("GPU: {e}");
            lock(&uncaptured.error).get_or_insert_with(|| e.to_string());
        }));
        Ok(Self { device, queue, info, capabilities, faults, pipelines: HashMap::new() })
    }

    /// The adapter.
    pub fn info(&self) -> &AdapterInfo {
        &self.info
    }

    /// What the adapter can do.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Reports a fault that the driver raised since the last check.
    pub fn check(&self) -> Result<(), EngineError> {
        if let Some(why) = lock(&self.faults.lost).clone() {
            return Err(EngineError::DeviceLost(why));
        }
        match lock(&self.faults.error).take() {
            Some(what) => Err(EngineError::Kernel { kernel: "submission".to_owned(), what }),
            None => Ok(()),
        }
    }

    /// Runs `make` and turns whatever the driver says about it into an error.
    fn scoped<T>(
        &self,
        what: &str,
        bytes: u64,
        make: impl FnOnce(&wgpu::Device) -> T,
    ) -> Result<T, EngineError> {
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let internal = self.device.push_error_scope(wgpu::ErrorFilter::Internal);
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let made = make(&self.device);
        let errors = [memory.pop(), internal.pop(), validation.pop()].map(pollster::block_on);
        self.check()?;
        let error = errors.into_iter().flatten().next();
        if error.is_some() {
            // Whatever a lost device is asked for comes out invalid; the loss itself is only
            // reported by a poll.
            self.poll(wgpu::PollType::Poll)?;
        }
        match error {
            None => Ok(made),
            Some(wgpu::Error::OutOfMemory { .. }) => {
                Err(EngineError::OutOfMemory { what: what.to_owned(), needed: bytes, available: 0 })
            }
            Some(e) => Err(EngineError::Kernel { kernel: what.to_owned(), what: e.to_string() }),
        }
    }

    fn raw_buffer(
        &self,
        label: &str,
        bytes: u64,
        usage: wgpu::BufferUsages,
    ) -> Result<wgpu::Buffer, EngineError> {
        self.scoped(label, bytes, |device| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size: bytes,
                usage,
                mapped_at_creation: false,
            })
        })
    }

    /// A zeroed storage buffer of `words` (at least 1) words that can be read and written.
    pub fn storage(&self, label: &str, words: usize) -> Result<wgpu::Buffer, EngineError> {
        let needed = 4 * words.max(1) as u64;
        let available = self.capabilities.max_array_bytes();
        if needed > available {
            return Err(EngineError::OutOfMemory { what: label.to_owned(), needed, available });
        }
        use wgpu::BufferUsages as U;
        self.raw_buffer(label, needed, U::STORAGE | U::COPY_SRC | U::COPY_DST)
    }

    /// A buffer of `words` words that batches are staged in.
    pub fn staging(&self, label: &str, words: usize) -> Result<wgpu::Buffer, EngineError> {
        use wgpu::BufferUsages as U;
        self.raw_buffer(label, 4 * words.max(1) as u64, U::COPY_SRC | U::COPY_DST)
    }

    /// A buffer of `words` words that the host reads results from.
    pub fn readback(&self, label: &str, words: usize) -> Result<wgpu::Buffer, EngineError> {
        use wgpu::BufferUsages as U;
        self.raw_buffer(label, 4 * words.max(1) as u64, U::MAP_READ | U::COPY_DST)
    }

    /// Writes words from the start of a buffer, before the next submission.
    pub fn upload(&self, buffer: &wgpu::Buffer, words: &[u32]) -> Result<(), EngineError> {
        if words.is_empty() {
            return Ok(());
        }
        if 4 * words.len() as u64 > buffer.size() {
            return Err(EngineError::Shape {
                op: "upload",
                what: format!("{} words into a buffer of {} bytes", words.len(), buffer.size()),
            });
        }
        self.scoped("upload", 4 * words.len() as u64, |_| {
            self.queue.write_buffer(buffer, 0, bytemuck::cast_slice(words));
        })
    }

    /// Reads the first `words` words of a storage buffer.
    pub fn download(&self, buffer: &wgpu::Buffer, words: usize) -> Result<Vec<u32>, EngineError> {
        if words == 0 {
            return Ok(Vec::new());
        }
        let target = self.readback("readback", words)?;
        self.submit(|encoder| {
            encoder.copy_buffer_to_buffer(buffer, 0, &target, 0, Some(4 * words as u64));
        })?;
        self.map(&target, words)
    }

    /// Reads the first `words` words of a readback buffer, once all submitted work is done.
    pub fn map(&self, buffer: &wgpu::Buffer, words: usize) -> Result<Vec<u32>, EngineError> {
        if words == 0 {
            return Ok(Vec::new());
        }
        let bytes = 4 * words as u64;
        if bytes > buffer.size() {
            return Err(EngineError::Shape {
                op: "readback",
                what: format!("{words} words from a buffer of {} bytes", buffer.size()),
            });
        }
        let slice = buffer.slice(..bytes);
        let outcome = Arc::new(Mutex::new(None));
        let seen = Arc::clone(&outcome);
        slice.map_async(wgpu::MapMode::Read, move |result| *lock(&seen) = Some(result));
        self.wait()?;
        if let Some(Err(e)) = lock(&outcome).take() {
            return Err(self.fault(format!("results cannot be read: {e}")));
        }
        let view = match slice.get_mapped_range() {
            Ok(view) => view,
            Err(e) => return Err(self.fault(format!("results cannot be read: {e}"))),
        };
        let mut out = vec![0u32; words];
        bytemuck::cast_slice_mut::<u32, u8>(&mut out).copy_from_slice(&view);
        drop(view);
        buffer.unmap();
        Ok(out)
    }

    /// The reported fault if there is one, else `text`.
    fn fault(&self, text: String) -> EngineError {
        self.check().err().unwrap_or(EngineError::DeviceLost(text))
    }

    /// Records one command buffer and submits it.
    pub fn submit(
        &self,
        record: impl FnOnce(&mut wgpu::CommandEncoder),
    ) -> Result<(), EngineError> {
        self.scoped("submission", 0, |device| {
            let mut encoder = device.create_command_encoder(&Default::default());
            record(&mut encoder);
            self.queue.submit([encoder.finish()]);
        })
    }

    /// Waits for all submitted work.
    pub fn wait(&self) -> Result<(), EngineError> {
        self.poll(wgpu::PollType::Wait { submission_index: None, timeout: Some(TIMEOUT) })
    }

    fn poll(&self, how: wgpu::PollType) -> Result<(), EngineError> {
        // wgpu panics where a device is lost during the wait.
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| self.device.poll(how)));
        self.check()?;
        match polled {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(e)) => Err(EngineError::DeviceLost(format!("it does not answer: {e}"))),
            Err(_) => Err(EngineError::DeviceLost("it failed while working".to_owned())),
        }
    }

    fn pipeline(&mut self, kernel: &Kernel<'_>) -> Result<Pipeline, EngineError> {
        let mut hasher = DefaultHasher::new();
        (kernel.source, kernel.entry, kernel.written).hash(&mut hasher);
        let key = hasher.finish();
        if let Some(found) = self.pipelines.get(&key) {
            return Ok(found.clone());
        }
        let label = format!("{}::{}", kernel.shader, kernel.entry);
        let made = self.scoped(&label, 0, |device| build(device, kernel, &label))?;
        self.pipelines.insert(key, made.clone());
        Ok(made)
    }

    /// Binds a kernel to buffers and parameters. `groups` may exceed what one dimension holds.
    pub fn launch(
        &mut self,
        kernel: &Kernel<'_>,
        buffers: &[wgpu::BufferBinding<'_>],
        params: &[u32],
        groups: [u32; 3],
    ) -> Result<Launch, EngineError> {
        let Pipeline { pipeline, layout } = self.pipeline(kernel)?;
        let words = params.len().next_multiple_of(4).max(4);
        let mut padded = params.to_vec();
        padded.resize(words, 0);
        let uniform = self.raw_buffer(
            "params",
            4 * words as u64,
            wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
        )?;
        self.upload(&uniform, &padded)?;
        let entries: Vec<wgpu::BindGroupEntry<'_>> = buffers
            .iter()
            .cloned()
            .chain([uniform.as_entire_buffer_binding()])
            .enumerate()
            .map(|(i, buffer)| wgpu::BindGroupEntry {
                binding: i as u32,
                resource: wgpu::BindingResource::Buffer(buffer),
            })
            .collect();
        let label = format!("{}::{}", kernel.shader, kernel.entry);
        let group = self.scoped(&label, 0, |device| {
            device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(&label),
                layout: &layout,
                entries: &entries,
            })
        })?;
        let groups = fold_groups(groups, self.capabilities.max_groups);
        Ok(Launch { pipeline, group, groups })
    }

    /// Destroys the device, as a driver reset or an unplugged GPU would.
    #[doc(hidden)]
    pub fn destroy(&self) {
        self.device.destroy();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::adapter::tests::any_adapter;
    use crate::device::shader;

    #[test]
    fn rejected_kernels_are_errors_that_name_the_kernel() {
        let mut gpu = Gpu::open(any_adapter()).unwrap();
        let buffer = gpu.storage("test", 4).unwrap();
        let fill = shader::source("elementwise", &[("LANES", shader::LANES)]);
        let kernel = |source, entry, written| Kernel { shader: "test", source, entry, written };
        for bad in [
            kernel("fn broken(", "fill", &[true]),
            kernel(&fill, "no_such_entry", &[true]),
            // The shader writes what the layout calls read-only.
            kernel(&fill, "fill", &[false]),
            kernel(&fill, "fill", &[]),
        ] {
            match gpu.launch(&bad, &[buffer.as_entire_buffer_binding()], &[4, 0], [1, 1, 1]) {
                Err(EngineError::Kernel { kernel, what }) => {
                    assert!(kernel.starts_with("test::") && !what.is_empty());
                }
                other => panic!("{other:?}"),
            }
        }
        // The device is as good as before.
        let good = kernel(&fill, "fill", &[true]);
        let launch =
            gpu.launch(&good, &[buffer.as_entire_buffer_binding()], &[4, 7], [1, 1, 1]).unwrap();
        let record = |e: &mut wgpu::CommandEncoder| {
            launch.record(&mut e.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
        };
        gpu.submit(record).unwrap();
        assert_eq!(gpu.download(&buffer, 4).unwrap(), [7; 4]);
    }

    #[test]
    fn sizes_are_checked_before_the_driver_is_asked() {
        let gpu = Gpu::open(any_adapter()).unwrap();
        let most = gpu.capabilities().max_array_bytes();
        let too_many = usize::try_from(most / 4 + 1).unwrap();
        match gpu.storage("weights", too_many) {
            Err(EngineError::OutOfMemory { what, needed, available }) => {
                assert_eq!((what.as_str(), available), ("weights", most));
                assert!(needed > available);
            }
            other => panic!("{other:?}"),
        }
        let buffer = gpu.storage("small", 2).unwrap();
        assert!(matches!(gpu.upload(&buffer, &[0; 3]), Err(EngineError::Shape { .. })));
        let results = gpu.readback("small", 2).unwrap();
        assert!(matches!(gpu.map(&results, 3), Err(EngineError::Shape { .. })));
        assert!(gpu.download(&buffer, 0).unwrap().is_empty());
        assert_eq!(gpu.download(&buffer, 2).unwrap(), [0, 0], "new memory is zero");
        // Reading past the end is refused by the driver, not by a panic.
        assert!(matches!(gpu.download(&buffer, 3), Err(EngineError::Kernel { .. })));
    }
}

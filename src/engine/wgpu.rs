//! wgpu executor.

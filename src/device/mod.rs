//! GPU adapters: which there are, what they can do, whether they compute correctly.

pub mod adapter;
pub mod gpu;
pub mod launch;
pub mod self_test;
pub mod shader;

use serde::{Deserialize, Serialize};

pub use adapter::{Capabilities, adapters, choose};
pub use gpu::Gpu;
pub use self_test::{Inspection, SelfTest, inspect, self_test};

/// What the user asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceChoice {
    /// A real GPU if there is one that passes its self-test, else the CPU engine.
    #[default]
    Auto,
    /// The native CPU engine.
    Cpu,
    /// A GPU; a software adapter is accepted because it was asked for.
    Gpu,
}

/// One adapter as shown to the user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdapterInfo {
    /// Name from the driver.
    pub name: String,
    /// `Vulkan`, `Metal`, `Dx12`, `Gl`.
    pub backend: String,
    /// Driver name and version.
    pub driver: String,
    /// Whether it is a software renderer (never chosen by `Auto`).
    pub software: bool,
}

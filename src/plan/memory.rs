//! Assigns transient buffers to physical slots by lifetime.

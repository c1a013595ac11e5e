//! Native executor.

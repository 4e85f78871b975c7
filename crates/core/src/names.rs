//! Names of the configuration and the engine's numbers.

use crate::config;

/// How names become the engine's numbers.
pub trait Names {
    /// Return the number of a cluster, or `None` if the Snapshot has none of that name.
    fn cluster(&self, name: &str) -> Option<usize>;
    /// Return the number of the counters of route `name` in virtual host `host`.
    fn label(&mut self, host: &str, name: &str) -> usize;
    /// Return the number of the token bucket called `key`.
    fn bucket(&mut self, key: &str) -> usize;
    /// Return the number of the keys that are fetched from `remote`.
    fn key_set(&mut self, remote: &config::RemoteKeys) -> usize;
}

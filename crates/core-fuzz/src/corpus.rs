//! Inputs worth mutating: those stored with the sources, and those that made the target do something new.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

/// Inputs kept in memory. Beyond it new behaviours are counted no more: what is rare has been found by then.
const MAX_KEPT: usize = 8192;

/// Largest input that is kept for further mutation: longer ones are slow and say little more.
const MAX_KEPT_BYTES: usize = 64 * 1024;

pub struct Corpus {
    inputs: Vec<Vec<u8>>,
    behaviours: HashSet<u64>,
}

impl Corpus {
    /// Read `corpus/<target>/`, in the order of names, so that a seed gives the same run everywhere.
    pub fn load(target: &str) -> Result<Self, String> {
        let folder = folder(target);
        let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
        paths.sort();
        let inputs = paths.iter().map(fs::read).collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
        if inputs.is_empty() {
            return Err(format!("{}: no inputs", folder.display()));
        }
        Ok(Self { inputs, behaviours: HashSet::new() })
    }

    /// Return the inputs as read.
    pub fn stored(&self) -> Vec<Vec<u8>> {
        self.inputs.clone()
    }

    /// Keep `input` if nothing has behaved like it yet.
    pub fn learn(&mut self, input: &[u8], behaviour: u64) {
        if self.inputs.len() < MAX_KEPT && input.len() <= MAX_KEPT_BYTES && self.behaviours.insert(behaviour) {
            self.inputs.push(input.to_vec());
        }
    }

    pub fn len(&self) -> usize {
        self.behaviours.len()
    }

    /// Return one of the inputs, by any number.
    pub fn pick(&self, number: usize) -> &[u8] {
        self.inputs.get(number % self.inputs.len().max(1)).map_or(&[], Vec::as_slice)
    }
}

/// Save an input that failed; return where, or why not.
pub fn save_crash(target: &str, input: &[u8]) -> String {
    let digest = input
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    let path = folder(target).join(format!("crash-{digest:016x}"));
    match fs::write(&path, input) {
        Ok(()) => path.display().to_string(),
        Err(error) => format!("not saved ({error})"),
    }
}

fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

//! Answers of authorization services: any bytes are one or none, and what is let through can be written on.

use std::hash::{DefaultHasher, Hash, Hasher};

use eventmesh_core::{checked, Said};

pub fn run(input: &[u8], _seed: u64) -> Result<u64, String> {
    let mut behaviour = DefaultHasher::new();
    let said = checked(input);
    std::mem::discriminant(&said).hash(&mut behaviour);
    match said {
        Some(Said::Through(granted)) => {
            let sound = granted.is_sound();
            let broken = |value: &[u8]| value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
            if sound && granted.request.iter().chain(&granted.response).any(|field| broken(&field.value)) {
                return Err("a value that ends its line is called sound".to_owned());
            }
            sound.hash(&mut behaviour);
        }
        Some(Said::Refused(refused) | Said::Failed(Some(refused))) => {
            if refused.status.is_some_and(|status| !(200..600).contains(&status)) {
                return Err(format!("status {:?} is told to a caller", refused.status));
            }
            refused.fields.len().hash(&mut behaviour);
        }
        Some(Said::Failed(None)) | None => {}
    }
    Ok(behaviour.finish())
}

//! What values of a configuration must be, whatever they are for.

/// Check a duration of the configuration.
pub fn check_seconds(seconds: f64) -> Result<(), String> {
    if seconds.is_finite() && seconds >= 0.0 {
        Ok(())
    } else {
        Err(format!("{seconds} is not a duration"))
    }
}

/// Check a text that must have neither blanks nor control characters.
pub fn printable(text: &str) -> Result<(), String> {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(())
    } else {
        Err(format!("{text:?} has blanks or control characters"))
    }
}

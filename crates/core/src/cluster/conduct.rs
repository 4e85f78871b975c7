//! How one endpoint answers: what outlier detection judges it by.

/// How an endpoint has answered lately.
#[derive(Debug, Default)]
pub struct Conduct {
    /// Errors of the server in a row.
    pub server_errors: u32,
    /// Those among them that a gateway tells, in a row.
    pub gateway_errors: u32,
    /// Answers since the last sweep.
    pub answers: u32,
    /// The good ones among them.
    pub good: u32,
    /// Share of good answers in the last interval, in per cent, where there were enough of them.
    pub success_rate: Option<f64>,
    /// When it was ejected, if it is.
    pub ejected_at: Option<f64>,
    /// Ejections that have not been made good by a quiet interval yet.
    pub ejections: u32,
}

impl Conduct {
    /// Return whether it is given nothing.
    pub fn is_ejected(&self) -> bool {
        self.ejected_at.is_some()
    }
}

//! How far a walk through a frame may go: every length is held against it as soon as it is there.

/// How far a frame may go.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Its end, if it has said so.
    pub end: Option<usize>,
    /// The longest that a frame may be.
    pub most: usize,
    /// The position beyond which something is wrong.
    pub limit: usize,
}

impl Bounds {
    /// Return this position, if a part of the frame may end there.
    #[inline]
    pub fn check(self, at: usize) -> Result<usize, &'static str> {
        if at <= self.limit {
            Ok(at)
        } else {
            Err(self.fault(at))
        }
    }

    /// Return what is wrong with this position.
    #[cold]
    fn fault(self, at: usize) -> &'static str {
        match self.end {
            _ if at > self.most => TOO_LARGE,
            Some(end) if at > end => "a part of the frame runs past its end",
            _ => "the head of a frame is too long",
        }
    }

    /// Return the position behind so many bytes.
    #[inline]
    pub fn behind(self, at: usize, length: u64) -> Result<usize, &'static str> {
        self.check(usize::try_from(length).map_or(usize::MAX, |length| at.saturating_add(length)))
    }

    /// The frame says that so many bytes follow this position, with what is added to that.
    pub fn end_behind(&mut self, at: usize, length: u64, adjust: i64) -> Result<(), &'static str> {
        let follow = i64::try_from(length).unwrap_or(i64::MAX).saturating_add(adjust);
        let end = follow.saturating_add(i64::try_from(at).unwrap_or(i64::MAX));
        let end = usize::try_from(end).map_err(|_| "the length of a frame is below zero")?;
        if end > self.most {
            return Err(TOO_LARGE);
        }
        self.end = Some(end);
        self.limit = self.limit.min(end);
        self.check(at).map(drop)
    }
}

const TOO_LARGE: &str = "the frame is too large";

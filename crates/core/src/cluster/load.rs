//! Concurrency over time, as Knative's autoscaler wants it (knative/serving: `pkg/queue/request_metric.go`).

/// Requests at a cluster, waiting ones included, integrated over time.
#[derive(Debug)]
pub struct Load {
    all: Share,
    proxied: Share,
    since: f64,
}

#[derive(Debug, Default)]
struct Share {
    current: usize,
    begun: u64,
    area: f64,
    changed: f64,
}

impl Share {
    fn begin(&mut self, count: usize, now: f64) {
        self.settle(now);
        self.current += count;
        self.begun += count as u64;
    }

    fn end(&mut self, count: usize, now: f64) {
        self.settle(now);
        self.current = self.current.saturating_sub(count);
    }

    fn settle(&mut self, now: f64) {
        #[allow(clippy::cast_precision_loss)] // concurrency is far below 2^52
        let height = self.current as f64;
        self.area += height * (now - self.changed).max(0.0);
        self.changed = now;
    }

    fn take(&mut self, now: f64, span: f64) -> (f64, u64) {
        self.settle(now);
        let average = if span > 0.0 { self.area / span } else { 0.0 };
        self.area = 0.0;
        (average, std::mem::take(&mut self.begun))
    }
}

impl Load {
    /// Return an empty record that begins at `now`.
    pub fn new(now: f64) -> Self {
        let share = || Share { changed: now, ..Share::default() };
        Self { all: share(), proxied: share(), since: now }
    }

    /// A request has come; `proxied`: through the activator, which counts it too.
    pub fn begin(&mut self, proxied: bool, now: f64) {
        self.all.begin(1, now);
        if proxied {
            self.proxied.begin(1, now);
        }
    }

    /// So many have come together, none through the activator.
    pub fn begin_many(&mut self, count: usize, now: f64) {
        self.all.begin(count, now);
    }

    /// A request has ended.
    pub fn end(&mut self, proxied: bool, now: f64) {
        self.all.end(1, now);
        if proxied {
            self.proxied.end(1, now);
        }
    }

    /// So many have ended together, of which none came through the activator.
    pub fn end_many(&mut self, count: usize, now: f64) {
        self.all.end(count, now);
    }

    /// Return how many are here now.
    pub fn current(&self) -> usize {
        self.all.current
    }

    /// Return (average concurrency, requests begun, the same two of proxied ones) since the last call, or `None` when there
    /// was no request.
    pub fn take(&mut self, now: f64) -> Option<(f64, u64, f64, u64)> {
        let span = now - self.since;
        self.since = now;
        let (average, begun) = self.all.take(now, span);
        let (proxied_average, proxied_begun) = self.proxied.take(now, span);
        (average > 0.0 || begun > 0 || self.all.current > 0).then_some((average, begun, proxied_average, proxied_begun))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concurrency_is_averaged_over_the_time_since_the_last_call() {
        let mut load = Load::new(10.0);
        assert_eq!(load.take(11.0), None);
        load.begin(true, 11.0);
        load.begin(false, 11.5);
        load.end(true, 11.75);
        assert_eq!(load.take(12.0), Some((1.25, 2, 0.75, 1)));
        load.end(false, 12.5);
        assert_eq!(load.take(13.0), Some((0.5, 0, 0.0, 0)));
        assert_eq!(load.take(14.0), None);
        load.begin_many(3, 14.0);
        load.end_many(2, 14.5);
        assert_eq!(load.take(15.0), Some((2.0, 3, 0.0, 0)));
    }
}

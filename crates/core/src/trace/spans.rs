//! Spans that wait to be exported, bounded.

/// Most bytes of spans kept for one collector while nobody takes them, some 5,000 of them; further ones are counted and
/// dropped: serving goes before telling.
const MAX_KEPT: usize = 4 * 1024 * 1024;

/// A batch is closed once it has as many bytes: receivers of gRPC take messages of 4 MiB, and this is some 500 spans.
const BATCH_BYTES: usize = 512 * 1024;

/// Spans of one tracer as OTLP: `ScopeSpans.spans`, one after the other.
#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    count: u64,
}

#[derive(Debug, Default)]
struct Sink {
    name: String,
    batches: Vec<Batch>,
    kept: usize,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Spans {
    sinks: Vec<Sink>,
    /// Spans recorded.
    pub recorded: u64,
    /// Spans dropped.
    pub dropped: u64,
}

impl Spans {
    /// Return the number of the place for the spans of listener `name` (empty: of this process).
    pub fn open(&mut self, name: &str) -> usize {
        let known = self.sinks.iter().position(|sink| sink.name == name);
        known.unwrap_or_else(|| {
            self.sinks.push(Sink { name: name.to_owned(), ..Sink::default() });
            self.sinks.len() - 1
        })
    }

    /// Return whether anybody has asked for spans so far.
    pub fn is_wanted(&self) -> bool {
        !self.sinks.is_empty()
    }

    /// Keep the span that `write` writes.
    pub fn keep(&mut self, sink: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(sink) = self.sinks.get_mut(sink) else { return };
        if sink.kept >= MAX_KEPT {
            self.dropped += 1;
            return;
        }
        if sink.batches.last().is_none_or(|batch| batch.bytes.len() >= BATCH_BYTES) {
            sink.batches.push(Batch::default());
        }
        let Some(batch) = sink.batches.last_mut() else { return };
        let before = batch.bytes.len();
        write(&mut batch.bytes);
        batch.count += 1;
        sink.kept += batch.bytes.len() - before;
        self.recorded += 1;
    }

    /// Return and forget them in batches, as (listener, spans, how many).
    pub fn take(&mut self) -> Vec<(String, Vec<u8>, u64)> {
        let mut taken = Vec::new();
        for sink in &mut self.sinks {
            sink.kept = 0;
            taken.extend(sink.batches.drain(..).map(|batch| (sink.name.clone(), batch.bytes, batch.count)));
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_kept_by_listener_and_taken_once() {
        let mut spans = Spans::default();
        let (one, two) = (spans.open("a"), spans.open("b"));
        assert_eq!(spans.open("a"), one);
        spans.keep(two, |out| out.extend_from_slice(b"xy"));
        spans.keep(two, |out| out.extend_from_slice(b"z"));
        assert_eq!(spans.take(), [("b".to_owned(), b"xyz".to_vec(), 2)]);
        assert!(spans.take().is_empty());
    }

    #[test]
    fn spans_nobody_takes_are_bounded_and_the_loss_is_counted() {
        let mut spans = Spans::default();
        let sink = spans.open("");
        for _ in 0..5 {
            spans.keep(sink, |out| out.resize(out.len() + MAX_KEPT / 2, 0));
        }
        assert_eq!((spans.recorded, spans.dropped), (2, 3));
        let sizes: Vec<_> = spans.take().iter().map(|(_, bytes, count)| (bytes.len(), *count)).collect();
        assert_eq!(sizes, [(MAX_KEPT / 2, 1); 2], "in batches that a receiver takes");
    }
}

//! Feeds the core what nobody meant to send: `eventmesh-core-fuzz TARGET|all [--seconds N | --runs N] [--seed N]`,
//! the limit being that of each target.
//!
//! A stable compiler suffices. Inputs are mutations of a stored corpus (`corpus/TARGET/`, one input a file) and of those
//! found on the way that made the target behave in a new way; the same seed gives the same inputs. On a failure the input
//! is printed in hex, saved beside the corpus as `crash-*`, and the exit code is 1.

#![forbid(unsafe_code)]

mod corpus;
mod mutate;
mod targets;

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use corpus::Corpus;
use mutate::Mutator;
use targets::Target;

/// Resident memory beyond which a target is said to leak or to hoard: the corpus kept in memory and a hundred
/// times the largest input stay far below.
const MAX_RESIDENT_KIB: u64 = 512 * 1024;

/// How often resident memory is looked at, in runs.
const MEMORY_CHECK_EVERY: u64 = 4096;

struct Options {
    targets: Vec<&'static Target>,
    limit: Limit,
    seed: u64,
}

enum Limit {
    Time(Duration),
    Runs(u64),
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(usage) => {
            eprintln!("{usage}");
            return ExitCode::from(2);
        }
    };
    // The hook would print a trace for a panic that is reported below, with its input.
    panic::set_hook(Box::new(|_| {}));
    let mut code = ExitCode::SUCCESS;
    for target in &options.targets {
        match fuzz(target, &options) {
            Ok(summary) => println!("{summary}"),
            Err(failure) => {
                eprintln!("{failure}");
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let names: Vec<&str> = targets::ALL.iter().map(|target| target.name).collect();
    let usage = format!("usage: TARGET [--seconds N | --runs N] [--seed N]; targets: all {}", names.join(" "));
    let name = arguments.next().ok_or_else(|| usage.clone())?;
    let targets: Vec<_> = targets::ALL.iter().filter(|target| name == "all" || target.name == name).collect();
    if targets.is_empty() {
        return Err(usage);
    }
    let mut options = Options { targets, limit: Limit::Time(Duration::from_secs(60)), seed: 1 };
    while let Some(flag) = arguments.next() {
        let number = arguments.next().and_then(|text| text.parse::<u64>().ok()).ok_or_else(|| usage.clone())?;
        match flag.as_str() {
            "--seconds" => options.limit = Limit::Time(Duration::from_secs(number)),
            "--runs" => options.limit = Limit::Runs(number),
            "--seed" => options.seed = number,
            _ => return Err(usage),
        }
    }
    Ok(options)
}

fn fuzz(target: &Target, options: &Options) -> Result<String, String> {
    let mut corpus = Corpus::load(target.name)?;
    let stored = corpus.stored();
    for input in &stored {
        let behaviour = run(target, input, options.seed)?;
        corpus.learn(input, behaviour);
    }
    let mut mutator = Mutator::new(options.seed, target.words);
    let begun = Instant::now();
    let mut runs = 0_u64;
    loop {
        let over = match options.limit {
            Limit::Time(limit) => begun.elapsed() >= limit,
            Limit::Runs(limit) => runs >= limit,
        };
        if over {
            break;
        }
        let input = mutator.mutate(&corpus);
        let behaviour = run(target, &input, options.seed.wrapping_add(runs))?;
        corpus.learn(&input, behaviour);
        runs += 1;
        if runs % MEMORY_CHECK_EVERY == 0 {
            check_memory(target)?;
        }
    }
    check_memory(target)?;
    let seconds = begun.elapsed().as_secs();
    let (name, kept) = (target.name, corpus.len());
    Ok(format!("{name}: {runs} runs in {seconds} s, {} stored inputs, {kept} behaviours, no failure", stored.len()))
}

/// Run one input; `cuts` seeds where it is cut. An input that fails is made as small as it goes before it is told.
fn run(target: &Target, input: &[u8], cuts: u64) -> Result<u64, String> {
    if let Ok(behaviour) = attempt(target, input, cuts) {
        return Ok(behaviour);
    }
    let small = shrink(target, input, cuts);
    let Err(what) = attempt(target, &small, cuts) else { return Err("a failure that does not repeat".to_owned()) };
    let hex = small.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    let saved = corpus::save_crash(target.name, &small);
    Err(format!("{}: {what}\ninput ({} bytes, cuts {cuts}): {hex}\nsaved: {saved}", target.name, small.len()))
}

/// Leave out pieces, large ones first, for as long as the rest still fails.
fn shrink(target: &Target, input: &[u8], cuts: u64) -> Vec<u8> {
    let mut small = input.to_vec();
    let mut size = small.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < small.len() {
            let without = [small.get(..at), small.get(at + size..)].map(Option::unwrap_or_default).concat();
            if attempt(target, &without, cuts).is_err() {
                small = without;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
    small
}

fn attempt(target: &Target, input: &[u8], cuts: u64) -> Result<u64, String> {
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(input, cuts)));
    outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        Err(format!("panic: {}", text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("?")))
    })
}

fn check_memory(target: &Target) -> Result<(), String> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    let kib: u64 = line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0);
    if kib > MAX_RESIDENT_KIB {
        return Err(format!("{}: resident memory has grown to {kib} KiB", target.name));
    }
    Ok(())
}

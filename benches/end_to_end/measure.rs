//! A child process with its own CPU time and peak memory.

use crate::Result;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Set by SIGTERM and SIGINT.
static STOP: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// What a child used.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    pub(crate) peak_mb: f64,
}

/// From now on a signal ends the children first, then this process.
pub(crate) fn end_children_on_signal() -> Result<()> {
    let stop = STOP.get_or_init(Arc::default);
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        // The second signal ends this process at once.
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(stop))?;
        signal_hook::flag::register(signal, Arc::clone(stop))?;
    }
    Ok(())
}

/// Whether a signal has come.
pub(crate) fn is_stopped() -> bool {
    STOP.get().is_some_and(|stop| stop.load(Ordering::Relaxed))
}

/// Runs a child to its end; returns what it printed. One at a time: CPU time is the difference in
/// the sum over all children that have ended.
pub(crate) fn measure(command: &mut Command) -> Result<(String, Usage)> {
    let before = children_cpu()?;
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut peak_kb = 0;
    while child.try_wait()?.is_none() {
        if is_stopped() {
            child.kill()?;
            child.wait()?;
            return Err("stopped by a signal".into());
        }
        peak_kb = peak_kb.max(peak_kb_of(child.id()).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err(format!("a child ended with {}", output.status).into());
    }
    let cpu = children_cpu()?.saturating_sub(before);
    let usage = Usage { cpu, peak_mb: crate::float(peak_kb) / 1024.0 };
    Ok((String::from_utf8(output.stdout)?, usage))
}

/// CPU time of all children that have ended.
pub(crate) fn children_cpu() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    Ok(duration(usage.user_time()) + duration(usage.system_time()))
}

/// The most memory, in MiB, that any child has had of those that have ended.
pub(crate) fn largest_child_mb() -> Result<f64> {
    let kb = getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss();
    Ok(crate::float(kb.max(0).cast_unsigned()) / 1024.0)
}

fn duration(time: TimeVal) -> Duration {
    let micros = time.tv_sec() * 1_000_000 + time.tv_usec();
    Duration::from_micros(micros.max(0).cast_unsigned())
}

/// The most memory that a process has had so far.
pub(crate) fn peak_kb_of(process: u32) -> Option<u64> {
    memory_kb_of(process, "VmHWM:")
}

/// What the kernel says of a process's memory under that name.
pub(crate) fn memory_kb_of(process: u32, name: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

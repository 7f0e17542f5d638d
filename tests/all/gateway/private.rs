//! What is in the memory of daemon and gateway stays there.

use std::fs;

use super::bench::{Bench, Gateway};

/// Core files, and locked memory without a limit, for the processes that this one starts. False where the
/// system does not let it lock memory.
fn lift_limits() -> bool {
    let all = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    let mut core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the calls get valid pointers to limits of this frame.
    unsafe {
        libc::getrlimit(libc::RLIMIT_CORE, &raw mut core);
        core.rlim_cur = core.rlim_max;
        libc::setrlimit(libc::RLIMIT_CORE, &raw const core);
        libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const all) == 0
    }
}

fn words(process: u32, file: &str, line: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{process}/{file}")).unwrap();
    let found = text.lines().find_map(|text| text.strip_prefix(line));
    found.unwrap_or_else(|| panic!("{line}: {text}")).split_whitespace().map(str::to_owned).collect()
}

#[test]
fn no_core_file_and_no_swap() {
    let locks = lift_limits();
    let bench = Bench::new("[\"view\"]");
    let gateway = Gateway::start(&bench, "");
    bench.works();
    let daemon = bench.daemon.as_ref().unwrap().id();
    for process in [daemon, gateway.id()] {
        assert_eq!(words(process, "limits", "Max core file size")[0], "0");
    }
    if !locks {
        println!("skipped: locked memory: this user may not lift the limit");
        return;
    }
    let kib = |what: &str| -> u64 { words(daemon, "status", what)[0].parse().unwrap() };
    // All that it has mapped, present or not yet; devices apart.
    assert!(kib("VmLck:") * 10 > kib("VmSize:") * 9, "{} KiB of {} KiB", kib("VmLck:"), kib("VmSize:"));
    assert_eq!(kib("VmSwap:"), 0);
    bench.works();
}

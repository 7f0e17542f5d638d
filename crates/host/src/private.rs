//! What is in this process's memory stays there: keys, templates, pictures of people.

use std::io;

fn limit(resource: libc::__rlimit_resource_t) -> io::Result<libc::rlimit> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call writes one limit to where the pointer points, which is one.
    if unsafe { libc::getrlimit(resource, &raw mut limit) } == 0 {
        Ok(limit)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// No core file, whatever ends this process. The units say so as well (`LimitCORE=`).
pub fn no_core_file() {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    if limit(libc::RLIMIT_CORE).is_ok_and(|limit| limit.rlim_cur == 0) {
        return;
    }
    // SAFETY: the call reads one limit where the pointer points, which is one.
    if unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) } != 0 {
        log::warn!("event=core_files_possible error={:?}", io::Error::last_os_error().to_string());
    }
}

/// Nothing goes to swap, where the limit on locked memory is lifted, as the unit does it. A kernel whose
/// memory controller is off, as Raspberry Pi OS has it, does not heed the unit's `MemorySwapMax=`.
///
/// Memory is locked page by page as it is used, and takes no more than without.
pub fn no_swap() {
    // With a limit, memory that is needed later would be refused.
    if !limit(libc::RLIMIT_MEMLOCK).is_ok_and(|limit| limit.rlim_cur == libc::RLIM_INFINITY) {
        log::info!("event=memory_not_locked reason=\"the limit on locked memory is not lifted\"");
        return;
    }
    // SAFETY: the call takes no pointer and changes no content of memory.
    if unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT) } != 0 {
        log::warn!("event=memory_not_locked reason={:?}", io::Error::last_os_error().to_string());
    }
}

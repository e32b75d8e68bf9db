//! The `rakkr` command. It only hands its arguments to [`rakkr::cli`], and says where memory comes from.

use std::ffi::c_char;
use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// The C library's heap is torn by hundreds of links that come and go: it keeps twice the memory, or, all in one, is slow.
#[global_allocator]
static HEAP: Jemalloc = Jemalloc;

/// How it keeps memory, see jemalloc(3): heaps for two threads at a time and not four for each core, for what one has is not
/// used by another; what is free goes back within a second, and not ten; and threads keep small pieces only.
// SAFETY: nothing else has this name; jemalloc reads it once, at the first allocation, as a pointer to a string.
#[unsafe(export_name = "_rjem_malloc_conf")]
static HOW: Option<&c_char> = {
    let how = c"narenas:2,dirty_decay_ms:1000,muzzy_decay_ms:0,tcache_max:4096";
    // SAFETY: it points to a string that ends with a nul and lives for ever.
    Some(unsafe { &*how.as_ptr() })
};

fn main() -> ExitCode {
    rakkr::cli::run()
}

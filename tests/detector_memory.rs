//! A frame costs no memory once the buffers have grown: counted by an allocator of our own, which is
//! why this is a program of its own with a single test.

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use facelatch::detect::{Cascade, Detector, ScanParams, SearchKind, SearchParams, Searcher, Sequential};
use facelatch::picture_file::load_gray;
use facelatch::time::Timestamp;

struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often `work` asks for memory.
fn allocations(work: impl FnOnce()) -> usize {
    let before = COUNT.load(Ordering::Relaxed);
    work();
    COUNT.load(Ordering::Relaxed) - before
}

#[test]
fn no_allocation_after_the_first_frame() {
    let portrait = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/portraits/collins.jpg");
    let picture = load_gray(&portrait).unwrap();
    let mut faces = Vec::new();
    for set in Detector::instruction_sets() {
        let mut detector = Detector::with_instruction_set(Cascade::frontal_face(), set);
        let mut scan = |faces: &mut Vec<_>| {
            detector.detect_into(picture.view(), &ScanParams::default(), &Sequential, faces);
        };
        assert!(allocations(|| scan(&mut faces)) > 0, "the counter counts");
        assert_eq!(allocations(|| (0..3).for_each(|_| scan(&mut faces))), 0, "{}", set.name());
        assert!(!faces.is_empty());
    }

    // Frames of a scene: whole scans, scans around the face, and none.
    let mut searcher = Searcher::new(Detector::new(Cascade::frontal_face()), SearchParams::default());
    let mut moved = picture.clone();
    let corner = moved.width() * 40;
    moved.pixels_mut()[..corner].fill(30);
    let mut kinds = [0; 3];
    let mut round = |from: u64| {
        for frame in from..from + 24 {
            let frame_picture = if frame % 3 == 0 { &picture } else { &moved };
            match searcher.search(Timestamp::from_millis(frame * 50), frame_picture.view()) {
                SearchKind::Full => kinds[0] += 1,
                SearchKind::Region => kinds[1] += 1,
                SearchKind::Still => kinds[2] += 1,
            }
        }
    };
    round(0);
    assert_eq!(allocations(|| round(24)), 0, "a scene's frames");
    assert!(kinds.iter().all(|&n| n >= 4), "whole, region, none: {kinds:?}");
}

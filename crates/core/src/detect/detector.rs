//! The scan of a picture: pyramid, window by window, grouping.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use facelatch_simd::InstructionSet;

use crate::picture::{GrayView, Rect};

use super::cascade::Cascade;
use super::group::{Grouper, round};
use super::integral::Integral;
use super::params::ScanParams;
use super::portable::Plan;
use super::pyramid::{self, Level, Reducer};
use super::simd::{self, LanePlan, Workspace};

/// Who does the work of a scan: the core spawns no threads, its caller may.
pub trait Workers {
    /// How many jobs to divide a scan into, at least 1; a small scan is divided into fewer.
    fn count(&self) -> usize;

    /// Runs every job to its end, in any order, preferably at the same time.
    fn run(&self, jobs: &mut [Job<'_>]);
}

/// Pixels of the pyramid that a worker gets at the least: starting a thread for less costs more time than
/// it gains where most windows fail at once.
const MIN_SHARE: usize = 16 * 1024;

/// All the work on the calling thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sequential;

impl Workers for Sequential {
    fn count(&self) -> usize {
        1
    }

    fn run(&self, jobs: &mut [Job<'_>]) {
        jobs.iter_mut().for_each(Job::run);
    }
}

/// A share of a scan: takes pyramid levels, largest first, until none is left.
pub struct Job<'a> {
    share: Share<'a>,
    worker: &'a mut Worker,
}

/// What all jobs of a scan have in common.
#[derive(Clone, Copy)]
struct Share<'a> {
    picture: GrayView<'a>,
    window: (u32, u32),
    levels: &'a [Level],
    engine: &'a Engine,
    /// The next level to be taken.
    next: &'a AtomicUsize,
}

/// The memory of one job, kept between frames.
#[derive(Default)]
struct Worker {
    lanes: Workspace,
    portable: Portable,
    hits: Vec<Rect>,
    /// Which part of `hits` belongs to which level.
    spans: Vec<(usize, Range<usize>)>,
}

#[derive(Default)]
struct Portable {
    reducer: Reducer,
    reduced: Vec<u8>,
    integral: Integral,
    offsets: Vec<[[usize; 4]; 3]>,
}

/// How windows are tested.
enum Engine {
    Portable(Plan),
    Lanes(Box<LanePlan>),
}

impl<'a> Job<'a> {
    fn new(share: Share<'a>, worker: &'a mut Worker) -> Self {
        worker.hits.clear();
        worker.spans.clear();
        Job { share, worker }
    }

    /// Does the work.
    pub fn run(&mut self) {
        let Share { picture, window, levels, engine, next } = self.share;
        let Worker { lanes, portable, hits, spans } = &mut *self.worker;
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(level) = levels.get(index) else { return };
            let first = hits.len();
            let scaled = |at: usize| round(f64::from(at as f32 * level.scale));
            let (w, h) = (scaled(window.0 as usize), scaled(window.1 as usize));
            let hit = |x, y| hits.push(Rect::new(scaled(x), scaled(y), w, h));
            match engine {
                Engine::Lanes(plan) => simd::scan(plan, lanes, picture, index, hit),
                Engine::Portable(plan) => {
                    let Portable { reducer, reduced, integral, offsets } = &mut *portable;
                    reducer.reduce(picture, level.width, level.height, reduced);
                    integral.compute(reduced, level.width, level.height, plan.tilted());
                    plan.scan(integral, level, offsets, hit);
                }
            }
            spans.push((index, first..hits.len()));
        }
    }
}

/// A face detector: a cascade and the working memory of the scan, which is kept between frames.
pub struct Detector {
    cascade: Arc<Cascade>,
    engine: Engine,
    levels: Vec<Level>,
    workers: Vec<Worker>,
    hits: Vec<Rect>,
    grouper: Grouper,
}

impl Detector {
    /// A detector for `cascade` on the fastest instruction set of this processor.
    pub fn new(cascade: impl Into<Arc<Cascade>>) -> Self {
        Self::with_instruction_set(cascade, InstructionSet::best_of(&simd::INSTRUCTION_SETS))
    }

    /// The instruction sets to compare: those that there is a scan for and that this processor has, the
    /// slowest, [`InstructionSet::Portable`], first.
    pub fn instruction_sets() -> impl Iterator<Item = InstructionSet> {
        let vectors = simd::INSTRUCTION_SETS.into_iter().filter(|set| set.is_available());
        std::iter::once(InstructionSet::Portable).chain(vectors)
    }

    /// A detector on a given instruction set, for comparison; one that is not among
    /// [`Detector::instruction_sets`] gives [`InstructionSet::Portable`]. The rectangles are the same on
    /// all of them.
    pub fn with_instruction_set(cascade: impl Into<Arc<Cascade>>, set: InstructionSet) -> Self {
        let cascade = cascade.into();
        let vectors = simd::INSTRUCTION_SETS.contains(&set) && set.is_available();
        let engine = if vectors && simd::suits(&cascade) {
            Engine::Lanes(Box::new(LanePlan::new(Arc::clone(&cascade), set)))
        } else {
            Engine::Portable(Plan::new(&cascade))
        };
        Detector {
            cascade,
            engine,
            levels: Vec::new(),
            workers: Vec::new(),
            hits: Vec::new(),
            grouper: Grouper::default(),
        }
    }

    /// The cascade it looks for.
    pub fn cascade(&self) -> &Cascade {
        &self.cascade
    }

    /// The faces in `picture`: exactly the rectangles of OpenCV's `detectMultiScale` on the same gray
    /// picture, in its single-threaded order.
    ///
    /// Parameters that [`ScanParams::check`] refuses find nothing.
    pub fn detect(&mut self, picture: GrayView<'_>, params: &ScanParams) -> Vec<Rect> {
        let mut faces = Vec::new();
        self.detect_into(picture, params, &Sequential, &mut faces);
        faces
    }

    /// As [`Detector::detect`], with the work done by `workers` and the rectangles, the same in the
    /// same order, in a vector that is cleared first and can be kept between frames.
    pub fn detect_into(
        &mut self,
        picture: GrayView<'_>,
        params: &ScanParams,
        workers: &impl Workers,
        faces: &mut Vec<Rect>,
    ) {
        faces.clear();
        if params.check().is_err() {
            return;
        }
        let window = self.cascade.window();
        let size = (picture.width(), picture.height());
        pyramid::plan(window, size, params, &mut self.levels);
        if self.levels.is_empty() {
            return;
        }
        if let Engine::Lanes(plan) = &mut self.engine {
            plan.prepare(picture, &self.levels);
        }

        let pixels: usize = self.levels.iter().map(|level| level.width * level.height).sum();
        let count = workers.count().min(self.levels.len()).min(pixels / MIN_SHARE).max(1);
        self.workers.resize_with(count.max(self.workers.len()), Worker::default);
        let next = AtomicUsize::new(0);
        let (levels, engine) = (&self.levels[..], &self.engine);
        let share = Share { picture, window, levels, engine, next: &next };
        if let [worker] = &mut self.workers[..count] {
            Job::new(share, worker).run();
        } else {
            let workspaces = self.workers[..count].iter_mut();
            let mut jobs: Vec<_> = workspaces.map(|worker| Job::new(share, worker)).collect();
            workers.run(&mut jobs);
        }

        self.hits.clear();
        for level in 0..self.levels.len() {
            let span = |w: &'_ Worker| w.spans.iter().find(|s| s.0 == level).map(|s| s.1.clone());
            for worker in &self.workers[..count] {
                if let Some(span) = span(worker) {
                    self.hits.extend_from_slice(&worker.hits[span]);
                }
            }
        }
        self.grouper.group(&self.hits, params.min_neighbors, faces);
        let bounds = picture.bounds();
        faces.retain_mut(|face| {
            let clipped = bounds.intersection(face);
            *face = clipped.unwrap_or(*face);
            clipped.is_some()
        });
    }

    /// The faces inside `region` of `picture`, in coordinates of the picture.
    ///
    /// This is a scan of the region as a picture of its own. It is not the part of a full scan that
    /// falls into the region: positions are tested on the region's own grid of rounded scales, so
    /// rectangles can differ by a few pixels and weak faces can differ in their neighbours.
    pub fn detect_region(&mut self, picture: GrayView<'_>, region: Rect, params: &ScanParams) -> Vec<Rect> {
        let mut faces = Vec::new();
        self.detect_region_into(picture, region, params, &mut faces);
        faces
    }

    /// As [`Detector::detect_region`], into a vector that is cleared first and can be kept between
    /// frames.
    pub fn detect_region_into(
        &mut self,
        picture: GrayView<'_>,
        region: Rect,
        params: &ScanParams,
        faces: &mut Vec<Rect>,
    ) {
        faces.clear();
        let Some(part) = picture.region(region) else { return };
        self.detect_into(part, params, &Sequential, faces);
        for face in faces {
            face.x += region.x.max(0);
            face.y += region.y.max(0);
        }
    }
}

//! What watchers are told: the door's state, the audit log's entries, and a picture while somebody looks.
//!
//! Whoever works for the door puts its news on a board and goes on; nobody here can make it wait. State
//! and picture are latest-only. Of the audit log's entries the board keeps the last few: a watcher that
//! falls behind reads the log itself ([`super::socket`]), so that none is lost and none comes twice.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;

use super::{DaemonError, spawn};
use crate::access::{DenyCode, Event, Indication, QualityIssue, ReleaseReason, WindowRules};
use crate::audit::Entry;
use crate::camera::Frame;
use crate::clock;
use crate::door::{Door, Report};
use crate::picture::{Gray, GrayView, Rect};
use crate::picture_file::encode_jpeg;
use crate::protocol::metrics::{Feedings, Metrics, count};
use crate::protocol::{Aim, Attempt, Colour, Reply, State, View};
use crate::time::Timestamp;
use crate::vision::{QualityRules, sharpness};

/// Entries kept at hand for watchers.
const ENTRIES: usize = 256;
/// Between two states that nothing happened in.
const STATE_EVERY: Duration = Duration::from_millis(250);
/// Between two pictures.
const VIEW_EVERY: Duration = Duration::from_millis(95);
/// A picture is reduced by a whole factor to at most so many pixels a row.
const VIEW_WIDTH: usize = 480;
const VIEW_QUALITY: i32 = 70;

/// Where news is put for watchers.
#[derive(Default)]
pub struct Live {
    board: Mutex<Board>,
    news: Condvar,
    watchers: AtomicUsize,
    viewers: AtomicUsize,
}

#[derive(Default)]
struct Board {
    state: Option<Arc<State>>,
    states: u64,
    /// One line of the protocol.
    view: Option<Arc<[u8]>>,
    views: u64,
    attempt: Attempt,
    entries: VecDeque<Arc<Entry>>,
}

// The board holds a picture of people.
impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live")
            .field("watchers", &self.watchers)
            .field("viewers", &self.viewers)
            .finish_non_exhaustive()
    }
}

impl Live {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True while somebody watches.
    fn is_watched(&self) -> bool {
        self.watchers.load(Ordering::Relaxed) > 0
    }

    /// True while somebody looks at the picture.
    fn is_viewed(&self) -> bool {
        self.viewers.load(Ordering::Relaxed) > 0
    }

    /// Entries have reached the disk, in their order.
    pub fn audited(&self, entries: Vec<Entry>) {
        let mut board = self.board();
        board.entries.extend(entries.into_iter().map(Arc::new));
        let surplus = board.entries.len().saturating_sub(ENTRIES);
        board.entries.drain(..surplus);
        self.news.notify_all();
    }

    /// Whoever finds the board taken leaves it: the next news is as good.
    fn try_board(&self) -> Option<MutexGuard<'_, Board>> {
        self.board.try_lock().ok()
    }

    /// Number of the last entry at hand.
    pub(super) fn head(&self) -> Option<u64> {
        self.board().entries.back().map(|entry| entry.seq)
    }

    fn show(&self, view: Arc<[u8]>) {
        let mut board = self.board();
        board.view = Some(view);
        board.views += 1;
        self.news.notify_all();
    }
}

/// What came since a watcher looked last.
#[derive(Default)]
pub(super) struct News {
    /// Entries that follow the last one that the watcher had.
    pub entries: Vec<Arc<Entry>>,
    /// True when entries are missing before those at hand: they are in the log.
    pub behind: bool,
    pub state: Option<Arc<State>>,
    pub view: Option<Arc<[u8]>>,
}

impl News {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && !self.behind && self.state.is_none() && self.view.is_none()
    }
}

/// One who watches; while it lives, states are published, and pictures where it wants them.
pub(super) struct Watcher {
    live: Arc<Live>,
    picture: bool,
    /// Number of the last entry that it has; `None` before any is known.
    pub last: Option<u64>,
    states: u64,
    views: u64,
}

impl Watcher {
    /// `since`: the last entry that it has already; otherwise those that come from now on.
    pub(super) fn new(live: Arc<Live>, picture: bool, since: Option<u64>) -> Self {
        live.watchers.fetch_add(1, Ordering::Relaxed);
        live.viewers.fetch_add(usize::from(picture), Ordering::Relaxed);
        // A picture of before is not shown.
        let (head, views) = (live.head(), live.board().views);
        let last = since.or(head);
        Watcher { live, picture, last, states: 0, views }
    }

    /// Waits for news, but no longer than `wait`.
    pub(super) fn next(&mut self, wait: Duration) -> News {
        let live = Arc::clone(&self.live);
        let mut board = live.board();
        let mut news = self.collect(&board);
        if news.is_empty() {
            board = live.news.wait_timeout(board, wait).unwrap_or_else(PoisonError::into_inner).0;
            news = self.collect(&board);
        }
        news
    }

    /// Number of the first entry at hand.
    pub(super) fn first(&self) -> Option<u64> {
        self.live.board().entries.front().map(|entry| entry.seq)
    }

    fn collect(&mut self, board: &Board) -> News {
        let number = |entry: Option<&Arc<Entry>>| entry.map(|entry| entry.seq);
        let (first, head) = (number(board.entries.front()), number(board.entries.back()));
        if head.is_some() && self.last > head {
            // The log was begun anew: everything in it is news.
            self.last = Some(0);
        }
        let behind = matches!((self.last, first), (Some(last), Some(first)) if last + 1 < first);
        let mut news = News { behind, ..News::default() };
        if !behind {
            let known = |entry: &&Arc<Entry>| self.last.is_some_and(|last| entry.seq <= last);
            news.entries = board.entries.iter().skip_while(known).cloned().collect();
            self.last = news.entries.last().map(|entry| entry.seq).or(self.last);
        }
        if self.states != board.states {
            self.states = board.states;
            news.state.clone_from(&board.state);
        }
        if self.picture && self.views != board.views {
            self.views = board.views;
            news.view.clone_from(&board.view);
        }
        news
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.live.watchers.fetch_sub(1, Ordering::Relaxed);
        if self.picture && self.live.viewers.fetch_sub(1, Ordering::Relaxed) == 1 {
            // Nobody looks: the picture is not kept.
            self.live.board().view = None;
        }
    }
}

/// The part of the thread that owns the strike that counts and publishes. It never waits.
#[derive(Debug)]
pub struct Publisher {
    /// Where the news goes.
    pub live: Arc<Live>,
    /// What is counted.
    pub metrics: Metrics,
    feedings: Feedings,
    watchdog: Option<Duration>,
    window: WindowRules,
    /// Whom the latest release was for.
    identified: Option<String>,
    /// When the frame was captured that is being decided on.
    captured: Timestamp,
    /// The same of a frame that has released, until the strike is driven.
    releasing: Option<Timestamp>,
    published: Timestamp,
    /// Something happened since.
    news: bool,
}

impl Publisher {
    /// One that has counted nothing yet.
    pub fn new(live: Arc<Live>, window: WindowRules) -> Self {
        Publisher {
            live,
            metrics: Metrics::default(),
            feedings: Feedings::default(),
            watchdog: None,
            window,
            identified: None,
            captured: Timestamp::ZERO,
            releasing: None,
            published: Timestamp::ZERO,
            news: true,
        }
    }

    /// The supervisor kills after so long without a sign of life.
    pub(super) fn watched_by(&mut self, limit: Option<Duration>) {
        self.watchdog = limit;
    }

    /// The watchdog was fed.
    pub(super) fn fed(&mut self, now: Timestamp) {
        self.feedings.note(now);
        self.metrics.watchdog = self.watchdog.map(|limit| self.feedings.margin(limit));
    }

    /// A frame of this time is about to be decided on.
    pub(super) fn seen(&mut self, captured: Timestamp) {
        self.captured = captured;
    }

    /// The frame before the controller has released; the strike is yet to be driven.
    pub(super) fn releases_for_face(&mut self) {
        self.releasing = Some(self.captured);
    }

    /// The strike was driven.
    pub(super) fn driven(&mut self, now: Timestamp, released: bool) {
        if let Some(captured) = self.releasing.take().filter(|_| released) {
            self.metrics.release.add(now.since(captured));
        }
        self.news = true;
    }

    /// Counts a report.
    pub(super) fn reported(&mut self, report: &Report, door: &Door) {
        self.news = true;
        let Report::Event(event) = report else { return };
        match event {
            Event::Released(cause) => {
                let who = match cause {
                    ReleaseReason::Identified { subject, .. } => door.gallery().subject(*subject),
                    ReleaseReason::Rex | ReleaseReason::HoldOpen { .. } => None,
                };
                self.identified = who.map(|subject| subject.name.clone());
                count(&mut self.metrics.releases, cause.name());
            }
            Event::Denied(reason) => count(&mut self.metrics.denials, reason.code().name()),
            Event::Alarm(alarm) => count(&mut self.metrics.alarms, alarm.name()),
            Event::Fault(fault) => count(&mut self.metrics.faults, fault.name()),
            _ => {}
        }
    }

    /// True when a state is due for somebody.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        // With a picture the bar of the 15 frames fills: a state for each.
        let every = if self.live.is_viewed() { VIEW_EVERY } else { STATE_EVERY };
        self.live.is_watched() && (self.news || now.since(self.published) >= every)
    }

    /// The attempt under way, as the person at the door sees it.
    pub(super) fn attempt(&self, door: &Door, shown: Indication, words: Words<'_>) -> Attempt {
        let controller = door.controller();
        let said = |text: Option<&str>, otherwise: &str| text.unwrap_or(otherwise).to_owned();
        let (colour, words) = match shown {
            Indication::Idle => (Colour::None, String::new()),
            Indication::Identifying => (Colour::Orange, "Identifying ...".to_owned()),
            Indication::Released => {
                let name = self.identified.as_ref().map(|name| format!("Identity: {name}"));
                (Colour::Green, said(name.as_deref(), "released"))
            }
            Indication::Denied(DenyCode::Unknown) => (Colour::Red, "Identity Unknown!".to_owned()),
            Indication::Denied(code) => (Colour::Red, said(words.denial, code.name())),
            Indication::Alarm(alarm) => (Colour::Red, format!("alarm: {}", alarm.name())),
            Indication::EnrolCounting | Indication::EnrolWaiting => {
                (Colour::Orange, said(words.enrolment, "enrolling"))
            }
        };
        let people = door.gallery().subjects().len();
        Attempt {
            colour,
            words,
            frames: controller.window_frames(),
            of: self.window.frames,
            mean: controller.window_mean().map(|score| score.similarity).filter(|mean| mean.is_finite()),
            required: self.window.required(people),
        }
    }

    /// Puts a state on the board.
    pub(super) fn publish(&mut self, now: Timestamp, state: State) {
        let Some(mut board) = self.live.try_board() else { return };
        board.attempt.clone_from(&state.attempt);
        // Every frame has an attempt; the state as a whole is for fewer looks.
        if self.news || now.since(self.published) >= STATE_EVERY {
            board.state = Some(Arc::new(state));
            board.states += 1;
            self.published = now;
            self.news = false;
            self.live.news.notify_all();
        }
    }
}

/// What was said last to people.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words<'a> {
    pub denial: Option<&'a str>,
    pub enrolment: Option<&'a str>,
}

/// A picture on its way to those who look.
struct Shot {
    gray: Gray,
    faces: Vec<Rect>,
    captured: Timestamp,
    sequence: u64,
}

/// The way of pictures from vision to those who look: newest wins, and none is taken while nobody looks.
#[derive(Clone)]
pub(super) struct Viewfinder {
    live: Arc<Live>,
    slot: Arc<(Mutex<Option<Shot>>, Condvar)>,
    taken: Timestamp,
}

impl Viewfinder {
    /// Starts the thread that reduces and packs. Its end would be no reason to stop the door.
    pub(super) fn start(live: Arc<Live>, rules: QualityRules) -> Result<Self, DaemonError> {
        let slot = Arc::new((Mutex::new(None), Condvar::new()));
        let viewfinder = Viewfinder { live, slot, taken: Timestamp::ZERO };
        let own = viewfinder.clone();
        spawn("view", None, move || {
            loop {
                own.pack(&rules);
            }
        })?;
        Ok(viewfinder)
    }

    /// Takes a copy of a frame, if somebody looks and it is time.
    pub(super) fn offer(&mut self, frame: &Frame, faces: &[Rect]) {
        if !self.live.is_viewed() || frame.captured.since(self.taken) < VIEW_EVERY {
            return;
        }
        self.taken = frame.captured;
        let (captured, sequence) = (frame.captured, frame.sequence);
        let shot = Shot { gray: frame.gray.view().to_gray(), faces: faces.to_vec(), captured, sequence };
        if let Ok(mut slot) = self.slot.0.try_lock() {
            *slot = Some(shot);
            self.slot.1.notify_one();
        }
    }

    fn pack(&self, rules: &QualityRules) {
        let mut slot = self.slot.0.lock().unwrap_or_else(PoisonError::into_inner);
        let shot = loop {
            match slot.take() {
                Some(shot) => break shot,
                None => slot = self.slot.1.wait(slot).unwrap_or_else(PoisonError::into_inner),
            }
        };
        drop(slot);
        let attempt = self.live.board().attempt.clone();
        match view(&shot, attempt, rules) {
            Ok(line) => self.live.show(line.into()),
            Err(error) => log::debug!("event=view_failed error={error:?}"),
        }
    }
}

fn view(shot: &Shot, attempt: Attempt, rules: &QualityRules) -> Result<Vec<u8>, String> {
    let (small, factor) = reduced(shot.gray.view());
    let jpeg = encode_jpeg(&small, VIEW_QUALITY)?;
    let by = factor as i32;
    let view = View {
        sequence: shot.sequence,
        age_ms: u64::try_from(clock::now().since(shot.captured).as_millis()).unwrap_or(u64::MAX),
        width: small.width(),
        height: small.height(),
        faces: shot
            .faces
            .iter()
            .map(|f| Rect::new(f.x / by, f.y / by, f.width / by, f.height / by))
            .collect(),
        aim: aim(shot, rules),
        attempt,
        jpeg: base64::engine::general_purpose::STANDARD.encode(jpeg),
    };
    let mut line = serde_json::to_vec(&Reply::View { view: Box::new(view) }).map_err(|e| e.to_string())?;
    line.push(b'\n');
    Ok(line)
}

fn aim(shot: &Shot, rules: &QualityRules) -> Option<Aim> {
    let [face] = shot.faces[..] else { return None };
    let region = shot.gray.view().region(face)?;
    let pixels = (0..region.height()).flat_map(|y| region.row(y)).map(|p| u64::from(*p)).sum::<u64>();
    let light = pixels as f32 / (region.width() * region.height()) as f32;
    Some(Aim {
        face_px: face.width,
        least_px: rules.min_width,
        light,
        sharpness: sharpness(region),
        least_sharpness: rules.min_sharpness,
        // The pose is judged by vision, during an enrolment.
        advice: rules
            .judge(shot.gray.view(), face, None)
            .filter(|unusable| *unusable != QualityIssue::PoseUnknown)
            .map(|unusable| unusable.advice().to_owned()),
    })
}

/// The picture as means of squares of `factor` pixels a side.
fn reduced(gray: GrayView<'_>) -> (Gray, usize) {
    let factor = gray.width().div_ceil(VIEW_WIDTH).max(1);
    let (width, height) = ((gray.width() / factor).max(1), (gray.height() / factor).max(1));
    let mut small = Gray::filled(width, height, 0);
    for y in 0..height {
        let mut sums = vec![0u32; width];
        for row in y * factor..(y + 1) * factor {
            for (sum, pixels) in sums.iter_mut().zip(gray.row(row).chunks_exact(factor)) {
                *sum += pixels.iter().map(|p| u32::from(*p)).sum::<u32>();
            }
        }
        let row = &mut small.pixels_mut()[y * width..(y + 1) * width];
        for (pixel, sum) in row.iter_mut().zip(sums) {
            *pixel = (sum / (factor * factor) as u32) as u8;
        }
    }
    (small, factor)
}

//! Carries out what the door wants: strike, lights, files, audit log, and answers to those who wait.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use super::audit_events::{audit_event, is_recorded_first, quota};
use super::audit_trail::AuditTrail;
use super::budget::{Allowance, EntryKind};
use super::disk::{DiskThread, GalleryChange};
use super::erasure::Erasure;
use super::error::DaemonError;
use super::expiry::ExpiryWatch;
use super::frames::FrameThread;
use super::message::Message;
use super::outputs::Outputs;
use super::publisher::Publisher;
use super::reconcile::{Reconciled, change_mark, owed};
use super::recorder::Ticket;
use super::request::{Peer, Replies};
use super::resources::UnrecordedRules;
use super::threads::SharedGallery;
use crate::access::{Event, Fault, Indication, Input};
use crate::audit::{AuditEvent, Mark};
use crate::clock;
use crate::door::{Door, Effect, Report};
use crate::lock::lock;
use crate::matching::Gallery;
use crate::protocol::Reply;
use crate::store::OwedChange;
use crate::strike::StrikeState;
use crate::time::Timestamp;

/// At the end the disk and the audit log get this long each; the strike is secured by then, and a
/// supervisor waits as well.
const LAST_WRITES: Duration = Duration::from_secs(2);

/// The door, and all that its effects reach.
pub(super) struct Executor {
    pub(super) door: Door,
    pub(super) outputs: Outputs,
    pub(super) disk: DiskThread,
    pub(super) trail: AuditTrail,
    /// What is counted and published.
    pub(super) public: Publisher,
    /// Whose time is over.
    pub(super) expiry: ExpiryWatch,
    /// Who waits for an answer.
    pub(super) clients: Clients,
    /// What was said last to people.
    pub(super) told: Told,
    /// The gallery that vision compares with.
    shared: SharedGallery,
    unrecorded: UnrecordedRules,
    waiting: Option<WaitingRelease>,
    /// Recorded frames, to be erased with a person.
    frames: Option<FrameThread>,
    /// What is being erased.
    erasing: Option<Erasure>,
    /// Frames are to be erased for this version of the gallery, once an operator has accepted the files.
    erase_when_accepted: Option<u64>,
    /// Which of the files are older than the others say, in words.
    rolled_back: Option<String>,
}

/// Who waits for an answer.
#[derive(Debug, Default)]
pub(super) struct Clients {
    /// Who asked for the enrolment in progress.
    pub(super) enrolment: Option<(Replies, Peer)>,
    /// Who asked for the change of the gallery that is being written.
    pub(super) change: Option<(Replies, Peer)>,
    /// Who has accepted files that do not match, and waits for the state to say so.
    pub(super) acceptance: Option<Replies>,
}

/// What was said last.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) event: Option<String>,
    pub(super) denial: Option<String>,
    /// What the person who is being enrolled should do.
    pub(super) enrol_advice: Option<String>,
}

/// What an [`Executor`] is made of.
pub(super) struct ExecutorParts {
    pub(super) door: Door,
    pub(super) outputs: Outputs,
    pub(super) disk: DiskThread,
    pub(super) trail: AuditTrail,
    pub(super) public: Publisher,
    pub(super) expiry: ExpiryWatch,
    pub(super) shared: SharedGallery,
    pub(super) unrecorded: UnrecordedRules,
    pub(super) frames: Option<FrameThread>,
}

/// A release that waits for its entry in the audit log.
struct WaitingRelease {
    /// The entry; `None` when the log had no room for it.
    ticket: Option<Ticket>,
    /// It waits no longer than this.
    until: Timestamp,
    /// Shown only then: green is not for a door that is still locked.
    indication: Option<Indication>,
}

impl Executor {
    pub(super) fn new(parts: ExecutorParts) -> Self {
        let ExecutorParts { door, outputs, disk, trail, public, expiry, shared, unrecorded, frames } = parts;
        Executor {
            door,
            outputs,
            disk,
            trail,
            public,
            expiry,
            clients: Clients::default(),
            told: Told::default(),
            shared,
            unrecorded,
            waiting: None,
            frames,
            erasing: None,
            erase_when_accepted: None,
            rolled_back: None,
        }
    }

    /// When something is to be done although nothing happens.
    pub(super) fn deadlines(&self) -> impl Iterator<Item = Timestamp> {
        [self.door.poll_timeout(), self.waiting.as_ref().map(|w| w.until)].into_iter().flatten()
    }

    /// Carries out effects in order. A strike that cannot be driven ends the daemon.
    pub(super) fn apply_effects(&mut self, effects: Vec<Effect>) -> Result<(), DaemonError> {
        let waits = effects.iter().any(|e| matches!(e, Effect::Report(r) if is_recorded_first(r)));
        if waits {
            self.public.releases_for_face();
        }
        for effect in effects {
            match effect {
                Effect::Strike(StrikeState::Secured) => self.secure()?,
                Effect::Strike(StrikeState::Released) if waits && !self.unrecorded.wait.is_zero() => {
                    let until = clock::now() + self.unrecorded.wait;
                    self.waiting = Some(WaitingRelease { ticket: None, until, indication: None });
                }
                Effect::Strike(StrikeState::Released) => self.release()?,
                Effect::Indicate(indication) => match &mut self.waiting {
                    Some(waiting) if indication == Indication::Released => {
                        waiting.indication = Some(indication);
                    }
                    waiting => {
                        if let Some(waiting) = waiting {
                            waiting.indication = None;
                        }
                        self.outputs.show(clock::now(), indication);
                    }
                },
                Effect::Save(saved) => {
                    if let Err(error) = self.disk.save(saved) {
                        log::error!("event=not_saved error={:?}", error.to_string());
                        let effects = self.door.handle(clock::now(), Input::Fault(Fault::Store));
                        self.apply_effects(effects)?;
                    }
                }
                Effect::SaveGallery(gallery) => {
                    let change = self.gallery_change(gallery);
                    if let Err(error) = self.disk.save_gallery(change) {
                        log::error!("event=gallery_not_saved error={:?}", error.to_string());
                        let effects = self.gallery_saved(Err(error.to_string()));
                        self.apply_effects(effects)?;
                    }
                }
                Effect::Record(line) => {
                    if let Err(error) = self.disk.record(line) {
                        log::warn!("event=recording_gap reason={:?}", error.to_string());
                        self.door.recording_lost();
                    }
                }
                Effect::Gallery(gallery) => {
                    *lock(&self.shared) = gallery;
                }
                Effect::Report(report) => self.report(&report),
            }
        }
        if self.clients.enrolment.as_ref().is_some_and(|(client, _)| !client.is_connected()) {
            self.clients.enrolment = None;
            let effects = self.door.handle(clock::now(), Input::CancelEnrol);
            return self.apply_effects(effects);
        }
        Ok(())
    }

    fn set_strike(&mut self, state: StrikeState) -> Result<(), DaemonError> {
        self.outputs.set_strike(state)?;
        self.public.driven(clock::now(), state == StrikeState::Released);
        Ok(())
    }

    /// Secures the strike, also against a release that waits.
    pub(super) fn secure(&mut self) -> Result<(), DaemonError> {
        self.waiting = None;
        self.set_strike(StrikeState::Secured)
    }

    fn release(&mut self) -> Result<(), DaemonError> {
        let waiting = self.waiting.take();
        self.set_strike(StrikeState::Released)?;
        if let Some(indication) = waiting.and_then(|waiting| waiting.indication) {
            self.outputs.show(clock::now(), indication);
        }
        Ok(())
    }

    /// Releases for somebody who leaves, if a release for a face waits for the disk: whoever asks to leave is never
    /// kept waiting. The controller counts that release as in progress, and its end stays as it is.
    pub(super) fn release_for_exit(&mut self, now: Timestamp, exit: &Report) -> Result<(), DaemonError> {
        if self.waiting.is_none() {
            return Ok(());
        }
        if let (Some(quota), Some(event)) = (quota(exit), audit_event(exit)) {
            self.trail.record_within(now, quota, event);
        }
        self.release()
    }

    /// Releases the strike as soon as the entry of the release is on the disk.
    pub(super) fn release_when_recorded(&mut self, now: Timestamp) -> Result<(), DaemonError> {
        let ticket = self.waiting.as_ref().and_then(|waiting| waiting.ticket);
        let synced = ticket.is_some_and(|ticket| self.trail.is_synced(ticket));
        // Asked for afterwards: where an entry is on the disk, the files have been compared.
        if let Some(found) = self.trail.take_opened() {
            self.compared(now, found)?;
        }
        let Some(waiting) = &self.waiting else { return Ok(()) };
        if synced {
            return self.release();
        }
        if now < waiting.until {
            return Ok(());
        }
        log::error!(
            "event=audit_late release={} reason=\"the entry did not reach the disk in time\"",
            self.unrecorded.release
        );
        if self.unrecorded.release {
            return self.release();
        }
        self.waiting = None;
        let effects = self.door.handle(now, Input::NotRecorded);
        self.apply_effects(effects)
    }

    /// The audit log is open, and was compared with the other files.
    fn compared(&mut self, now: Timestamp, found: Reconciled) -> Result<(), DaemonError> {
        let Reconciled { what, words, marks, erase, newest_ms } = found;
        if clock::is_plausible(newest_ms / 1_000) {
            self.expiry.log_says(now, newest_ms / 1_000);
        }
        if what.any() {
            log::error!("event=rolled_back files={what} error={words:?} remedy={:?}", Reconciled::remedy());
            self.trail.record(AuditEvent::new("rolled_back").with(format!("files={what} found={words:?}")));
            self.rolled_back = Some(words);
            self.door.go_on_after(marks.gallery, marks.next_id);
            let _ = self.disk.go_on_after(marks.state);
            let effects = self.door.handle(now, Input::RolledBack(what));
            self.apply_effects(effects)?;
        }
        if self.door.controller().rolled_back().any() {
            // What the frames show may be wanted by whoever looks into this.
            self.erase_when_accepted = erase;
            return Ok(());
        }
        if let Some(version) = erase {
            self.erase_recorded(version);
        }
        if let Err(error) = self.disk.settle() {
            log::error!("event=not_saved error={:?}", error.to_string());
        }
        Ok(())
    }

    /// In words which of the files are older than the others say.
    pub(super) fn rolled_back(&self) -> Option<String> {
        let what = self.door.controller().rolled_back();
        let told = || self.rolled_back.clone().unwrap_or_else(|| "see facelatch audit show".to_owned());
        what.any().then(|| format!("{what}: {}", told()))
    }

    /// A gallery to be written, with what the audit log is to be told of it.
    fn gallery_change(&self, gallery: Arc<Gallery>) -> GalleryChange {
        let (version, next_id) = (gallery.version(), gallery.next_id());
        let entries = self.door.changing().filter_map(audit_event).map(owed).collect();
        let erases = self.door.changing().any(Report::erases);
        GalleryChange { gallery, change: OwedChange { version, next_id, entries }, erases }
    }

    /// Erases what was recorded before this version of the gallery: see [`Erasure`].
    fn erase_recorded(&mut self, version: u64) {
        let mut erasure = Erasure::before(version);
        match &self.frames {
            Some(frames) => frames.erase(version),
            None => erasure.frames_erased(version, 0),
        }
        self.erasing = Some(erasure);
        match self.disk.erase_recording(version) {
            Ok(()) => self.door.recording_lost(),
            Err(error) => log::error!("event=recording_not_erased error={:?}", error.to_string()),
        }
    }

    /// Asks once more for what a disk has refused to erase; the frames' thread asks by itself.
    fn erase_again(&mut self) {
        if let Some(erasure) = self.erasing.filter(Erasure::awaits_recording) {
            let _ = self.disk.erase_recording(erasure.version());
            self.door.recording_lost();
        }
    }

    /// The door gets to know of this.
    pub(super) fn input(&mut self, input: Input) -> Result<(), DaemonError> {
        let effects = self.door.handle(clock::now(), input);
        self.apply_effects(effects)
    }

    /// The state that says that files which do not match were accepted cannot be written.
    pub(super) fn acceptance_not_saved(&mut self) {
        if let Some(client) = self.clients.acceptance.take() {
            client
                .send(Reply::error("accepted only until the next start: the door's state cannot be written"));
        }
    }

    /// The last words to audit log and disk.
    pub(super) fn finish(&mut self, why: &str) {
        let stopped = AuditEvent::new("stopped").with(format!("reason={why:?}"));
        self.trail.finish(self.door.gallery(), stopped, LAST_WRITES);
        // The state's last word is where the log ends: so the next start notices missing entries.
        if self.trail.works() && self.disk.settle().is_ok() {
            self.disk.flush(LAST_WRITES, || {});
        }
    }

    /// Every few seconds: keeps out whose time is over, erases who has been for a day, and asks again for what a
    /// disk has refused.
    pub(super) fn look_after_expiry(&mut self, now: Timestamp) -> Result<(), DaemonError> {
        if !self.expiry.is_due(now) {
            return Ok(());
        }
        let effects = self.expire(now);
        self.apply_effects(effects)?;
        self.erase_again();
        Ok(())
    }

    fn expire(&mut self, now: Timestamp) -> Vec<Effect> {
        let look = self.expiry.look(now, self.door.gallery());
        if let Some(seconds) = look.jump {
            log::warn!("event=clock_jumped by_s={seconds} effect=\"nobody expires by this clock for a day\"");
            self.trail.record(AuditEvent::new("clock").with(format!("jumped_s={seconds}")));
        }
        if let Some(frames) = &self.frames {
            frames.suspect_clock(self.expiry.is_suspect());
        }
        let mut effects = self.door.disable(now, look.over);
        // Where files were put back, what is there is kept until somebody has looked.
        if let Some(subject) = look.erase.filter(|_| !self.door.controller().rolled_back().any()) {
            effects.extend(self.door.expire(subject));
        }
        if let Some(noted) = self.expiry.due_note(now) {
            let _ = self.disk.note_over(noted);
        }
        effects
    }

    /// The gallery was written, or not: whoever has asked for the change is told.
    pub(super) fn gallery_saved(&mut self, outcome: Result<(), String>) -> Vec<Effect> {
        let accepted =
            outcome.is_ok() && self.door.changing().any(|report| *report == Report::RollbackAccepted);
        if accepted {
            // That counts once it is in the state as well.
            self.clients.acceptance = self.clients.change.take().map(|(client, _)| client);
        }
        if let Some((client, _)) = self.clients.change.take() {
            client.send(match &outcome {
                Ok(()) => Reply::ok(),
                Err(message) => Reply::error(message),
            });
        }
        self.door.gallery_saved(clock::now(), outcome)
    }

    /// Files were written or erased: the audit log is told.
    pub(super) fn written(&mut self, messages: impl IntoIterator<Item = Message>) {
        for message in messages {
            match message {
                Message::StateSaved { number, saved } => {
                    let locked = saved.lockout.locked.is_some();
                    let words = format!("secure_mode={} locked_out={locked}", saved.secure_mode);
                    let event = AuditEvent::new("state").with(&*words).marked(Mark::State(number));
                    let kind = EntryKind { event: "state", detail: words };
                    self.trail.record_within(clock::now(), (kind, Allowance::OUTSIDE), event);
                    if !saved.rolled_back.any()
                        && let Some(client) = self.clients.acceptance.take()
                    {
                        client.send(Reply::ok());
                    }
                }
                Message::FramesErased { version, frames } => {
                    if let Some(erasing) = &mut self.erasing {
                        erasing.frames_erased(version, frames);
                    }
                }
                Message::RecordingErased { version } => {
                    if let Some(erasing) = &mut self.erasing {
                        erasing.recording_erased(version);
                    }
                }
                _ => {}
            }
            if let Some(entry) = self.erasing.as_ref().and_then(Erasure::entry) {
                self.erasing = None;
                self.trail.record(entry);
            }
        }
    }

    /// Waits for the disk, but not for long; who waits for a change of the gallery is told of it.
    pub(super) fn flush(&mut self, messages: &Receiver<Message>) {
        self.flush_once(messages);
        // Somebody was removed at the last moment: what was recorded goes as well.
        if self.erasing.is_some() {
            if let Some(frames) = &self.frames {
                frames.finish(LAST_WRITES);
            }
            self.flush_once(messages);
        }
    }

    fn flush_once(&mut self, messages: &Receiver<Message>) {
        let (mut saved, mut others) = (Vec::new(), Vec::new());
        self.disk.flush(LAST_WRITES, || {
            for message in messages.try_iter() {
                match message {
                    Message::GallerySaved(outcome) => saved.push(outcome),
                    other => others.push(other),
                }
            }
        });
        for outcome in saved {
            for effect in self.gallery_saved(outcome) {
                match effect {
                    Effect::Report(report) => self.report(&report),
                    Effect::Save(saved) => {
                        let _ = self.disk.save(saved);
                    }
                    _ => {}
                }
            }
        }
        self.written(others);
    }

    fn report(&mut self, report: &Report) {
        let line = report.log_line();
        match report {
            Report::Event(Event::NoFace | Event::Identifying { .. } | Event::EnrolCountdown { .. }) => {
                log::debug!("{line}");
            }
            Report::Event(
                Event::StaleFrame { .. }
                | Event::EnrolFailed { .. }
                | Event::Alarm(_)
                | Event::Fault(_)
                | Event::LockedOut { .. }
                | Event::ButtonRefused,
            )
            | Report::EnrolRefused { .. } => log::warn!("{line}"),
            _ => log::info!("{line}"),
        }
        if report.ends_enrolment().is_some() {
            self.told.enrol_advice = None;
        } else if let Some(text) = report.enrol_progress() {
            self.told.enrol_advice = Some(text);
        }
        if let Report::Event(Event::Denied(reason)) = report {
            self.told.denial = Some(reason.to_string());
        }
        self.public.reported(report, &self.door);
        self.told.event = Some(line);
        let about = |event: AuditEvent| match report.is_change() {
            true => event.marked(change_mark(self.door.gallery())),
            false => event,
        };
        match (audit_event(report).map(about), quota(report)) {
            (Some(event), Some(quota)) => self.trail.record_within(clock::now(), quota, event),
            (Some(event), None) => {
                let ticket = self.trail.record(event);
                // The release comes before its report.
                if let Some(waiting) = self.waiting.as_mut().filter(|_| is_recorded_first(report)) {
                    waiting.ticket = ticket;
                }
            }
            (None, _) => {}
        }
        if report.erases() {
            self.erase_recorded(self.door.gallery().version());
        }
        if *report == Report::RollbackAccepted {
            self.rolled_back = None;
            if let Some(version) = self.erase_when_accepted.take() {
                self.erase_recorded(version);
            }
        }
        let Some((client, peer)) = &self.clients.enrolment else { return };
        match report.ends_enrolment() {
            Some(outcome) => {
                let last = match outcome {
                    Ok(name) => Reply::Ok { result: serde_json::json!({ "name": name }) },
                    Err(reason) => enrolment_failed(report, &reason, *peer),
                };
                client.send(last);
                self.clients.enrolment = None;
            }
            None => {
                if let Some(text) = report.enrol_progress() {
                    client.send(Reply::Progress { text });
                }
            }
        }
    }
}

/// What the requester of an enrolment learns of its failure. Who stands before the door is not for a
/// broker to keep: the gateway, which may see the people and the events, is not sent the name.
pub(super) fn enrolment_failed(report: &Report, reason: &str, peer: Peer) -> Reply {
    let named = matches!(report, Report::EnrolRefused { like: Some(_), .. });
    let reason = match peer {
        Peer::Gateway if named => "already enrolled; the door's events say under which name",
        _ => reason,
    };
    let frames = match report {
        Report::Event(Event::EnrolFailed { frames, .. }) => Some(*frames),
        _ => None,
    };
    Reply::Error { message: format!("enrolment failed: {reason}"), frames }
}

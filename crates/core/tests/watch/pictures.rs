//! What must hold of the liveness check, kept apart from the code that makes it.

use std::collections::VecDeque;

use facelatch_core::access::{
    AccessRules, Action, ChallengeEnd, DenyReason, Event, Fault, Input, ModeCommand, ReleaseReason, Seen,
};
use facelatch_core::liveness::{Cues, Gesture, Unsure};
use facelatch_core::time::Timestamp;

/// What a face is made of, by its cues.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Made {
    #[default]
    Flesh,
    Paper,
    /// It moves as no flat thing does, and is not clearly alive.
    Doubtful,
    Unmeasured,
}

/// What the present frame shows, as the test knows and the controller does not.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shown {
    pub made: Made,
    /// Whose face: the number of the subject, and 3 or more for people enrolled later and strangers.
    pub person: u32,
    /// How far the head is turned and nodding.
    pub turn: f32,
    pub nod: f32,
}

impl Shown {
    /// What is measured of it.
    pub fn cues(&self) -> Cues {
        let measured = |residual, along, peak, network| Cues {
            motion: Some(0.01),
            residual: Some(residual),
            along: Some(along),
            peak: Some(peak),
            network: Some(network),
            turn: Some(self.turn),
            nod: Some(self.nod),
            ..Cues::default()
        };
        match self.made {
            Made::Flesh => measured(0.02, -1.0, 1.0, 0.98),
            Made::Paper => measured(0.0002, 0.5, 2.4, 0.02),
            Made::Doubtful => measured(0.02, -0.65, 1.6, 0.5),
            Made::Unmeasured => Cues { turn: Some(self.turn), nod: Some(self.nod), ..Cues::default() },
        }
    }
}

/// Fewer frames of flesh than this cannot make a face alive; nor fewer turned ones a turn.
const LEAST: usize = 3;

/// A challenge as seen from outside.
#[derive(Clone, Debug)]
struct Asked {
    at: Timestamp,
    gesture: Gesture,
    person: u32,
    /// Frames since.
    shown: Vec<Shown>,
}

impl Asked {
    /// The person who was asked did it: turned in some frames, back in some later ones.
    fn was_met(&self) -> bool {
        let own = |shown: &Shown| match self.gesture {
            Gesture::Turn => shown.turn.abs(),
            Gesture::Nod => shown.nod.abs(),
        };
        let mine = || self.shown.iter().filter(|shown| shown.person == self.person);
        let mut away = mine().enumerate().filter(|(_, shown)| own(shown) > 0.15);
        let Some((third, _)) = away.nth(LEAST - 1) else { return false };
        mine().skip(third).filter(|shown| own(shown) < 0.1).count() >= LEAST
    }
}

/// Watches what becomes of pictures and of doubt.
#[derive(Clone, Default)]
pub struct Pictures {
    pub shown: Shown,
    /// The latest frames of one face, at most two windows.
    recent: VecDeque<Made>,
    /// A picture was refused, or a challenge not met, and the face has not left since.
    pub refused: bool,
    /// When a face was last seen, and when that frame was captured.
    last_face: Option<(Timestamp, Timestamp)>,
    factor: Option<Timestamp>,
    asked: Option<Asked>,
    /// What was asked was done.
    met: bool,
    /// Something came that may have ended what was asked, or not.
    unclear: bool,
    /// The gallery in force, where the test shows scores of others as well.
    gallery: Option<u64>,
    /// Let in alive, by the second factor, by a challenge; pictures refused, challenges, challenges not met.
    pub counts: [u64; 6],
}

impl Pictures {
    /// Nothing seen yet; this gallery is in force.
    pub fn before(gallery: u64) -> Self {
        Pictures { gallery: Some(gallery), ..Pictures::default() }
    }

    /// The process started anew. Who was refused is not written down: after a start the face is judged anew.
    pub fn restart(&mut self) {
        *self =
            Pictures { shown: self.shown, counts: self.counts, gallery: self.gallery, ..Pictures::default() };
    }

    /// What was seen so far is void, and so is what was asked.
    pub fn forget(&mut self) {
        (self.asked, self.met, self.unclear) = (None, false, false);
        self.recent.clear();
    }

    /// Checks what the controller answered to an input, or to time.
    pub fn check(
        &mut self,
        now: Timestamp,
        input: Option<&Input>,
        actions: &[Action],
        rules: AccessRules,
    ) -> Result<(), String> {
        let Some(liveness) = rules.liveness else { return Ok(()) };
        match input {
            Some(Input::SecondFactor) => self.factor = Some(now),
            Some(Input::Sighting { sighting, .. }) => {
                let fresh = now.since(sighting.captured) <= rules.max_frame_age;
                if fresh && sighting.seen != Seen::NoFace {
                    let (last, last_captured) = self.last_face.unzip();
                    if last.is_none_or(|last| now.since(last) > rules.approach.gap) {
                        self.refused = false;
                    }
                    let gap = |last| sighting.captured.since(last) > rules.window.max_gap;
                    if last_captured.is_none_or(gap) {
                        self.forget();
                    }
                    self.last_face = Some((now, sighting.captured));
                }
                match sighting.seen {
                    _ if !fresh => self.forget(),
                    _ if self.gallery.is_some_and(|version| version != sighting.gallery_version) => {
                        self.forget()
                    }
                    Seen::Face { .. } => {
                        self.recent.push_back(self.shown.made);
                        if self.recent.len() > 2 * rules.window.frames.max(15) {
                            self.recent.pop_front();
                        }
                        if let Some(asked) = &mut self.asked {
                            asked.shown.push(self.shown);
                            // Met, although a release in progress for another reason may hide it.
                            if now.since(asked.at) < liveness.challenge.time && asked.was_met() {
                                (self.asked, self.met) = (None, true);
                            }
                        }
                    }
                    Seen::NoFace => self.recent.clear(),
                    Seen::SeveralFaces { .. } => self.forget(),
                }
            }
            Some(
                Input::Fault(Fault::Camera | Fault::Vision)
                | Input::Secure
                | Input::Enrol
                | Input::GalleryChanged { .. }
                | Input::SetMode(ModeCommand::Secure),
            ) => self.forget(),
            Some(Input::NotRecorded | Input::EnrolButton | Input::SetMode(_)) => self.unclear = true,
            _ => {}
        }
        for action in actions {
            let Action::Report(event) = action else { continue };
            match event {
                Event::Denied(DenyReason::Spoof { .. }) => {
                    self.refused = true;
                    self.counts[3] += 1;
                }
                Event::Denied(
                    reason @ (DenyReason::TurnHead { subject, .. } | DenyReason::Nod { subject, .. }),
                ) => {
                    let turn = matches!(reason, DenyReason::TurnHead { .. });
                    let gesture = if turn { Gesture::Turn } else { Gesture::Nod };
                    // Whoever stood before the camera may be enrolled as the guest: it is the one who is asked.
                    let person = if subject.0 < 3 { subject.0 } else { self.shown.person };
                    self.met = false;
                    self.asked = Some(Asked { at: now, gesture, person, shown: Vec::new() });
                    self.counts[4] += 1;
                }
                Event::Denied(DenyReason::ChallengeFailed { end, .. }) => {
                    self.refused = true;
                    self.counts[5] += u64::from(*end == ChallengeEnd::TimeOver);
                }
                Event::Released(ReleaseReason::Identified { .. }) => {
                    if self.refused {
                        return Err("a face that was refused and stays got in".into());
                    }
                    let of = |made| self.recent.iter().filter(|other| **other == made).count();
                    let flesh = of(Made::Flesh);
                    // Doubtful frames say something for it, too; they alone do not suffice.
                    let alive = flesh > 0 && flesh + of(Made::Doubtful) >= LEAST;
                    let factor = self.factor.is_some_and(|at| now.since(at) <= liveness.factor);
                    let asked = self.asked.take();
                    if std::mem::take(&mut self.met) {
                        self.counts[2] += 1;
                    } else if let Some(asked) = asked.filter(|_| !self.unclear) {
                        let after = now.since(asked.at);
                        return Err(format!("not met {after:?} after it was asked: {asked:?}"));
                    } else if alive {
                        self.counts[0] += 1;
                    } else if liveness.unsure == Unsure::SecondFactor && factor {
                        self.counts[1] += 1;
                    } else {
                        return Err(format!("no second proof for {:?}", self.recent));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

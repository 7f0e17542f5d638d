//! A known face that is neither clearly alive nor clearly a picture is asked to turn or to nod.
//!
//! [`Challenges`] owns the one that is under way and says what each frame makes of it. What counts as a
//! gesture is [`crate::liveness::challenge`]'s.

use serde::{Deserialize, Serialize};

use super::window::{Run, Verdict, Window};
use crate::ids::SubjectId;
use crate::liveness::challenge::Progress;
use crate::liveness::{Cues, Gesture, Liveness, LivenessRules};
use crate::time::Timestamp;

/// A face that was asked to turn or to nod.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Challenge {
    subject: SubjectId,
    /// The face that was asked: another one, or the same after a break, is not.
    run: Run,
    until: Timestamp,
    progress: Progress,
}

/// The challenge that is under way, and how many there were.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Challenges {
    current: Option<Challenge>,
    issued: u64,
}

/// What a frame makes of a challenge.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Outcome {
    /// It goes on.
    Waiting,
    /// Another face came, or one that is not like the person any more: to be ended as not met.
    OtherFace,
    /// It is a picture. The challenge is over.
    Spoof { subject: SubjectId, evidence: f32 },
    /// The person did it, and is known again. The challenge is over.
    Met,
}

impl Challenges {
    /// Takes up what was recorded.
    pub fn recorded(current: Option<Challenge>, issued: u64) -> Self {
        Challenges { current, issued }
    }

    /// The one under way.
    pub fn current(&self) -> Option<Challenge> {
        self.current
    }

    /// Challenges so far.
    pub fn issued(&self) -> u64 {
        self.issued
    }

    pub fn is_active(&self) -> bool {
        self.current.is_some()
    }

    /// When it is over unless it was met.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.current.map(|challenge| challenge.until)
    }

    /// Asks the face in the window for a gesture; from now on nothing else lets it in.
    pub fn issue(
        &mut self,
        now: Timestamp,
        rules: &LivenessRules,
        subject: SubjectId,
        run: Option<Run>,
    ) -> Gesture {
        let gesture = rules.challenge.gesture(self.issued);
        self.issued += 1;
        let until = now + rules.challenge.time;
        let progress = Progress::new(gesture);
        self.current = run.map(|run| Challenge { subject, run, until, progress });
        gesture
    }

    /// Ends the challenge; whose it was.
    pub fn end(&mut self) -> Option<SubjectId> {
        self.current.take().map(|challenge| challenge.subject)
    }

    /// Whatever made the frames void that the face was asked in ends the challenge, too.
    pub fn keep_for(&mut self, run: Option<Run>) {
        self.current = self.current.filter(|challenge| run == Some(challenge.run));
    }

    /// Takes a frame that the window has just taken. The challenge is met when the gesture was seen, the window
    /// knows the same person again, and nothing speaks for a picture.
    pub fn advance(
        &mut self,
        rules: &LivenessRules,
        window: &Window,
        verdict: Verdict,
        cues: &Cues,
    ) -> Option<Outcome> {
        let challenge = self.current.as_mut()?;
        let subject = challenge.subject;
        // Half the threshold: a turned head is less like its template.
        let least = window.rules().threshold / 2.0;
        let is_other = match verdict {
            Verdict::Identified { subject: known, .. } => known != subject,
            Verdict::Ambiguous { .. } => false,
            // A mean that is not a number is not like the person.
            Verdict::Unknown { .. } | Verdict::Undecided { .. } => {
                !matches!(window.mean_of(subject), mean if mean >= least)
            }
        };
        if is_other || window.run() != Some(challenge.run) {
            return Some(Outcome::OtherFace);
        }
        let evidence = window.evidence(Some(subject));
        if let Liveness::Spoof { evidence } = evidence.judge(rules) {
            self.current = None;
            return Some(Outcome::Spoof { subject, evidence });
        }
        // What another head does says nothing of this one.
        if window.latest_likeness(subject).is_some_and(|likeness| likeness >= least) {
            challenge.progress.take(cues);
        }
        let is_known = matches!(verdict, Verdict::Identified { .. });
        if is_known && challenge.progress.is_done() && evidence.is_unopposed(rules) {
            self.current = None;
            return Some(Outcome::Met);
        }
        Some(Outcome::Waiting)
    }
}

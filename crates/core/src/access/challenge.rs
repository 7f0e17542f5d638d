//! A known face that is neither clearly alive nor clearly a picture is asked to turn or to nod.
//!
//! [`Challenges`] owns the one that is in progress and says what each frame makes of it. What counts as a
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

/// The challenge that is in progress, and how many there were.
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

    /// The one in progress.
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::access::window::WindowRules;
    use crate::ids::{Score, TrackId};

    const ADA: SubjectId = SubjectId(1);
    const THRESHOLD: f32 = 0.3;

    /// A face that was asked to turn, after a window of its frames.
    struct Scene {
        rules: LivenessRules,
        window: Window,
        challenges: Challenges,
        now: u64,
    }

    /// Moves as no flat thing does, and is not clearly alive.
    fn cues(turn: f32) -> Cues {
        Cues {
            motion: Some(0.05),
            residual: Some(0.012),
            peak: Some(1.2),
            patterns: Some(4.0),
            network: Some(0.5),
            turn: Some(turn),
            nod: Some(0.0),
            ..Cues::default()
        }
    }

    impl Scene {
        fn new() -> Self {
            let window = Window::new(WindowRules {
                frames: 5,
                threshold: THRESHOLD,
                gallery_raise: 0.0,
                margin: 0.1,
                max_gap: Duration::from_millis(500),
                max_age: Duration::from_secs(5),
            });
            let (rules, challenges) = (LivenessRules::default(), Challenges::default());
            let mut scene = Scene { rules, window, challenges, now: 0 };
            for _ in 0..10 {
                assert_eq!(scene.frame(1, &[(1, 0.6)], cues(0.0)), None, "nothing was asked");
            }
            let run = scene.window.run();
            let gesture = scene.challenges.issue(Timestamp::from_millis(scene.now), &scene.rules, ADA, run);
            assert_eq!(gesture, Gesture::Turn);
            scene
        }

        fn frame(&mut self, track: u64, likeness: &[(u32, f32)], cues: Cues) -> Option<Outcome> {
            self.now += 50;
            let score = |&(s, similarity): &(u32, f32)| Score { subject: SubjectId(s), similarity };
            let scores: Vec<Score> = likeness.iter().map(score).collect();
            let captured = Timestamp::from_millis(self.now);
            let verdict = self.window.push(TrackId(track), captured, scores, None, cues);
            self.challenges.advance(&self.rules, &self.window, verdict, &cues)
        }

        /// What a number of frames of Ada's face, so much like her template and turned so far, came to.
        fn ada(&mut self, frames: usize, likeness: f32, turn: f32) -> Vec<Outcome> {
            (0..frames).filter_map(|_| self.frame(1, &[(1, likeness)], cues(turn))).collect()
        }
    }

    #[test]
    fn a_head_that_turns_and_comes_back_meets_it() {
        let mut scene = Scene::new();
        assert_eq!(scene.ada(3, 0.6, 0.3), [Outcome::Waiting; 3]);
        assert_eq!(scene.ada(2, 0.6, 0.0), [Outcome::Waiting; 2]);
        assert_eq!(scene.ada(2, 0.6, 0.0), [Outcome::Met], "and then it is over");
        assert!(!scene.challenges.is_active());
    }

    #[test]
    fn a_head_that_does_not_come_back_or_is_not_known_again_does_not_meet_it() {
        let mut scene = Scene::new();
        assert_eq!(scene.ada(30, 0.6, 0.3), [Outcome::Waiting; 30]);
        // It came back, and is like Ada but not enough.
        let mut scene = Scene::new();
        assert_eq!(scene.ada(3, 0.2, 0.3).len() + scene.ada(30, 0.2, 0.0).len(), 33);
        assert!(scene.challenges.is_active());
        assert_eq!(scene.ada(5, 0.6, 0.0).last(), Some(&Outcome::Met), "known again");
    }

    #[test]
    fn another_face_ends_it_and_does_not_turn_for_this_one() {
        // Half the threshold is enough while the head is turned, in the mean.
        let mut scene = Scene::new();
        assert_eq!(scene.ada(20, THRESHOLD / 2.0, 0.3), [Outcome::Waiting; 20]);
        assert_eq!(scene.ada(1, THRESHOLD / 2.0 - 0.01, 0.3), [Outcome::OtherFace]);
        let mut scene = Scene::new();
        assert_eq!(scene.ada(1, f32::NAN, 0.3), [Outcome::OtherFace]);
        let mut scene = Scene::new();
        assert_eq!(scene.frame(2, &[(1, 0.6)], cues(0.3)), Some(Outcome::OtherFace), "another track");
        // Another enrolled person, in the same track.
        let mut scene = Scene::new();
        let eve: Vec<_> = (0..5).map(|_| scene.frame(1, &[(1, 0.3), (2, 0.9)], cues(0.3))).collect();
        assert_eq!(eve.last(), Some(&Some(Outcome::OtherFace)));
        // As much like Ada as like Eve: not known to be another.
        let mut scene = Scene::new();
        let both: Vec<_> = (0..9).map(|_| scene.frame(1, &[(1, 0.6), (2, 0.58)], cues(0.3))).collect();
        assert_eq!(both, [Some(Outcome::Waiting); 9]);
        // Frames that are not like Ada turn nothing, though the mean still is.
        let mut scene = Scene::new();
        assert_eq!(scene.ada(3, 0.1, 0.3), [Outcome::Waiting; 3]);
        assert_eq!(scene.ada(20, 0.6, 0.0), [Outcome::Waiting; 20]);
    }

    #[test]
    fn a_picture_ends_it_and_a_flat_face_does_not_meet_it() {
        let picture = Cues { residual: Some(0.0005), network: Some(0.02), peak: Some(2.5), ..cues(0.3) };
        let mut scene = Scene::new();
        let seen: Vec<_> = (0..30).filter_map(|_| scene.frame(1, &[(1, 0.6)], picture)).collect();
        assert!(matches!(seen.last(), Some(Outcome::Spoof { subject: ADA, evidence }) if *evidence < 0.0));
        assert!(!scene.challenges.is_active());
        let flat = |turn| Cues { residual: Some(0.003), network: Some(0.8), ..cues(turn) };
        let mut scene = Scene::new();
        for frame in 0..60 {
            let turn = if (20..25).contains(&frame) { 0.3 } else { 0.0 };
            assert_eq!(scene.frame(1, &[(1, 0.6)], flat(turn)), Some(Outcome::Waiting));
        }
    }

    #[test]
    fn it_lasts_its_time_and_as_long_as_the_face_stays() {
        let mut scene = Scene::new();
        let until = Timestamp::from_millis(500) + scene.rules.challenge.time;
        assert_eq!((scene.challenges.deadline(), scene.challenges.issued()), (Some(until), 1));
        let run = scene.window.run();
        scene.challenges.keep_for(run);
        assert!(scene.challenges.is_active());
        scene.challenges.keep_for(None);
        assert!(!scene.challenges.is_active());
        assert_eq!((scene.challenges.end(), scene.challenges.deadline()), (None, None));
        let _ = scene.challenges.issue(Timestamp::ZERO, &scene.rules, ADA, run);
        assert_eq!((scene.challenges.end(), scene.challenges.issued()), (Some(ADA), 2));
        // Without a face there is nobody to ask.
        let _ = scene.challenges.issue(Timestamp::ZERO, &scene.rules, ADA, None);
        assert!(!scene.challenges.is_active());
    }
}

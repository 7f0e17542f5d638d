//! `[liveness]`

use std::path::PathBuf;
use std::time::Duration;

use super::table::{Fault, section};
use crate::liveness::{Asked, ChallengeRules, Cue, CueSet, LivenessRules, Unsure};

section! {
    /// A photograph or a screen must not open the door: see docs/design/liveness.md.
    [liveness] LivenessConfig;

    /// false lets pictures of people in.
    check: bool = true;
    /// Model card of another liveness network instead of the built-in one.
    card: Option<PathBuf> = None, example r#""liveness.toml""#;
    /// The cues that count.
    cues: Vec<Cue> = Cue::ALL.to_vec();
    /// Evidence at or above this accepts a face as live.
    accept_above: f32 = LivenessRules::default().live, range -10.0 to 10.0, old live;
    /// Evidence at or below this rejects it as a picture: nothing opens until it has left. At most
    /// accept_above.
    reject_below: f32 = LivenessRules::default().spoof, range -10.0 to 10.0, old spoof;
    /// In between: deny (until it becomes clear), second-factor or challenge.
    on_uncertain: Unsure = LivenessRules::default().unsure, old unsure;
    /// How long the second factor (lines.second_factor) counts.
    factor_ms: u64 = LivenessRules::default().factor.as_millis() as u64, range 1_000 to 60_000 ms;
    /// What a challenge asks for: turn (the head), nod, or either (at random).
    challenge: Asked = ChallengeRules::default().asked;
    /// How long a person has for a challenge.
    challenge_ms: u64 = ChallengeRules::default().time.as_millis() as u64, range 2_000 to 30_000 ms;
}

impl LivenessConfig {
    pub(super) fn check_cues_and_limits(&self) -> Result<(), Fault> {
        if self.reject_below > self.accept_above {
            let problem = "must be at most liveness.accept_above";
            return Err(Fault::new("liveness.reject_below", self.reject_below, problem));
        }
        if self.check && self.cues.is_empty() {
            let problem = "name at least one cue, or set check = false";
            return Err(Fault::new("liveness.cues", &self.cues, problem));
        }
        Ok(())
    }

    pub(super) fn rules(&self) -> Option<LivenessRules> {
        self.check.then(|| LivenessRules {
            cues: CueSet::of(|cue| self.cues.contains(&cue)),
            live: self.accept_above,
            spoof: self.reject_below,
            unsure: self.on_uncertain,
            factor: Duration::from_millis(self.factor_ms),
            challenge: ChallengeRules {
                asked: self.challenge,
                time: Duration::from_millis(self.challenge_ms),
                ..ChallengeRules::default()
            },
            ..LivenessRules::default()
        })
    }
}

//! All cues of a window as one verdict.
//!
//! Each cue's figures over the window become evidence by a straight line, cut off at both ends: above 0 it
//! speaks for a living face, below for a picture, and no cue alone decides beyond its cut. The evidence
//! adds up (as the logarithms of likelihood ratios of independent cues do: Kittler et al., "On combining
//! classifiers", IEEE PAMI 1998, the product rule). A face is called alive only if it was seen to move as
//! no flat thing does, and no cue speaks clearly against it: what stands quite still may be a good picture.

use serde::{Deserialize, Serialize};

use super::challenge::ChallengeRules;
use super::cues::Cues;

/// Fewer measurements of a cue than this say nothing; of motion that a picture cannot make, one more.
const MIN_SAMPLES: usize = 3;

/// A face must move so far, in its widths, for its motion to say whether it is flat.
const MIN_MOTION: f32 = 0.002;

/// The residual, in widths of the face, that a flat picture and a living face have alike when they move by
/// a hundredth of the face; it grows with the motion to this power.
const NEUTRAL_RESIDUAL: f32 = 0.0024;
const RESIDUAL_EXPONENT: f32 = 0.33;

/// Which of the residuals counts: a glare or a beating raster makes some of them large, but hardly two
/// thirds; of a living face nearly all are.
const RESIDUAL_QUANTILE: f32 = 0.33;

/// The share of surroundings moving along that both have alike: of a face that hardly moves, and of one
/// that moves by [`MOTION_SPAN`] more than [`SMALL_MOTION`] of its width.
const NEUTRAL_ALONG: (f32, f32) = (-0.62, -0.75);
const SMALL_MOTION: f32 = 0.01;
const MOTION_SPAN: f32 = 0.03;

/// The spectrum's peak that both have alike.
const NEUTRAL_PEAK: f32 = 1.62;

/// What the patterns' evidence lacks of half their log odds, so that a face without anything suspicious has
/// as little of it as of [`Cue::Moire`]'s: a camera that shows no paper shows no skin either.
const LBP_OFFSET: f32 = 1.1;

/// Evidence of a single picture from which it is alive: what [`Cue::Moire`] and [`Cue::Lbp`] say of a picture
/// about which they know nothing.
pub const MIN_STILL_EVIDENCE: f32 = 0.4 - LBP_OFFSET;

/// One of the cues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cue {
    /// [`super::planarity`].
    #[serde(rename = "planar")]
    Planarity,
    /// [`super::background`].
    #[serde(rename = "surroundings")]
    Background,
    /// [`super::moire`].
    #[serde(rename = "texture")]
    Moire,
    /// [`super::lbp`].
    #[serde(rename = "patterns")]
    Lbp,
    /// The network.
    Network,
}

impl Cue {
    /// Every cue.
    pub const ALL: [Cue; 5] = [Cue::Planarity, Cue::Background, Cue::Moire, Cue::Lbp, Cue::Network];

    /// The name in configuration and reports.
    pub fn name(self) -> &'static str {
        match self {
            Cue::Planarity => "planar",
            Cue::Background => "surroundings",
            Cue::Moire => "texture",
            Cue::Lbp => "patterns",
            Cue::Network => "network",
        }
    }
}

/// Which cues count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CueSet {
    /// [`Cue::Planarity`].
    #[serde(rename = "planar")]
    pub planarity: bool,
    /// [`Cue::Background`].
    #[serde(rename = "surroundings")]
    pub background: bool,
    /// [`Cue::Moire`].
    #[serde(rename = "texture")]
    pub moire: bool,
    /// [`Cue::Lbp`].
    #[serde(rename = "patterns")]
    pub lbp: bool,
    /// [`Cue::Network`].
    pub network: bool,
}

impl CueSet {
    /// All of them.
    pub const ALL: CueSet =
        CueSet { planarity: true, background: true, moire: true, lbp: true, network: true };

    /// Those that `counts` says.
    pub fn of(counts: impl Fn(Cue) -> bool) -> Self {
        CueSet {
            planarity: counts(Cue::Planarity),
            background: counts(Cue::Background),
            moire: counts(Cue::Moire),
            lbp: counts(Cue::Lbp),
            network: counts(Cue::Network),
        }
    }

    /// Whether this cue is one of them.
    pub fn has(&self, cue: Cue) -> bool {
        match cue {
            Cue::Planarity => self.planarity,
            Cue::Background => self.background,
            Cue::Moire => self.moire,
            Cue::Lbp => self.lbp,
            Cue::Network => self.network,
        }
    }
}

/// What to do with a known face that may or may not be alive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unsure {
    /// It is not let in; it may become clear while it stays.
    #[default]
    Deny,
    /// It is let in if the second factor's line became active shortly before or becomes so.
    SecondFactor,
    /// It is asked to turn the head or to nod, and let in if it does.
    Challenge,
}

/// The numbers of the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LivenessRules {
    /// Which cues count.
    pub cues: CueSet,
    /// Evidence from which a face is alive.
    pub live: f32,
    /// Evidence up to which it is a picture, at most `live`.
    pub spoof: f32,
    /// A cue below this keeps a face from being called alive, whatever the others say; but for
    /// [`Cue::Lbp`], which is wrong about too many living faces to have that say.
    pub veto: f32,
    /// What to do in between.
    pub unsure: Unsure,
    /// How long the second factor counts.
    pub factor: std::time::Duration,
    /// What the face is asked to do.
    pub challenge: ChallengeRules,
}

impl Default for LivenessRules {
    fn default() -> Self {
        LivenessRules {
            cues: CueSet::ALL,
            live: 2.9,
            spoof: -1.1,
            veto: -1.2,
            unsure: Unsure::Deny,
            factor: std::time::Duration::from_secs(10),
            challenge: ChallengeRules::default(),
        }
    }
}

/// What a window says of the face's liveness.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Liveness {
    /// A living face.
    Live {
        /// The evidence for it.
        evidence: f32,
    },
    /// A picture of a face.
    Spoof {
        /// The evidence, below 0.
        evidence: f32,
    },
    /// Neither is clear.
    NotSure {
        /// The evidence.
        evidence: f32,
    },
}

/// The evidence of each cue; `None` where it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evidence {
    /// [`Cue::Planarity`], -2 to 1.5.
    pub planarity: Option<f32>,
    /// [`Cue::Background`], -2 to 0.8.
    pub background: Option<f32>,
    /// [`Cue::Moire`], -3 to 0.4.
    pub moire: Option<f32>,
    /// [`Cue::Lbp`], -2.5 to 0.4.
    pub lbp: Option<f32>,
    /// [`Cue::Network`], -2.5 to 2.5.
    pub network: Option<f32>,
}

impl Evidence {
    /// The evidence of the frames of a window.
    pub fn of<'a>(frames: impl Iterator<Item = &'a Cues> + Clone) -> Self {
        let values = |value: &dyn Fn(&Cues) -> Option<f32>| -> Vec<f32> {
            frames.clone().filter_map(value).filter(|v| v.is_finite()).collect()
        };
        let mean = |value: &dyn Fn(&Cues) -> Option<f32>| {
            let values = values(value);
            (values.len() >= MIN_SAMPLES).then(|| values.iter().sum::<f32>() / values.len() as f32)
        };
        let residual = |cues: &Cues| {
            let motion = cues.motion.filter(|motion| *motion >= MIN_MOTION)?;
            let neutral = NEUTRAL_RESIDUAL * (motion / 0.01).powf(RESIDUAL_EXPONENT);
            Some((cues.residual?.max(1e-4) / neutral).log2())
        };
        let along = |cues: &Cues| {
            let far = ((cues.motion? - SMALL_MOTION) / MOTION_SPAN).clamp(0.0, 1.0);
            Some(NEUTRAL_ALONG.0 + (NEUTRAL_ALONG.1 - NEUTRAL_ALONG.0) * far - cues.along?)
        };
        let logit = |cues: &Cues| {
            let p = cues.network?.clamp(0.02, 0.98);
            Some((p / (1.0 - p)).ln())
        };
        Evidence {
            planarity: quantile(values(&residual)).map(|r| (1.5 * r).clamp(-2.0, 1.5)),
            background: mean(&along).map(|a| (4.0 * a).clamp(-2.0, 0.8)),
            moire: mean(&|cues| cues.peak).map(|p| (5.0 * (NEUTRAL_PEAK - p)).clamp(-3.0, 0.4)),
            lbp: mean(&|cues| cues.patterns).map(|o| (0.5 * o - LBP_OFFSET).clamp(-2.5, 0.4)),
            network: mean(&logit).map(|l| l.clamp(-2.5, 2.5)),
        }
    }

    /// The evidence of a single picture, which has no motion.
    pub fn of_still(cues: &Cues) -> Self {
        // Without motion the two cues of motion say nothing.
        let still = Cues { motion: None, ..*cues };
        Evidence::of(std::iter::repeat_n(&still, MIN_SAMPLES))
    }

    /// That of one cue.
    pub fn get(&self, cue: Cue) -> Option<f32> {
        match cue {
            Cue::Planarity => self.planarity,
            Cue::Background => self.background,
            Cue::Moire => self.moire,
            Cue::Lbp => self.lbp,
            Cue::Network => self.network,
        }
    }

    /// The verdict.
    pub fn judge(&self, rules: &LivenessRules) -> Liveness {
        let told = |cue: &Cue| if rules.cues.has(*cue) { self.get(*cue) } else { None };
        let evidence: f32 = Cue::ALL.iter().filter_map(told).sum();
        let silent = Cue::ALL.iter().all(|cue| told(cue).is_none());
        if !silent && evidence <= rules.spoof {
            Liveness::Spoof { evidence }
        } else if !silent && evidence >= rules.live && self.is_unopposed(rules) {
            Liveness::Live { evidence }
        } else {
            Liveness::NotSure { evidence }
        }
    }

    /// Whether the face was seen to move as no flat thing does, and no cue speaks clearly against it: less
    /// than this no face is let in with, whatever it does when it is challenged.
    pub fn is_unopposed(&self, rules: &LivenessRules) -> bool {
        let told = |cue: &Cue| if rules.cues.has(*cue) { self.get(*cue) } else { None };
        let heard = Cue::ALL.iter().filter(|cue| **cue != Cue::Lbp);
        let vetoed = heard.filter_map(told).any(|e| e < rules.veto);
        // Without the cue of motion an operator has asked not to wait for any.
        let deep = !rules.cues.planarity || self.planarity.is_some_and(|planarity| planarity >= 0.0);
        deep && !vetoed
    }
}

/// The [`RESIDUAL_QUANTILE`] of the values, between two of them by their share; `None` for too few.
fn quantile(mut values: Vec<f32>) -> Option<f32> {
    if values.len() <= MIN_SAMPLES {
        return None;
    }
    values.sort_unstable_by(f32::total_cmp);
    let place = (values.len() - 1) as f32 * RESIDUAL_QUANTILE;
    let below = place as usize;
    let above = values.get(below + 1).unwrap_or(&values[below]);
    Some(values[below] + (above - values[below]) * (place - below as f32))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALIVE: Cues = Cues {
        motion: Some(0.05),
        residual: Some(0.012),
        along: Some(-0.9),
        peak: Some(1.2),
        patterns: Some(4.0),
        network: Some(0.9),
        turn: None,
        nod: None,
    };

    fn judge(frames: &[Cues], rules: &LivenessRules) -> Liveness {
        Evidence::of(frames.iter()).judge(rules)
    }

    #[test]
    fn table() {
        let print = Cues { residual: Some(0.002), along: Some(0.3), network: Some(0.05), ..ALIVE };
        let screen = Cues { peak: Some(2.1), along: Some(0.3), network: Some(0.2), ..ALIVE };
        let still = Cues { motion: Some(0.001), residual: Some(0.001), along: None, ..ALIVE };
        let cut_out = Cues { residual: Some(0.002), ..ALIVE };
        let paper = Cues { patterns: Some(-6.0), network: Some(0.2), along: None, ..ALIVE };
        let hardly =
            Cues { motion: Some(0.004), residual: Some(0.003), along: None, network: Some(0.97), ..ALIVE };
        let calm_print = Cues { residual: Some(0.001), ..hardly };
        let nothing = Cues::default();
        let rules = LivenessRules::default();
        for (name, cues, live, spoof) in [
            ("a person", ALIVE, true, false),
            ("a print", print, false, true),
            ("a screen", screen, false, true),
            ("a motionless face is not a picture, and not known to be alive", still, false, false),
            ("a flat face that convinces all other cues", cut_out, false, false),
            ("a face of paper", paper, false, true),
            ("who breathes", hardly, true, false),
            ("a print in a calm hand", calm_print, false, false),
            ("nothing measured", nothing, false, false),
            (
                "no number",
                Cues { network: Some(f32::NAN), residual: Some(f32::NAN), ..nothing },
                false,
                false,
            ),
        ] {
            let verdict = judge(&[cues; 15], &rules);
            assert_eq!(matches!(verdict, Liveness::Live { .. }), live, "{name}: {verdict:?}");
            assert_eq!(matches!(verdict, Liveness::Spoof { .. }), spoof, "{name}: {verdict:?}");
        }
    }

    #[test]
    fn a_few_frames_decide_nothing() {
        let rules = LivenessRules::default();
        let mut frames = [Cues::default(); 15];
        frames[..3].fill(ALIVE);
        assert!(matches!(judge(&frames, &rules), Liveness::NotSure { .. }));
        frames[3] = ALIVE;
        assert!(matches!(judge(&frames, &rules), Liveness::Live { .. }));
    }

    #[test]
    fn a_glare_does_not_make_a_print_alive() {
        let print = Cues { residual: Some(0.002), ..ALIVE };
        let mut frames = [print; 15];
        // Twice what a living face leaves over, in every third frame.
        frames.iter_mut().step_by(3).for_each(|frame| frame.residual = Some(0.025));
        assert!(Evidence::of(frames.iter()).planarity.unwrap() < -1.0);
        let alive = Evidence::of([ALIVE; 15].iter()).planarity.unwrap();
        assert!(alive > 0.5, "{alive}");
    }

    /// Configurations and recordings of other versions must stay readable.
    #[test]
    fn cues_keep_their_names_in_files() {
        for cue in Cue::ALL {
            assert_eq!(serde_json::to_value(cue).unwrap(), cue.name());
            let only = serde_json::to_value(CueSet::of(|other| other == cue)).unwrap();
            assert_eq!(only[cue.name()], true, "{only}");
        }
        let names = Cue::ALL.map(Cue::name);
        assert_eq!(names, ["planar", "surroundings", "texture", "patterns", "network"]);
    }

    #[test]
    fn a_cue_that_does_not_count_says_nothing() {
        let cut_out = Cues { residual: Some(0.001), ..ALIVE };
        let only = |wanted| LivenessRules {
            cues: CueSet::of(|cue| cue == wanted),
            live: 0.0,
            spoof: -0.1,
            ..LivenessRules::default()
        };
        assert!(matches!(judge(&[cut_out; 15], &only(Cue::Planarity)), Liveness::Spoof { .. }));
        for cue in [Cue::Background, Cue::Moire, Cue::Lbp, Cue::Network] {
            assert!(matches!(judge(&[cut_out; 15], &only(cue)), Liveness::Live { .. }), "{cue:?}");
        }
    }
    fn close(evidence: Option<f32>, expected: f32) -> bool {
        evidence.is_some_and(|evidence| (evidence - expected).abs() < 2e-3)
    }

    #[test]
    fn what_each_cue_says_in_numbers() {
        let nothing = Cues::default();
        let moved = |motion, residual| Cues { motion: Some(motion), residual: Some(residual), ..nothing };
        let along = |motion, along| Cues { motion: Some(motion), along: Some(along), ..nothing };
        let peak = |peak| Cues { peak: Some(peak), ..nothing };
        let odds = |odds| Cues { patterns: Some(odds), ..nothing };
        let network = |p| Cues { network: Some(p), ..nothing };
        for (cue, cues, expected) in [
            // 1.5 for each doubling of what a flat thing leaves over, which grows with the motion.
            (Cue::Planarity, moved(0.01, 0.0024), 0.0),
            (Cue::Planarity, moved(0.01, 0.0012), -1.5),
            (Cue::Planarity, moved(0.01, 0.0006), -2.0),
            (Cue::Planarity, moved(0.01, 0.0048), 1.5),
            (Cue::Planarity, moved(0.01, 0.0192), 1.5),
            (Cue::Planarity, moved(0.05, 0.004_082 * 1.2), 0.3946),
            // The neutral point moves from -0.62 to -0.75 while the motion grows from 0.01 to 0.04.
            (Cue::Background, along(0.005, -0.62), 0.0),
            (Cue::Background, along(0.01, -0.7), 0.32),
            (Cue::Background, along(0.025, -0.7), 0.06),
            (Cue::Background, along(0.04, -0.8), 0.2),
            (Cue::Background, along(0.09, -0.8), 0.2),
            (Cue::Background, along(0.01, -1.0), 0.8),
            (Cue::Background, along(0.01, 0.5), -2.0),
            (Cue::Moire, peak(1.62), 0.0),
            (Cue::Moire, peak(1.7), -0.4),
            (Cue::Moire, peak(1.2), 0.4),
            (Cue::Moire, peak(2.5), -3.0),
            (Cue::Lbp, odds(2.0), -0.1),
            (Cue::Lbp, odds(4.0), 0.4),
            (Cue::Lbp, odds(-6.0), -2.5),
            (Cue::Network, network(0.5), 0.0),
            (Cue::Network, network(0.3), -0.8473),
            (Cue::Network, network(0.8), 1.3863),
            (Cue::Network, network(1.0), 2.5),
            (Cue::Network, network(0.0), -2.5),
        ] {
            let evidence = Evidence::of([cues; 15].iter());
            assert!(close(evidence.get(cue), expected), "{cue:?} {cues:?}: {evidence:?}, not {expected}");
            let others = Cue::ALL.iter().filter(|other| **other != cue);
            assert!(others.into_iter().all(|other| evidence.get(*other).is_none()), "{evidence:?}");
        }
    }

    #[test]
    fn too_few_frames_and_hardly_any_motion_say_nothing() {
        let planar = |motion, frames| {
            let cues = Cues { motion: Some(motion), residual: Some(0.0024), ..Cues::default() };
            Evidence::of(vec![cues; frames].iter()).planarity.is_some()
        };
        assert_eq!([planar(0.01, 3), planar(0.01, 4)], [false, true]);
        assert_eq!([planar(0.0019, 15), planar(0.002, 15)], [false, true]);
        let network = |frames| {
            let cues = Cues { network: Some(0.5), ..Cues::default() };
            Evidence::of(vec![cues; frames].iter()).network.is_some()
        };
        assert_eq!([network(2), network(3)], [false, true]);
        // A third of the way up the sorted values, between two of them: -0.2 + 0.32 * 0.2.
        let residual = |exponent: f32| Some(0.0024 * exponent.exp2());
        let frames = [0.2, -0.4, 0.0, 0.4, -0.2].map(|exponent| Cues {
            motion: Some(0.01),
            residual: residual(exponent),
            ..Cues::default()
        });
        assert!(close(Evidence::of(frames.iter()).planarity, 1.5 * -0.136));
        // The mean of the others.
        let frames = [0.5, 0.5, 0.8].map(|p| Cues { network: Some(p), ..Cues::default() });
        assert!(close(Evidence::of(frames.iter()).network, 1.3863 / 3.0));
    }

    #[test]
    fn a_still_picture_has_no_motion() {
        let still = Evidence::of_still(&ALIVE);
        assert_eq!((still.planarity, still.background), (None, None));
        assert!(still.moire.is_some() && still.lbp.is_some() && still.network.is_some());
    }

    #[test]
    fn the_verdict_at_its_limits() {
        let rules = LivenessRules { live: 2.0, spoof: -1.0, veto: -0.5, ..LivenessRules::default() };
        let evidence = |planarity, network| Evidence { planarity, network, ..Evidence::default() };
        for (evidence, verdict) in [
            (evidence(Some(1.0), Some(1.0)), Liveness::Live { evidence: 2.0 }),
            (evidence(Some(1.0), Some(0.75)), Liveness::NotSure { evidence: 1.75 }),
            (evidence(Some(0.0), Some(2.0)), Liveness::Live { evidence: 2.0 }),
            (evidence(Some(-0.25), Some(2.25)), Liveness::NotSure { evidence: 2.0 }),
            (evidence(None, Some(2.5)), Liveness::NotSure { evidence: 2.5 }),
            (evidence(Some(-1.0), None), Liveness::Spoof { evidence: -1.0 }),
            (evidence(Some(-0.75), None), Liveness::NotSure { evidence: -0.75 }),
            (evidence(None, None), Liveness::NotSure { evidence: 0.0 }),
        ] {
            assert_eq!(evidence.judge(&rules), verdict, "{evidence:?}");
        }
        // A cue below the veto, whatever the others say; the patterns have none.
        let with = |moire, lbp| Evidence { moire, lbp, ..evidence(Some(1.5), Some(2.5)) };
        for (evidence, unopposed) in [
            (with(Some(-0.5), None), true),
            (with(Some(-0.625), None), false),
            (with(None, Some(-0.625)), true),
            (evidence(Some(0.0), Some(-0.5)), true),
            (evidence(Some(-0.125), Some(2.0)), false),
            (evidence(None, Some(2.0)), false),
        ] {
            assert_eq!(evidence.is_unopposed(&rules), unopposed, "{evidence:?}");
        }
        // Whoever does not count has no veto, and depth is not asked for where it does not count.
        let rules = LivenessRules { cues: CueSet::of(|cue| cue == Cue::Network), ..rules };
        assert!(evidence(Some(-2.0), Some(2.0)).is_unopposed(&rules));
        assert!(evidence(None, Some(2.0)).is_unopposed(&rules));
        assert!(!evidence(None, Some(-0.625)).is_unopposed(&rules));
        // Nothing that counts was measured: no verdict, even where the limits would have one.
        for (live, spoof) in [(0.0, -1.0), (1.0, 0.0)] {
            let rules = LivenessRules { live, spoof, ..rules };
            let verdict = evidence(Some(1.0), None).judge(&rules);
            assert_eq!(verdict, Liveness::NotSure { evidence: 0.0 });
        }
    }
}

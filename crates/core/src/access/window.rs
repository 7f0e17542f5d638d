//! The 15-frame rule: a decision on the latest frames of ONE tracked face.
//!
//! The reference system keeps a queue of the 15 latest similarities, cleared when no face is seen, and
//! compares their mean with a threshold. A door needs more: the frames must belong to one tracked
//! face, lie close together in time, and be judged per candidate subject (a mean of the best score
//! of each frame would mix people).
//!
//! A stranger before a gallery of n people has n chances to be like somebody. [`WindowRules::required`]
//! raises the threshold with n so that the rate of false accepts per attempt stays what it is for one
//! person: where each tenfold of the raise divides the rate for one subject by ten, `n` subjects at a rate
//! of 1/n of the target give the target at most (Boole's inequality, whatever the subjects have in
//! common). And the best subject must lead the second-best one clearly: a face as much like Ada as like
//! Eve is neither.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::quality::QualityIssue;
use crate::ids::{Likeness, Score, SubjectId, TrackId};
use crate::liveness::{Cues, Evidence};
use crate::time::Timestamp;

/// The numbers of the rule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowRules {
    /// Frames in a full window, at least 1. The reference's 15.
    pub frames: usize,
    /// Mean similarity (1 - distance) from which the subject of a gallery of one is identified.
    pub threshold: f32,
    /// Added to the threshold for each tenfold number of subjects, at least 0.
    pub gallery_raise: f32,
    /// Least lead of the best subject's mean over the second-best one's, at least 0.
    pub margin: f32,
    /// Longest time between two frames of a window.
    pub max_gap: Duration,
    /// Longest time from the first to the last frame of a full window.
    pub max_age: Duration,
}

impl WindowRules {
    /// The mean similarity that identifies one of this many subjects.
    pub fn required(&self, subjects: usize) -> f32 {
        self.threshold + self.raise(subjects)
    }

    /// What this many subjects add to the threshold.
    pub fn raise(&self, subjects: usize) -> f32 {
        (f64::from(self.gallery_raise.max(0.0)) * (subjects.max(1) as f64).log10()) as f32
    }
}

/// What a window says of the face in front of the camera.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// Too few frames yet.
    Undecided {
        /// Frames collected.
        collected: usize,
    },
    /// A full window, its best subject at or above the threshold.
    Identified {
        /// Who.
        subject: SubjectId,
        /// Mean similarity over the window.
        mean_similarity: f32,
    },
    /// A full window, and more than one subject at the threshold with no clear lead.
    Ambiguous {
        /// The best.
        best: Score,
        /// The second-best.
        second: Score,
    },
    /// A full window, everybody below the threshold.
    Unknown {
        /// The best mean over the window, `None` for an empty gallery.
        best_mean: Option<f32>,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    captured: Timestamp,
    likeness: Likeness,
    unusable: Option<QualityIssue>,
    cues: Cues,
}

/// A subject's mean over a window, or what it is at most.
#[derive(Clone, Copy)]
struct Mean {
    score: Score,
    /// Every frame has the subject's score; where one has not, the mean is what it can be at most.
    exact: bool,
}

/// Frames before the window's own whose liveness still counts: motion is remembered for a while.
const MAX_EARLIER_FRAMES: usize = 15;

/// One face seen without a break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Its track.
    pub track: TrackId,
    /// When its first frame was captured.
    pub since: Timestamp,
}

/// The latest frames of one tracked face.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    rules: WindowRules,
    track: Option<TrackId>,
    /// When the first frame was captured since the window was last empty.
    since: Option<Timestamp>,
    entries: VecDeque<Entry>,
    /// Of the same track, before those.
    earlier: VecDeque<Entry>,
}

impl Window {
    /// An empty window.
    pub fn new(rules: WindowRules) -> Self {
        Window { rules, track: None, since: None, entries: VecDeque::new(), earlier: VecDeque::new() }
    }

    /// The numbers of the rule.
    pub fn rules(&self) -> &WindowRules {
        &self.rules
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.track = None;
        self.since = None;
        self.entries.clear();
        self.earlier.clear();
    }

    /// True when nothing is collected.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Frames collected, at most the rule's number.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// When the latest frame was captured.
    pub fn latest(&self) -> Option<Timestamp> {
        self.entries.back().map(|last| last.captured)
    }

    /// What the frames collected have in common: the track, and when it was first seen without a break.
    /// Another value is another face, or a gap.
    pub fn run(&self) -> Option<Run> {
        Some(Run { track: self.track?, since: self.since? })
    }

    /// How much the latest frame is like this subject, where it says so.
    pub fn latest_likeness(&self, subject: SubjectId) -> Option<f32> {
        let scores = &self.entries.back()?.likeness.scores;
        scores.iter().find(|score| score.subject == subject).map(|score| score.similarity)
    }

    /// The subject's mean similarity over the frames collected; one in which the subject has no score counts
    /// as 0.
    pub fn mean_of(&self, subject: SubjectId) -> f32 {
        let own = |entry: &Entry| {
            let score = entry.likeness.scores.iter().find(|score| score.subject == subject);
            score.map_or(0.0, |score| f64::from(score.similarity))
        };
        (self.entries.iter().map(own).sum::<f64>() / self.entries.len().max(1) as f64) as f32
    }

    /// The first flaw of a picture among the frames collected.
    pub fn unusable(&self) -> Option<QualityIssue> {
        self.entries.iter().find_map(|entry| entry.unusable)
    }

    /// What the frames collected, and those of the track shortly before, say of liveness.
    ///
    /// With a subject, only frames that look like that person count, at half the threshold at
    /// least: what a living stranger's face did says nothing of the photograph that is held up next.
    pub fn evidence(&self, subject: Option<SubjectId>) -> Evidence {
        let alike = |entry: &&Entry| {
            subject.is_none_or(|subject| {
                let own = entry.likeness.scores.iter().find(|score| score.subject == subject);
                own.is_some_and(|own| own.similarity >= self.rules.threshold / 2.0)
            })
        };
        let frames: Vec<&Cues> =
            self.earlier.iter().chain(&self.entries).filter(alike).map(|entry| &entry.cues).collect();
        Evidence::of(frames.into_iter())
    }

    /// Adds a frame and returns what the window says now.
    ///
    /// A frame of another track, a frame no later than the last one, or one that comes after too long
    /// a gap starts a new window. Frames that would make the window older than its maximum age push
    /// out the oldest.
    pub fn push(
        &mut self,
        track: TrackId,
        captured: Timestamp,
        likeness: impl Into<Likeness>,
        unusable: Option<QualityIssue>,
        cues: Cues,
    ) -> Verdict {
        if !self.continues(track, captured) {
            self.clear();
        }
        self.track = Some(track);
        self.since.get_or_insert(captured);
        self.entries.push_back(Entry { captured, likeness: likeness.into(), unusable, cues });
        while self.entries.len() > self.rules.frames.max(1)
            || self.entries.front().is_some_and(|first| captured.since(first.captured) > self.rules.max_age)
        {
            self.earlier.extend(self.entries.pop_front());
        }
        let old = |entry: &Entry| captured.since(entry.captured) > 2 * self.rules.max_age;
        while self.earlier.len() > MAX_EARLIER_FRAMES || self.earlier.front().is_some_and(old) {
            self.earlier.pop_front();
        }
        self.verdict()
    }

    fn continues(&self, track: TrackId, captured: Timestamp) -> bool {
        self.track == Some(track)
            && self.entries.back().is_some_and(|last| {
                captured > last.captured && captured.since(last.captured) <= self.rules.max_gap
            })
    }

    /// What the frames collected so far say.
    pub fn verdict(&self) -> Verdict {
        if self.entries.len() < self.rules.frames.max(1) {
            return Verdict::Undecided { collected: self.entries.len() };
        }
        let subjects = self.entries.back().map_or(0, |latest| latest.likeness.subjects());
        let (best, second) = self.leaders();
        match best {
            Some(best) if best.score.similarity >= self.rules.required(subjects) => {
                let rival = second.map(|second| second.score);
                let nearest = rival.map(|rival| rival.similarity).into_iter().chain(self.others_at_most());
                let lead = best.score.similarity - nearest.fold(f32::NEG_INFINITY, f32::max);
                if !best.exact {
                    // The coming frames will have the subject's scores.
                    Verdict::Undecided { collected: self.entries.len() }
                } else if lead < self.rules.margin {
                    Verdict::Ambiguous { best: best.score, second: rival.unwrap_or(best.score) }
                } else {
                    let Score { subject, similarity } = best.score;
                    Verdict::Identified { subject, mean_similarity: similarity }
                }
            }
            best => Verdict::Unknown { best_mean: best.map(|best| best.score.similarity) },
        }
    }

    /// The two subjects with the highest mean similarity over the frames collected so far.
    ///
    /// Only finite means count, and only subjects scored in EVERY frame, but in a large gallery
    /// ([`Likeness::others`]): there, a score that is missing is counted as high as it can be.
    pub fn best_means(&self) -> (Option<Score>, Option<Score>) {
        let (best, second) = self.leaders();
        (best.map(|best| best.score), second.map(|second| second.score))
    }

    fn leaders(&self) -> (Option<Mean>, Option<Mean>) {
        let (mut best, mut second) = (None, None);
        // Ties go to the lower id, so that a replay never depends on the order of the gallery.
        let beats = |a: &Mean, b: &Option<Mean>| {
            b.is_none_or(|b| {
                let (a, b) = (a.score, b.score);
                a.similarity.total_cmp(&b.similarity).then(b.subject.cmp(&a.subject)).is_gt()
            })
        };
        for mean in self.means() {
            if beats(&mean, &best) {
                second = best.replace(mean);
            } else if beats(&mean, &second) {
                second = Some(mean);
            }
        }
        (best, second)
    }

    fn means(&self) -> impl Iterator<Item = Mean> {
        let latest = self.entries.back().map_or(&[][..], |entry| entry.likeness.scores.as_slice());
        let frames = self.entries.len() as f64;
        latest.iter().enumerate().filter_map(move |(at, candidate)| {
            let (mut sum, mut exact) = (0.0, true);
            for Entry { likeness, .. } in &self.entries {
                // Scores mostly come in the order of the gallery: no search then.
                let same = |s: &&Score| s.subject == candidate.subject;
                let scores = &likeness.scores;
                let similarity = match scores.get(at).filter(same).or_else(|| scores.iter().find(same)) {
                    Some(score) => score.similarity,
                    None => {
                        exact = false;
                        likeness.others?.at_most
                    }
                };
                sum += f64::from(similarity);
            }
            let score = Score { subject: candidate.subject, similarity: (sum / frames) as f32 };
            score.similarity.is_finite().then_some(Mean { score, exact })
        })
    }

    /// What the mean of a subject that no frame lists is at most, where there are such subjects.
    fn others_at_most(&self) -> Option<f32> {
        let sum: Option<f64> = self
            .entries
            .iter()
            .map(|entry| entry.likeness.others.map(|others| f64::from(others.at_most)))
            .sum();
        Some((sum? / self.entries.len() as f64) as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Others;

    const RULES: WindowRules = WindowRules {
        frames: 3,
        threshold: 0.3,
        gallery_raise: 0.0,
        margin: 0.0,
        max_gap: Duration::from_millis(500),
        max_age: Duration::from_millis(900),
    };

    fn scores(values: &[(u32, f32)]) -> Vec<Score> {
        values.iter().map(|&(s, similarity)| Score { subject: SubjectId(s), similarity }).collect()
    }

    fn run(frames: &[(u64, u64, f32)]) -> Verdict {
        let mut window = Window::new(RULES);
        for &(track, ms, s) in frames {
            let _ = window.push(
                TrackId(track),
                Timestamp::from_millis(ms),
                scores(&[(7, s)]),
                None,
                Cues::default(),
            );
        }
        window.verdict()
    }

    #[test]
    fn table() {
        let identified = |m| Verdict::Identified { subject: SubjectId(7), mean_similarity: m };
        let unknown = |m| Verdict::Unknown { best_mean: Some(m) };
        let undecided = |collected| Verdict::Undecided { collected };
        for (name, frames, expected) in [
            ("two frames are too few", &[(1, 0, 0.9), (1, 50, 0.9)][..], undecided(2)),
            ("mean at the threshold", &[(1, 0, 0.3), (1, 50, 0.3), (1, 100, 0.3)], identified(0.3)),
            ("mean below it", &[(1, 0, 0.5), (1, 50, 0.25), (1, 100, 0.0)], unknown(0.25)),
            ("the latest three", &[(1, 0, -1.0), (1, 50, 0.5), (1, 90, 0.5), (1, 99, 0.5)], identified(0.5)),
            ("another track restarts it", &[(1, 0, 0.9), (1, 50, 0.9), (2, 100, 0.9)], undecided(1)),
            ("a gap restarts it", &[(1, 0, 0.9), (1, 50, 0.9), (1, 551, 0.9)], undecided(1)),
            ("a repeated frame restarts it", &[(1, 0, 0.9), (1, 50, 0.9), (1, 50, 0.9)], undecided(1)),
            ("as old as it may be", &[(1, 0, 0.9), (1, 450, 0.9), (1, 900, 0.9)], identified(0.9)),
            ("too old to be full", &[(1, 0, 0.9), (1, 450, 0.9), (1, 901, 0.9)], undecided(2)),
        ] {
            assert_eq!(run(frames), expected, "{name}");
        }
    }

    #[test]
    fn means_are_per_subject_and_not_per_best_frame() {
        let mut window = Window::new(RULES);
        for (ms, a, b) in [(0, 0.6, 0.0), (50, 0.0, 0.6), (100, 0.2, 0.2)] {
            let _ = window.push(
                TrackId(1),
                Timestamp::from_millis(ms),
                scores(&[(1, a), (2, b)]),
                None,
                Cues::default(),
            );
        }
        let Verdict::Unknown { best_mean: Some(mean) } = window.verdict() else {
            panic!("{:?}", window.verdict());
        };
        assert!((mean - 0.8 / 3.0).abs() < 1e-6);
        let (best, second) = window.best_means();
        assert_eq!(best.map(|s| s.subject), Some(SubjectId(1)), "ties go to the lower id");
        assert_eq!(second.map(|s| s.subject), Some(SubjectId(2)));
    }

    #[test]
    fn the_lead_counts_and_so_does_the_size_of_the_gallery() {
        let rules = WindowRules { frames: 1, margin: 0.1, gallery_raise: 0.2, ..RULES };
        let verdict = |values: &[(u32, f32)]| {
            Window::new(rules).push(TrackId(1), Timestamp::ZERO, scores(values), None, Cues::default())
        };
        let alone = verdict(&[(1, 0.31)]);
        assert!(matches!(alone, Verdict::Identified { subject: SubjectId(1), .. }), "{alone:?}");
        // Two subjects: 0.3 + 0.2 * log10(2) = 0.3602.
        assert!(matches!(verdict(&[(1, 0.355), (2, -0.5)]), Verdict::Unknown { .. }));
        assert!(matches!(verdict(&[(1, 0.365), (2, -0.5)]), Verdict::Identified { .. }));
        assert!(matches!(verdict(&[(1, 0.80), (2, 0.71)]), Verdict::Ambiguous { .. }));
        assert!(matches!(verdict(&[(1, 0.80), (2, 0.69)]), Verdict::Identified { .. }));
        assert!(matches!(verdict(&[(1, 0.35), (2, 0.34)]), Verdict::Unknown { .. }), "below it, no doubt");
        // Ten: 0.5. Subjects without a score count as well.
        let ten = |best| (0..10).map(|n| (n, if n == 7 { best } else { f32::NAN })).collect::<Vec<_>>();
        assert!(matches!(verdict(&ten(0.49)), Verdict::Unknown { .. }));
        assert!(matches!(verdict(&ten(0.51)), Verdict::Identified { subject: SubjectId(7), .. }));
    }

    #[test]
    fn a_score_that_is_no_number_identifies_nobody() {
        for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let verdict = run(&[(1, 0, 0.9), (1, 50, odd), (1, 100, 0.9)]);
            assert_eq!(verdict, Verdict::Unknown { best_mean: None });
        }
    }

    #[test]
    fn a_subject_missing_in_one_frame_is_not_identified() {
        let mut window = Window::new(RULES);
        let _ =
            window.push(TrackId(1), Timestamp::from_millis(0), scores(&[(1, 0.9)]), None, Cues::default());
        let _ = window.push(TrackId(1), Timestamp::from_millis(50), scores(&[]), None, Cues::default());
        let verdict =
            window.push(TrackId(1), Timestamp::from_millis(100), scores(&[(1, 0.9)]), None, Cues::default());
        assert_eq!(verdict, Verdict::Unknown { best_mean: None });
    }

    /// What a window of three frames says: the scores of each, and what everybody else's is at most.
    fn of_a_large_gallery(frames: [(&[(u32, f32)], f32); 3]) -> Verdict {
        let mut window = Window::new(WindowRules { margin: 0.1, gallery_raise: 0.05, ..RULES });
        for ((listed, at_most), ms) in frames.into_iter().zip([0, 50, 100]) {
            let count = 10_000 - listed.len() as u32;
            let likeness = Likeness { scores: scores(listed), others: Some(Others { count, at_most }) };
            let _ = window.push(TrackId(1), Timestamp::from_millis(ms), likeness, None, Cues::default());
        }
        window.verdict()
    }

    #[test]
    fn who_is_not_listed_counts_as_high_as_can_be() {
        // Ten thousand subjects: 0.3 + 0.05 * log10(10,000) = 0.5.
        let ada = &[(1, 0.7f32), (2, 0.2)][..];
        let identified = of_a_large_gallery([(ada, 0.1); 3]);
        assert!(matches!(identified, Verdict::Identified { subject: SubjectId(1), .. }), "{identified:?}");
        let too_few = of_a_large_gallery([(&[(1, 0.45)], 0.1); 3]);
        assert!(matches!(too_few, Verdict::Unknown { .. }), "the whole gallery counts: {too_few:?}");
        let late = of_a_large_gallery([(&[(2, 0.2)], 0.15), (ada, 0.1), (ada, 0.1)]);
        assert_eq!(late, Verdict::Undecided { collected: 3 }, "0.7, 0.7 and at most 0.15");
        let eve = &[(1, 0.7f32), (2, 0.7)][..];
        let rival = of_a_large_gallery([(&[(1, 0.7)], 0.5), (eve, 0.3), (eve, 0.3)]);
        assert!(matches!(rival, Verdict::Ambiguous { .. }), "the other's mean may be 0.63: {rival:?}");
        let unlisted = of_a_large_gallery([(&[(1, 0.7)], 0.65); 3]);
        assert!(matches!(unlisted, Verdict::Ambiguous { .. }), "somebody's mean may be 0.65: {unlisted:?}");
    }

    #[test]
    fn an_empty_gallery_is_unknown() {
        let mut window = Window::new(WindowRules { frames: 1, ..RULES });
        let verdict = window.push(TrackId(1), Timestamp::ZERO, vec![], None, Cues::default());
        assert_eq!(verdict, Verdict::Unknown { best_mean: None });
    }
    /// A window of the same face every 100 ms, so much like subject 7 in each frame, of which the network says this.
    fn filled(frames: &[(f32, f32)]) -> Window {
        let mut window = Window::new(RULES);
        for (&(similarity, network), ms) in frames.iter().zip((0..).step_by(100)) {
            let cues = Cues { network: Some(network), ..Cues::default() };
            let at = Timestamp::from_millis(ms);
            let _ = window.push(TrackId(1), at, scores(&[(7, similarity)]), None, cues);
        }
        window
    }

    #[test]
    fn liveness_is_asked_of_frames_that_look_like_the_subject() {
        let says = |window: &Window, subject: Option<u32>| window.evidence(subject.map(SubjectId)).network;
        // A living stranger's frames between those of a photograph of subject 7: half the threshold is the limit.
        let mixed = filled(&[(0.15, 0.2), (0.149, 0.98), (0.6, 0.2), (0.1, 0.98), (0.6, 0.2)]);
        assert!(says(&mixed, Some(7)).is_some_and(|evidence| (evidence + 1.3863).abs() < 1e-3));
        assert!(says(&mixed, None).is_some_and(|evidence| evidence > 0.0));
        assert_eq!(says(&mixed, Some(8)), None, "nobody like that was seen");
        // Fifteen frames before the window's own count as well.
        for (later, counts) in [(17, true), (18, false)] {
            let mut frames = vec![(0.6, 0.98)];
            frames.extend(vec![(0.6, 0.2); later]);
            assert_eq!(says(&filled(&frames), Some(7)).is_some_and(|evidence| evidence > -1.38), counts);
        }
        // No older than two windows may be.
        let mut window = Window::new(RULES);
        for (at, network) in [(0, 0.98), (450, 0.2), (900, 0.2), (1_350, 0.2), (1_800, 0.2)] {
            let cues = Cues { network: Some(network), ..Cues::default() };
            let at = Timestamp::from_millis(at);
            let _ = window.push(TrackId(1), at, scores(&[(7, 0.6)]), None, cues);
        }
        assert!(says(&window, Some(7)).is_some_and(|evidence| evidence > -0.5), "1.8 s old, and counts");
        let cues = Cues { network: Some(0.2), ..Cues::default() };
        let _ = window.push(TrackId(1), Timestamp::from_millis(1_801), scores(&[(7, 0.6)]), None, cues);
        assert!(says(&window, Some(7)).is_some_and(|evidence| evidence < -1.38), "too old");
    }

    #[test]
    fn what_the_frames_say_of_one_subject() {
        let mut window = filled(&[(0.6, 0.5), (0.3, 0.5), (0.0, 0.5)]);
        assert_eq!(window.latest_likeness(SubjectId(7)), Some(0.0));
        assert_eq!(window.latest_likeness(SubjectId(8)), None);
        assert!((window.mean_of(SubjectId(7)) - 0.3).abs() < 1e-6);
        assert_eq!((window.mean_of(SubjectId(8)), window.unusable()), (0.0, None));
        assert_eq!((window.len(), window.is_empty(), window.rules()), (3, false, &RULES));
        let (since, latest) = (Timestamp::ZERO, Timestamp::from_millis(200));
        assert_eq!((window.run(), window.latest()), (Some(Run { track: TrackId(1), since }), Some(latest)));
        let dark = Some(QualityIssue::TooDark);
        let at = Timestamp::from_millis(300);
        let _ = window.push(TrackId(1), at, scores(&[(7, 0.9)]), dark, Cues::default());
        assert_eq!((window.unusable(), window.run().map(|run| run.since)), (dark, Some(since)));
        window.clear();
        assert_eq!((window.len(), window.is_empty(), window.run(), window.latest()), (0, true, None, None));
        assert_eq!((window.latest_likeness(SubjectId(7)), window.mean_of(SubjectId(7))), (None, 0.0));
        assert_eq!(window.best_means(), (None, None));
    }
}

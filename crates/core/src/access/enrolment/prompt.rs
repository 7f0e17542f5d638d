//! What a person being enrolled is told: the countdown, or what to do better. Frames differ from one another, but
//! the words must not flicker, so the frames of about a second decide together.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::words::{EnrolNotice, EnrolWait};
use crate::time::Timestamp;

/// The shortest time that a prompt stays; the first one stays for half of it. It is also the time over which frames
/// vote on the next prompt.
const MIN_PROMPT_TIME: Duration = Duration::from_secs(1);
/// The countdown continues as soon as most frames of this short time are fit.
const MIN_FIT_TIME: Duration = Duration::from_millis(400);
/// Advice that still holds is repeated after this long: nobody waits in front of a silent door.
const REMIND_AFTER: Duration = Duration::from_secs(5);

/// Something to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Countdown,
    Wait(EnrolWait),
}

/// What a frame asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// Why it is of no use, if so.
    pub wait: Option<EnrolWait>,
    /// Whole seconds left of the countdown, rounded up.
    pub seconds_left: u32,
    /// Whole seconds until the enrolment fails.
    pub until_end: u32,
}

/// Chooses the words.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Prompt {
    said: Option<Line>,
    /// From when on something else may be said.
    stays: Timestamp,
    /// When something was said last.
    spoken: Timestamp,
    /// The number that the countdown was said to be at.
    seconds: Option<u32>,
    /// What the latest frames asked for.
    asked: Vec<(Timestamp, Line)>,
    /// When the latest frame came.
    latest: Timestamp,
}

impl Prompt {
    /// Before the first frame; something is said already.
    pub fn new(now: Timestamp) -> Self {
        Prompt { spoken: now, latest: now, ..Prompt::default() }
    }

    /// When something is to be said again, whether or not frames come.
    pub fn due(&self) -> Timestamp {
        self.spoken + REMIND_AFTER
    }

    /// What to say when that time has come: what was said last, or that no frames come.
    pub fn remind(&mut self, now: Timestamp, seconds_left: u32) -> Option<EnrolNotice> {
        if now < self.due() {
            return None;
        }
        self.spoken = now;
        let wait = match self.said {
            Some(Line::Wait(wait)) if now.since(self.latest) < REMIND_AFTER / 2 => wait,
            _ => EnrolWait::Picture,
        };
        Some(EnrolNotice::StillWaiting { wait, seconds_left })
    }

    /// True while the countdown is what is said.
    pub fn is_counting(&self) -> bool {
        matches!(self.said, Some(Line::Countdown | Line::Wait(EnrolWait::More)))
    }

    /// What most of the latest frames ask for; of equals what is said already.
    fn most(&self, now: Timestamp) -> Option<Line> {
        let (mut fit, mut all) = (0, 0);
        for (_, line) in self.asked.iter().filter(|(at, _)| now.since(*at) <= MIN_FIT_TIME) {
            fit += usize::from(*line == Line::Countdown);
            all += 1;
        }
        if 2 * fit > all {
            return Some(Line::Countdown);
        }
        let count = |line: &Line| self.asked.iter().filter(|(_, other)| other == line).count();
        let lines = self.asked.iter().map(|(_, line)| *line);
        lines.max_by_key(|line| (count(line), Some(*line) == self.said))
    }

    /// Takes a frame, and tells what to say.
    pub fn on_frame(&mut self, now: Timestamp, asked: Asked) -> Option<EnrolNotice> {
        let line = match asked.wait {
            Some(wait) => Line::Wait(wait),
            None if asked.seconds_left == 0 => Line::Wait(EnrolWait::More),
            None => Line::Countdown,
        };
        self.latest = now;
        self.asked.retain(|(at, _)| now.since(*at) <= MIN_PROMPT_TIME);
        self.asked.push((now, line));
        if self.said.is_none() || now >= self.stays {
            let most = self.most(now);
            if most != self.said {
                self.stays = now + if self.said.is_none() { MIN_PROMPT_TIME / 2 } else { MIN_PROMPT_TIME };
                self.said = most;
                self.seconds = None;
                self.spoken = now;
                if let Some(Line::Wait(wait)) = most {
                    return Some(EnrolNotice::Waiting(wait));
                }
            }
        }
        match self.said {
            Some(Line::Countdown) if line == Line::Countdown && self.seconds != Some(asked.seconds_left) => {
                self.seconds = Some(asked.seconds_left);
                self.spoken = now;
                Some(EnrolNotice::Countdown { seconds_left: asked.seconds_left })
            }
            _ => self.remind(now, asked.until_end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::quality::QualityIssue;

    /// What is said of frames 100 ms apart.
    fn said(frames: impl IntoIterator<Item = (Option<EnrolWait>, u32)>) -> Vec<(u64, EnrolNotice)> {
        let mut prompt = Prompt::new(Timestamp::from_millis(900));
        let times = (1_000..).step_by(100);
        let told = times.zip(frames).filter_map(|(ms, (wait, seconds_left))| {
            let asked = Asked { wait, seconds_left, until_end: (60_000 - ms as u32) / 1_000 };
            Some((ms, prompt.on_frame(Timestamp::from_millis(ms), asked)?))
        });
        told.collect()
    }

    const STILL: Option<EnrolWait> = Some(EnrolWait::Better(QualityIssue::Blurred));

    #[test]
    fn frames_that_differ_from_one_another_do_not_flicker() {
        // Every third frame is blurred: the countdown continues, with no advice against it.
        let told = said((0..50).map(|n| (STILL.filter(|_| n % 3 == 2), 5 - n / 10)));
        let countdown = |(_, event): &(u64, EnrolNotice)| matches!(event, EnrolNotice::Countdown { .. });
        assert!(told.iter().all(countdown) && told.len() == 5, "{told:?}");
        // Two of three are: that is said, and no countdown against it; once, and again when it goes on.
        let told = said((0..70).map(|n| (STILL.filter(|_| n % 3 != 2), 5)));
        let events: Vec<EnrolNotice> = told.iter().map(|(_, event)| *event).collect();
        let wait = EnrolWait::Better(QualityIssue::Blurred);
        let again = EnrolNotice::StillWaiting { wait, seconds_left: 54 };
        assert_eq!(events, [EnrolNotice::Waiting(wait), again]);
    }

    #[test]
    fn what_is_said_stays_for_a_while_and_nobody_waits_in_silence() {
        let mut frames: Vec<(Option<EnrolWait>, u32)> = vec![(None, 5); 3];
        frames.extend(vec![(Some(EnrolWait::Face), 5); 130]);
        frames.extend(vec![(None, 5); 20]);
        let told = said(frames);
        let times: Vec<u64> = told.iter().map(|(ms, _)| *ms).collect();
        assert!(times.windows(2).all(|pair| (500..=5_000).contains(&(pair[1] - pair[0]))), "{told:?}");
        assert_eq!(told[0].1, EnrolNotice::Countdown { seconds_left: 5 });
        assert_eq!(told[1], (1_600, EnrolNotice::Waiting(EnrolWait::Face)));
        assert_eq!(told[2], (6_600, EnrolNotice::StillWaiting { wait: EnrolWait::Face, seconds_left: 53 }));
        assert_eq!(*told.last().unwrap(), (14_500, EnrolNotice::Countdown { seconds_left: 5 }));
    }

    #[test]
    fn without_frames_that_is_said() {
        let mut prompt = Prompt::new(Timestamp::from_millis(1_000));
        assert_eq!(prompt.due(), Timestamp::from_millis(6_000));
        assert_eq!(prompt.remind(Timestamp::from_millis(5_999), 55), None);
        let wait = EnrolWait::Picture;
        let said = prompt.remind(Timestamp::from_millis(6_000), 55);
        assert_eq!(said, Some(EnrolNotice::StillWaiting { wait, seconds_left: 55 }));
        assert_eq!(prompt.due(), Timestamp::from_millis(11_000));
    }

    #[test]
    fn a_countdown_that_is_over_asks_for_what_is_missing() {
        let told = said((0..30).map(|n| (None, u32::from(n < 10))));
        assert_eq!(told[0].1, EnrolNotice::Countdown { seconds_left: 1 });
        assert_eq!(told[1].1, EnrolNotice::Waiting(EnrolWait::More));
        assert_eq!(told.len(), 2);
    }
}

//! `[enrolment]`

use std::time::Duration;

use super::Config;
use super::table::{Fault, section};
use crate::access::{ButtonPolicy, ButtonRules, EnrolmentRules};
use crate::vision::{QualityRules, VisionRules};

section! {
    /// How people are enrolled.
    [enrolment] EnrolmentConfig;

    /// One face must be in view for this long in all.
    countdown_ms: u64 = 5_000, range 100 to 60_000 ms;
    /// Frames that make the templates.
    frames: u32 = 15, range 1 to 100;
    /// Most templates made from them, for different poses and light.
    templates: u32 = 3, range 1 to 10;
    /// An enrolment that has not ended fails after this long. Must be longer than countdown_ms.
    timeout_ms: u64 = 60_000, range 1 to 600_000 ms;
    /// Smallest face that can be enrolled.
    min_face: i32 = 80, range 24 to 4_096 px;
    /// Lowest mean gray value of a usable face.
    luma_min: u8 = 40, range 0 to 255, old darkest;
    /// Highest mean gray value of a usable face.
    luma_max: u8 = 225, range 0 to 255, old brightest;
    /// Lowest standard deviation of its gray values.
    min_contrast: f32 = 12.0, range 0.0 to 100.0;
    /// Lowest sharpness; 0 accepts any blur.
    min_sharpness: f32 = 0.27, range 0.0 to 2.0;
    /// How much more frontal than turned the face must be; -1000 accepts any pose.
    min_frontality: i32 = 20, range -1000 to 1000;
    /// Anyone who enrols by button can open the door from then on. "authorised": the button works once after
    /// `facelatch enrol --allow-button` or after an administrator's face was identified, and while
    /// lines.enrol_key is closed. "anyone": whoever can press it can enrol anybody. "nobody": it never works.
    button: ButtonPolicy = ButtonPolicy::Authorised;
    /// How long an administrator's face lets the button work; also the longest `facelatch enrol --allow-button`.
    button_window_s: u64 = 60, range 5 to 3_600 s;
    /// Names of people whose face lets the button work.
    administrators: Vec<String> = Vec::new();
}

impl EnrolmentConfig {
    pub(super) fn check_time_and_luma(&self) -> Result<(), Fault> {
        if self.timeout_ms <= self.countdown_ms {
            let problem = "must be longer than enrolment.countdown_ms";
            return Err(Fault::new("enrolment.timeout_ms", self.timeout_ms, problem));
        }
        if self.luma_min >= self.luma_max {
            return Err(Fault::new("enrolment.luma_min", self.luma_min, "must be below enrolment.luma_max"));
        }
        Ok(())
    }

    /// `max_gap` is the longest gap between two frames of a window.
    pub(super) fn rules(&self, max_gap: Duration) -> EnrolmentRules {
        EnrolmentRules {
            countdown: Duration::from_millis(self.countdown_ms),
            frames: self.frames,
            templates: self.templates,
            timeout: Duration::from_millis(self.timeout_ms),
            max_gap,
            // Never less than the gap that still counts.
            restart_after: max_gap.max(Duration::from_secs(2)),
        }
    }

    pub(super) fn button_rules(&self) -> ButtonRules {
        ButtonRules { policy: self.button, window: Duration::from_secs(self.button_window_s) }
    }

    fn quality(&self) -> QualityRules {
        QualityRules {
            min_width: self.min_face,
            darkest: self.luma_min,
            brightest: self.luma_max,
            min_contrast: self.min_contrast,
            min_sharpness: self.min_sharpness,
            min_frontality: self.min_frontality,
        }
    }
}

impl Config {
    /// The rules of vision.
    pub fn vision_rules(&self) -> VisionRules {
        VisionRules {
            search: self.detector.search(),
            tracking: self.tracking.rules(),
            quality: self.enrolment.quality(),
        }
    }
}

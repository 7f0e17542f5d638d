//! Vision: a frame becomes a sighting.
//!
//! Detect, track, crop, embed, compare. What goes on to the decision is the [`Sighting`], which holds
//! no biometric data; the embedding rides beside it for enrolment only.

mod pose;
mod quality;
mod tracker;

pub use pose::Pose;
pub use quality::{QualityRules, sharpness};
pub use tracker::{TrackRules, Tracker};

use crate::access::{Seen, Sighting, TrackId};
use crate::camera::Frame;
use crate::detect::{Detector, SearchParams, Searcher};
use crate::embed::{Embed, EmbedError, LivenessNetwork, Pixels, View};
use crate::liveness::{Cues, Watch, turn};
use crate::matching::{Embedding, Gallery, Matcher, Metric};
use crate::picture::Rect;

/// The numbers of vision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VisionRules {
    /// How and when faces are looked for.
    pub search: SearchParams,
    /// How one face is followed.
    pub tracking: TrackRules,
    /// What makes a face fit for enrolment.
    pub quality: QualityRules,
}

/// What was seen in a frame, with what the decision must not get.
#[derive(Clone, Debug)]
pub struct Observation {
    /// For the controller.
    pub sighting: Sighting,
    /// Every box found, for people to look at.
    pub faces: Vec<Rect>,
    /// The embedding of the only face, for enrolment.
    pub embedding: Option<Embedding>,
}

/// What a frame is looked at for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// Who it is.
    #[default]
    Identify,
    /// That, and whether the face is fit for enrolment: its pose is judged too.
    Enrol,
    /// Who it is, and whether the head turns or nods as it was asked to.
    Challenge,
}

/// A stage of vision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Looking for faces.
    Detect,
    /// Crop and network.
    Embed,
    /// Comparing with everybody.
    Compare,
}

/// What measures liveness.
struct Watcher {
    watch: Watch,
    network: Option<LivenessNetwork>,
    /// Frames looked at. Motion is measured in every second one, the picture in the two others of four:
    /// that bounds the cost.
    frames: u64,
    /// The face when it was asked to turn.
    asked: Option<(TrackId, turn::FaceView)>,
}

impl Watcher {
    fn look(
        &mut self,
        pixels: Pixels<'_>,
        face: Rect,
        track: TrackId,
        purpose: Purpose,
    ) -> Result<Cues, EmbedError> {
        let mut cues = self.measure(pixels, face, track)?;
        self.asked = self.asked.take().filter(|(asked, _)| *asked == track && purpose == Purpose::Challenge);
        match &self.asked {
            Some((_, view)) => {
                let turned = view.turned(pixels.view(), face);
                (cues.turn, cues.nod) = (turned.map(|t| t.turn), turned.map(|t| t.nod));
            }
            None if purpose == Purpose::Challenge => {
                self.asked = Some((track, turn::FaceView::new(pixels.view(), face)));
            }
            None => {}
        }
        Ok(cues)
    }

    fn measure(&mut self, pixels: Pixels<'_>, face: Rect, track: TrackId) -> Result<Cues, EmbedError> {
        let turn = self.frames % 4;
        self.frames += 1;
        match turn {
            0 => Ok(self.watch.measure_texture(pixels.view(), face, track.0)),
            2 => {
                self.watch.push(pixels.view(), face, track.0);
                let network = self.network.as_mut().map(|network| network.score(pixels, face));
                Ok(Cues { network: network.transpose()?, ..Cues::default() })
            }
            _ => Ok(self.watch.measure_motion(pixels.view(), face, track.0)),
        }
    }
}

/// Turns frames into observations, one after the other.
pub struct Vision {
    rules: VisionRules,
    searcher: Searcher,
    embedder: Box<dyn Embed + Send>,
    matcher: Matcher,
    tracker: Tracker,
    /// The track of the face compared last.
    track: Option<TrackId>,
    pose: Pose,
    liveness: Option<Watcher>,
    /// The view of the face embedded last.
    view: View,
}

impl Vision {
    /// Vision with this detector and embedder; `metric` is the one of the embedder's card.
    pub fn new(
        rules: VisionRules,
        detector: Detector,
        embedder: Box<dyn Embed + Send>,
        metric: Metric,
    ) -> Self {
        Vision {
            rules,
            searcher: Searcher::new(detector, rules.search),
            embedder,
            matcher: Matcher::new(metric),
            tracker: Tracker::new(rules.tracking),
            track: None,
            pose: Pose::default(),
            liveness: None,
            view: View::Mirrored,
        }
    }

    /// Measures liveness as well; with this network, or without its cue.
    #[must_use]
    pub fn watching(mut self, network: Option<LivenessNetwork>) -> Self {
        self.liveness = Some(Watcher { watch: Watch::new(), network, frames: 0, asked: None });
        self
    }

    /// Forgets the face followed: the next frames have nothing to do with those before.
    pub fn forget(&mut self) {
        self.tracker.lose();
        self.searcher.forget();
        if let Some(liveness) = &mut self.liveness {
            liveness.watch.forget();
            (liveness.frames, liveness.asked) = (0, None);
        }
        self.view = View::Mirrored;
    }

    /// Looks at a frame and compares its only face with the gallery.
    ///
    /// # Errors
    /// When the embedder fails.
    pub fn see(
        &mut self,
        frame: &Frame,
        gallery: &Gallery,
        purpose: Purpose,
    ) -> Result<Observation, EmbedError> {
        self.see_marked(frame, gallery, purpose, &mut |_| ())
    }

    /// As [`Vision::see`]; `mark` is told of each stage when it is done.
    ///
    /// # Errors
    /// As [`Vision::see`].
    pub fn see_marked(
        &mut self,
        frame: &Frame,
        gallery: &Gallery,
        purpose: Purpose,
        mark: &mut dyn FnMut(Stage),
    ) -> Result<Observation, EmbedError> {
        // While the scene is still, the faces are those of the frame scanned last. The probe is this
        // frame's all the same: sightings come at the camera's rate, and no score is used twice.
        self.searcher.search(frame.captured, frame.gray.view());
        mark(Stage::Detect);
        let faces = self.searcher.faces();
        let mut embedding = None;
        let seen = match faces {
            [] => Seen::NoFace,
            [face] => {
                let gray = frame.gray.view();
                let colour = frame.colour.as_ref().and_then(|rgb| Pixels::with_colour(gray, rgb).ok());
                // Every other frame is looked at mirrored: the mean of an attempt and the template of an
                // enrolment then rest on both views at the cost of one.
                self.view = match self.view {
                    View::Plain => View::Mirrored,
                    View::Mirrored => View::Plain,
                };
                let pixels = colour.unwrap_or(Pixels::gray(gray));
                let probe = self.embedder.embed_pixels(pixels, *face, self.view)?;
                mark(Stage::Embed);
                let track = self.tracker.follow(frame.captured, *face);
                if self.track.replace(track) != Some(track) {
                    self.matcher.forget();
                }
                let likeness = self.matcher.compare(gallery, &probe);
                mark(Stage::Compare);
                embedding = Some(probe);
                let cues = match &mut self.liveness {
                    Some(liveness) => liveness.look(pixels, *face, track, purpose)?,
                    None => Cues::default(),
                };
                Seen::Face {
                    track,
                    cues,
                    face: *face,
                    likeness,
                    unusable: self.rules.quality.judge(
                        gray,
                        *face,
                        (purpose == Purpose::Enrol).then_some(&mut self.pose),
                    ),
                }
            }
            several => {
                self.tracker.lose();
                Seen::SeveralFaces { count: several.len() as u32 }
            }
        };
        let light = match (&seen, purpose) {
            (Seen::NoFace, Purpose::Enrol) => self.rules.quality.light(frame.gray.view()),
            _ => None,
        };
        let sighting = Sighting {
            captured: frame.captured,
            sequence: frame.sequence,
            gallery_version: gallery.version(),
            seen,
            light,
        };
        Ok(Observation { sighting, faces: faces.to_vec(), embedding })
    }
}

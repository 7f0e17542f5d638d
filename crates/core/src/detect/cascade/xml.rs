//! OpenCV's XML cascades, in the formats of `opencv_traincascade` ("new") and of
//! `opencv_haartraining` ("old").

use std::borrow::Cow;
use std::str::FromStr;

use roxmltree::Node as Element;

use super::model::{Cascade, CascadeError, Feature, Node, Stage, Tree, WeightedRect};

/// The text of a cascade file. One that is not UTF-8 is read as Latin-1: the letters that differ stand in
/// comments (who trained it), which OpenCV does not look at either.
pub(super) fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => bytes.iter().copied().map(char::from).collect::<String>().into(),
    }
}

/// The text with its comments blanked, line ends kept: `--` and control characters in them are against
/// XML's rules, but OpenCV passes over them.
fn without_comments(text: &str) -> Cow<'_, str> {
    let (mut kept, mut rest) = (String::new(), text);
    while let Some((before, comment)) = rest.split_once("<!--") {
        // A comment without an end is left for the parser to complain of.
        let Some((comment, after)) = comment.split_once("-->") else { break };
        kept.push_str(before);
        kept.extend(comment.chars().filter(|c| *c == '\n'));
        rest = after;
    }
    if kept.is_empty() && rest.len() == text.len() {
        return text.into();
    }
    kept.push_str(rest);
    kept.into()
}

pub(super) fn parse(text: &str) -> Result<Cascade, CascadeError> {
    let text = without_comments(text.trim_start_matches('\u{feff}'));
    let document = roxmltree::Document::parse(&text).map_err(|e| CascadeError::Xml(e.to_string()))?;
    let storage = document.root_element();
    if storage.tag_name().name() != "opencv_storage" {
        return Err(CascadeError::Unsupported(format!(
            "the root element is <{}>, not <opencv_storage>",
            storage.tag_name().name()
        )));
    }
    let top = storage
        .children()
        .find(Element::is_element)
        .ok_or(CascadeError::Missing { place: "opencv_storage".into(), element: "cascade" })?;
    if top.attribute("type_id") == Some("opencv-haar-classifier") { parse_old(top) } else { parse_new(top) }
}

fn child<'a, 'i>(
    of: Element<'a, 'i>,
    element: &'static str,
    place: &dyn Fn() -> String,
) -> Result<Element<'a, 'i>, CascadeError> {
    optional(of, element).ok_or_else(|| CascadeError::Missing { place: place(), element })
}

fn optional<'a, 'i>(of: Element<'a, 'i>, element: &str) -> Option<Element<'a, 'i>> {
    of.children().find(|c| c.has_tag_name(element))
}

/// The `<_>` children: OpenCV's notation of a sequence of structures.
fn items<'a, 'i>(of: Element<'a, 'i>) -> impl Iterator<Item = Element<'a, 'i>> {
    of.children().filter(|c| c.has_tag_name("_"))
}

fn words<'a>(of: Element<'a, '_>) -> impl Iterator<Item = &'a str> {
    of.text().unwrap_or_default().split_ascii_whitespace()
}

fn number<T: FromStr>(word: Option<&str>, place: &dyn Fn() -> String) -> Result<T, CascadeError> {
    let word = word.ok_or_else(|| CascadeError::invalid(place(), "a number is missing"))?;
    word.parse().map_err(|_| CascadeError::invalid(place(), format!("`{word}` is not a usable number")))
}

/// A real number as OpenCV reads it: first f64, then rounded to f32.
fn real(word: Option<&str>, place: &dyn Fn() -> String) -> Result<f32, CascadeError> {
    Ok(number::<f64>(word, place)? as f32)
}

fn only<T: FromStr>(
    of: Element,
    element: &'static str,
    place: &dyn Fn() -> String,
) -> Result<T, CascadeError> {
    number(words(child(of, element, place)?).next(), place)
}

fn feature(of: Element, place: &dyn Fn() -> String) -> Result<Feature, CascadeError> {
    let mut rects = Vec::with_capacity(3);
    for item in items(child(of, "rects", place)?) {
        let mut w = words(item);
        let mut edge = || number(w.next(), place);
        let (x, y, width, height) = (edge()?, edge()?, edge()?, edge()?);
        let weight = real(w.next(), place)?;
        // A rectangle of weight 0 is a gap in the notation, not a part of the sum.
        if weight != 0.0 {
            rects.push(WeightedRect { x, y, width, height, weight });
        }
    }
    let tilted = match optional(of, "tilted") {
        Some(e) => number::<i32>(words(e).next(), place)? != 0,
        None => false,
    };
    Ok(Feature { rects, tilted })
}

fn parse_new(top: Element) -> Result<Cascade, CascadeError> {
    let place = || "cascade".to_string();
    for (element, expected) in [("stageType", "BOOST"), ("featureType", "HAAR")] {
        let found = words(child(top, element, &place)?).next().unwrap_or_default();
        if found != expected {
            return Err(CascadeError::Unsupported(format!(
                "{element} is `{found}`, only `{expected}` is implemented"
            )));
        }
    }
    if let Some(params) = optional(top, "featureParams")
        && let Some(count) = optional(params, "maxCatCount")
        && number::<i32>(words(count).next(), &place)? != 0
    {
        return Err(CascadeError::Unsupported("categorical features (maxCatCount above 0)".into()));
    }
    let window = (only(top, "width", &place)?, only(top, "height", &place)?);

    let mut stages = Vec::new();
    for (i, stage) in items(child(top, "stages", &place)?).enumerate() {
        let place = || format!("stage {i}");
        let threshold = real(words(child(stage, "stageThreshold", &place)?).next(), &place)?;
        let mut trees = Vec::new();
        for (k, tree) in items(child(stage, "weakClassifiers", &place)?).enumerate() {
            trees.push(tree_new(tree, &|| format!("stage {i}, weak classifier {k}"))?);
        }
        stages.push(Stage { threshold, trees });
    }
    let features = items(child(top, "features", &place)?)
        .enumerate()
        .map(|(i, item)| feature(item, &|| format!("feature {i}")))
        .collect::<Result<_, _>>()?;
    Cascade::new(window, features, stages)
}

fn tree_new(tree: Element, place: &dyn Fn() -> String) -> Result<Tree, CascadeError> {
    let mut nodes = Vec::new();
    let mut w = words(child(tree, "internalNodes", place)?).peekable();
    while w.peek().is_some() {
        nodes.push(Node {
            left: number(w.next(), place)?,
            right: number(w.next(), place)?,
            feature: number(w.next(), place)?,
            threshold: real(w.next(), place)?,
        });
    }
    // A stump's left leaf is its first and the right its second, whatever the node says.
    if let [stump] = nodes.as_mut_slice() {
        (stump.left, stump.right) = (0, -1);
    }
    let leaves = words(child(tree, "leafValues", place)?)
        .map(|word| real(Some(word), place))
        .collect::<Result<_, _>>()?;
    Ok(Tree { nodes, leaves })
}

fn parse_old(top: Element) -> Result<Cascade, CascadeError> {
    let place = || top.tag_name().name().to_string();
    let mut size = words(child(top, "size", &place)?);
    let window = (number(size.next(), &place)?, number(size.next(), &place)?);

    let (mut features, mut stages) = (Vec::new(), Vec::new());
    for (i, stage) in items(child(top, "stages", &place)?).enumerate() {
        let place = || format!("stage {i}");
        let threshold = real(words(child(stage, "stage_threshold", &place)?).next(), &place)?;
        let mut trees = Vec::new();
        for (k, tree) in items(child(stage, "trees", &place)?).enumerate() {
            let place = || format!("stage {i}, tree {k}");
            let (mut nodes, mut leaves) = (Vec::new(), Vec::new());
            for item in items(tree) {
                let mut branch = |value: &'static str, next: &'static str| {
                    if let Some(e) = optional(item, next) {
                        return number(words(e).next(), &place);
                    }
                    leaves.push(real(words(child(item, value, &place)?).next(), &place)?);
                    i16::try_from(leaves.len() - 1)
                        .map(|leaf| -leaf)
                        .map_err(|_| CascadeError::invalid(place(), "too many leaves"))
                };
                let left = branch("left_val", "left_node")?;
                let right = branch("right_val", "right_node")?;
                let threshold = real(words(child(item, "threshold", &place)?).next(), &place)?;
                nodes.push(Node { feature: features.len() as u32, threshold, left, right });
                features.push(feature(child(item, "feature", &place)?, &place)?);
            }
            trees.push(Tree { nodes, leaves });
        }
        stages.push(Stage { threshold, trees });
    }
    Cascade::new(window, features, stages)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = "<opencv_storage><cascade><stageType>BOOST</stageType>\
        <featureType>HAAR</featureType><height>6</height><width>8</width><stages><_>\
        <stageThreshold>-5.0000000000000000e-01</stageThreshold><weakClassifiers><_>\
        <internalNodes>0 -1 0 1.5e-2</internalNodes><leafValues>1. -2.</leafValues></_>\
        </weakClassifiers></_></stages><features><_><rects><_>0 0 8 6 -1.</_><_>0 0 4 6 2.</_>\
        </rects><tilted>0</tilted></_></features></cascade></opencv_storage>";

    const OLD: &str = "<opencv_storage><c type_id='opencv-haar-classifier'><size>8 6</size>\
        <stages><_><trees><_><_><feature><rects><_>0 0 8 6 -1.</_><_>0 0 4 6 2.</_></rects>\
        <tilted>0</tilted></feature><threshold>1.5e-2</threshold><left_val>1.</left_val>\
        <right_val>-2.</right_val></_></_></trees><stage_threshold>-0.5</stage_threshold>\
        <parent>-1</parent><next>-1</next></_></stages></c></opencv_storage>";

    #[test]
    fn both_formats_say_the_same() {
        let new = parse(NEW).unwrap();
        assert_eq!(new, parse(OLD).unwrap());
        assert_eq!(new.window(), (8, 6));
        assert_eq!(new.stages()[0].trees[0].leaves, [1.0, -2.0]);
    }

    #[test]
    fn comments_may_be_of_any_encoding_and_shape() {
        let plain = parse(NEW).unwrap();
        for comment in
            [&b"Jos\xe9 M\xfcller"[..], b"a -- b --- c", b"\x01\x02", b"\x82\xa0 (Shift JIS)", b"<x>"]
        {
            let head = b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n<!-- ";
            let bytes = [&head[..], comment, b" -->\n<!---->", NEW.as_bytes()].concat();
            assert_eq!(Cascade::from_bytes(&bytes).as_ref(), Ok(&plain), "{comment:?}");
        }
        let open = [b"<!-- no end ".to_vec(), NEW.as_bytes().to_vec()].concat();
        assert!(matches!(Cascade::from_bytes(&open), Err(CascadeError::Xml(_))));
        let named = NEW.replace("<cascade>", "<cascade><by>Jos\u{e9}</by>");
        let latin: Vec<u8> = named.chars().map(|c| c as u8).collect();
        assert_eq!(Cascade::from_bytes(&latin).as_ref(), Ok(&plain));
        assert!(Cascade::from_bytes(b"\xff\xfe<\0").is_err());
    }

    #[test]
    fn each_defect_has_its_place_in_the_message() {
        for (from, to, message) in [
            ("</opencv_storage>", "", "not well-formed XML"),
            ("HAAR", "LBP", "featureType is `LBP`"),
            ("<width>8</width>", "", "cascade: <width> is missing"),
            ("<width>8<", "<width>x<", "`x` is not a usable number"),
            ("<width>8<", "<width>7<", "feature 0: rectangle 0 0 8 6"),
            ("<width>8<", "<width>4000000<", "window"),
            ("1.5e-2", "1e999", "threshold is not a finite"),
            ("0 -1 0 1.5e-2", "0 -1 0", "stage 0, weak classifier 0: a number is missing"),
            ("0 -1 0 1.5e-2", "0 -1 3 1", "feature 3 of 1"),
            ("1. -2.", "1.", "leads to leaf 1 of 1"),
        ] {
            let error = parse(&NEW.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(message), "{to}: {error}");
        }
    }
}

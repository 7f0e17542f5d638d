//! One source file as tokens, without its tests and comments: what it imports and declares, and how long it is.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// What a file holds, as far as the checks ask.
#[derive(Default)]
pub struct Source {
    /// Files that it declares by `mod name;`.
    pub files: Vec<String>,
    /// Names by which it knows what is elsewhere, and the whole path.
    pub names: Vec<Import>,
    /// Paths that begin with any name and go on, as they stand in the code.
    pub paths: BTreeSet<Vec<String>>,
    /// Names of what it defines.
    pub items: BTreeSet<String>,
    /// Names of its public types.
    pub types: Vec<String>,
    /// Lines with code.
    pub lines: usize,
}

/// One name of a `use`.
pub struct Import {
    /// The name in this file; `*` for everything.
    pub name: String,
    /// What it stands for.
    pub path: Vec<String>,
    /// Whether others can take it from here.
    pub public: bool,
}

impl Source {
    /// Reads the text of a file.
    ///
    /// # Panics
    /// When it is not Rust.
    pub fn read(text: &str) -> Self {
        let tokens: TokenStream = text.parse().unwrap_or_else(|e| panic!("not Rust: {e}"));
        let mut source = Source::default();
        let mut lines = BTreeSet::new();
        source.walk(&without_tests(tokens), &mut lines, true, 0);
        source.lines = lines.len();
        source
    }

    /// Takes the tokens of a file or of a part in brackets. `items` says whether they are items, `depth`
    /// how many modules of this file they are in.
    fn walk(&mut self, tokens: &[TokenTree], lines: &mut BTreeSet<usize>, items: bool, depth: usize) {
        let mut at = 0;
        while at < tokens.len() {
            let word = text(tokens, at);
            let span = tokens[at].span();
            lines.extend([span.start().line, span.end().line]);
            match word.as_str() {
                "use" if starts_item(tokens, at) => {
                    let end = (at..tokens.len()).find(|i| text(tokens, *i) == ";").unwrap_or(tokens.len());
                    for token in &tokens[at..end] {
                        lines.extend(token.span().start().line..=token.span().end().line);
                    }
                    let public = at > 0 && is_public(tokens, at);
                    self.import(&tokens[at + 1..end], &mut Vec::new(), public, depth);
                    at = end;
                    continue;
                }
                "mod" if items && text(tokens, at + 2) == ";" => self.files.push(text(tokens, at + 1)),
                "mod" if items => {
                    if let Some(TokenTree::Group(body)) = tokens.get(at + 2) {
                        lines.insert(body.span_close().end().line);
                        self.walk(&without_tests(body.stream()), lines, true, depth + 1);
                        at += 3;
                        continue;
                    }
                }
                "struct" | "enum" | "union" | "trait" | "type" | "fn" | "const" | "static"
                | "macro_rules"
                    if items =>
                {
                    let name = text(tokens, at + if word == "macro_rules" { 2 } else { 1 });
                    let is_type = !matches!(word.as_str(), "fn" | "const" | "static" | "macro_rules");
                    if is_type && depth == 0 && at > 0 && text(tokens, at - 1) == "pub" {
                        self.types.push(name.clone());
                    }
                    self.items.insert(name);
                }
                _ => {}
            }
            if let TokenTree::Ident(_) = &tokens[at] {
                let (path, end) = path(tokens, at);
                let global = at > 1 && text(tokens, at - 1) == ":" && text(tokens, at - 2) == ":";
                if path.len() > 1 && !global {
                    self.paths.insert(without_inner(path, depth));
                    at = end;
                    continue;
                }
            }
            match &tokens[at] {
                TokenTree::Group(group) => {
                    lines.insert(group.span_close().end().line);
                    self.walk(&without_tests(group.stream()), lines, false, depth);
                }
                TokenTree::Literal(literal) => {
                    lines.extend(literal.span().start().line..=literal.span().end().line);
                }
                _ => {}
            }
            at += 1;
        }
    }

    /// Takes the tree of a `use`.
    fn import(&mut self, tree: &[TokenTree], before: &mut Vec<String>, public: bool, depth: usize) {
        for part in tree.split(|token| is(token, ",")) {
            let length = before.len();
            let mut name = None;
            for (i, token) in part.iter().enumerate() {
                match token {
                    TokenTree::Group(group) => {
                        let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                        self.import(&inner, before, public, depth);
                        name = None;
                    }
                    TokenTree::Ident(word) if i > 0 && is(&part[i - 1], "as") => {
                        name = Some(word.to_string())
                    }
                    TokenTree::Ident(word) if word == "as" => {}
                    TokenTree::Ident(word) if word == "self" && !before.is_empty() => {}
                    TokenTree::Ident(word) => {
                        before.push(word.to_string());
                        name = Some(word.to_string());
                    }
                    TokenTree::Punct(mark) if mark.as_char() == '*' => name = Some("*".to_owned()),
                    _ => {}
                }
                let alone = matches!(token, TokenTree::Ident(word) if word == "self" && length > 0);
                if alone {
                    name = before.last().cloned();
                }
            }
            if let Some(name) = name {
                self.names.push(Import { name, path: without_inner(before.clone(), depth), public });
            }
            before.truncate(length);
        }
    }
}

/// A path as it would stand in the file outside its inner modules, which count as the file itself.
fn without_inner(mut path: Vec<String>, depth: usize) -> Vec<String> {
    for _ in 0..depth {
        if path.first().is_some_and(|first| first == "super") {
            path.remove(0);
        }
    }
    path
}

/// The names of a path from `at` on, and where it ends.
fn path(tokens: &[TokenTree], mut at: usize) -> (Vec<String>, usize) {
    let mut names = vec![text(tokens, at)];
    at += 1;
    while text(tokens, at) == ":" && text(tokens, at + 1) == ":" {
        let Some(TokenTree::Ident(next)) = tokens.get(at + 2) else { break };
        names.push(next.to_string());
        at += 3;
    }
    (names, at)
}

fn text(tokens: &[TokenTree], at: usize) -> String {
    match tokens.get(at) {
        Some(TokenTree::Ident(ident)) => ident.to_string(),
        Some(TokenTree::Punct(punct)) => punct.as_char().to_string(),
        _ => String::new(),
    }
}

fn is(token: &TokenTree, word: &str) -> bool {
    match token {
        TokenTree::Ident(ident) => ident == word,
        TokenTree::Punct(punct) => word.len() == 1 && word.starts_with(punct.as_char()),
        _ => false,
    }
}

/// `use` is also the word of precise captures, `impl Trait + use<'a>`.
fn starts_item(tokens: &[TokenTree], at: usize) -> bool {
    text(tokens, at + 1) != "<"
}

/// Whether `pub` or `pub(..)` stands before the item's word.
fn is_public(tokens: &[TokenTree], at: usize) -> bool {
    let restricted =
        matches!(&tokens[at - 1], TokenTree::Group(g) if g.delimiter() == Delimiter::Parenthesis);
    text(tokens, at - 1) == "pub" || restricted && at > 1 && text(tokens, at - 2) == "pub"
}

/// The tokens without items under `#[cfg(test)]` and without attributes, documentation among them.
fn without_tests(tokens: TokenStream) -> Vec<TokenTree> {
    let all: Vec<TokenTree> = tokens.into_iter().collect();
    let mut kept = Vec::new();
    let mut at = 0;
    while at < all.len() {
        let inner = usize::from(text(&all, at + 1) == "!");
        match all.get(at + 1 + inner) {
            Some(TokenTree::Group(group))
                if text(&all, at) == "#" && group.delimiter() == Delimiter::Bracket =>
            {
                let attribute: String = group.stream().to_string().split_whitespace().collect();
                at += 2 + inner;
                if attribute == "cfg(test)" && inner == 0 {
                    at = end_of_item(&all, at);
                } else if !attribute.starts_with("doc=") {
                    kept.extend_from_slice(&all[at - 2 - inner..at]);
                }
            }
            _ => {
                kept.push(all[at].clone());
                at += 1;
            }
        }
    }
    kept
}

/// Where the item that begins at `at` ends: behind its braces, or its semicolon or comma.
fn end_of_item(tokens: &[TokenTree], at: usize) -> usize {
    let ends = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        other => is(other, ";") || is(other, ","),
    };
    // `use a::{b, c};` ends at its semicolon.
    let of_use = |token: &TokenTree| is(token, ";");
    let is_use = tokens[at..].iter().take(3).any(|token| is(token, "use"));
    let found = tokens[at..].iter().position(|token| if is_use { of_use(token) } else { ends(token) });
    found.map_or(tokens.len(), |i| at + i + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r##"
        //! Documentation.

        mod child;
        #[cfg(test)]
        mod tests;
        pub use child::{self, One as Uno, deep::*};
        use super::{other::Thing, crate_like};

        /// A type.
        #[derive(Clone)]
        pub struct Named {
            // A comment.
            field: super::other::Thing,
        }

        pub(crate) enum Hidden {}

        mod inner {
            use super::super::far::Away;
            fn near() { super::here::f(); let a = "use crate::text";
                /* use crate::no; */ }
        }

        #[cfg(test)]
        use crate::only_tests::{A, B};

        fn after() -> impl Iterator + use<'static> { crate::lines::<u8>() }
    "##;

    fn path(text: &str) -> Vec<String> {
        text.split("::").map(str::to_owned).collect()
    }

    #[test]
    fn a_file_is_read_without_tests_and_comments() {
        let source = Source::read(TEXT);
        assert_eq!(source.files, ["child"]);
        assert_eq!(source.types, ["Named"]);
        let names: Vec<(&str, String, bool)> =
            source.names.iter().map(|i| (i.name.as_str(), i.path.join("::"), i.public)).collect();
        let expected = [
            ("child", "child", true),
            ("Uno", "child::One", true),
            ("*", "child::deep", true),
            ("Thing", "super::other::Thing", false),
            ("crate_like", "super::crate_like", false),
            ("Away", "super::far::Away", false),
        ];
        assert_eq!(names, expected.map(|(name, path, public)| (name, path.to_owned(), public)));
        assert!(source.paths.contains(&path("super::other::Thing")), "{:?}", source.paths);
        assert!(source.paths.contains(&path("here::f")), "{:?}", source.paths);
        assert!(source.paths.contains(&path("crate::lines")), "{:?}", source.paths);
        assert!(!source.paths.iter().any(|p| p.contains(&"text".to_owned()) || p.contains(&"no".to_owned())));
        for name in ["Named", "Hidden", "after"] {
            assert!(source.items.contains(name), "{name}");
        }
        // mod, two uses, derive, struct with field and brace, enum, mod inner with use, fn, its brace and
        // the module's, fn after.
        assert_eq!(source.lines, 3 + 1 + 3 + 1 + 5 + 1);
    }
}

//! Names of people: what can be one, when two are one name, and when two only look alike.
//!
//! A name is kept as people write it, in composed form (NFC) and with single spaces: "é" typed as one
//! character or as "e" with an accent is the same name. Which names look alike is told by the skeletons of
//! Unicode's security mechanisms (UTS 39): letters of other alphabets, "l", "I" and "1", curly and straight
//! apostrophes, invisible characters; beyond that by the case of letters, and by spaces.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_security::skeleton;

/// The longest name, in characters.
const MAX_CHARS: usize = 64;
/// No script puts more marks on one letter.
const MAX_MARKS: usize = 4;

/// The name as it is kept: composed, with single spaces.
pub fn tidy(name: &str) -> String {
    let mut tidied = String::with_capacity(name.len());
    for c in name.nfc() {
        if c != ' ' || !tidied.ends_with(' ') {
            tidied.push(c);
        }
    }
    tidied
}

/// True when both are the same name, however they are typed.
pub fn same(a: &str, b: &str) -> bool {
    a == b || (!(a.is_ascii() && b.is_ascii()) || a.contains("  ") || b.contains("  ")) && tidy(a) == tidy(b)
}

/// True for a name that can be used: 1 to 64 letters with their marks, digits, spaces and the signs that
/// names are written with. What cannot be seen is none of them, except for the joiners that some scripts need
/// between two letters.
pub fn is_usable(name: &str) -> bool {
    let chars: Vec<char> = name.chars().collect();
    if !(1..=MAX_CHARS).contains(&chars.len()) || name.trim() != name {
        return false;
    }
    let mut marks = 0;
    for (at, &c) in chars.iter().enumerate() {
        let is_mark = is_combining_mark(c) && !is_invisible(c);
        marks = if is_mark { marks + 1 } else { 0 };
        let joins = |other: Option<&char>| {
            other.is_some_and(|o| !o.is_ascii() && (o.is_alphabetic() || is_combining_mark(*o)))
        };
        let fits = match c {
            ' ' | '.' | '_' | '-' | '\'' => true,
            // Apostrophes, middle dots, hyphens, geresh and gershayim, the tsheg of Tibetan.
            '\u{2018}' | '\u{2019}' | '\u{b7}' | '\u{30fb}' | '\u{2010}' | '\u{5f3}' | '\u{5f4}'
            | '\u{f0b}' => true,
            '\u{200c}' | '\u{200d}' => at > 0 && joins(chars.get(at - 1)) && joins(chars.get(at + 1)),
            _ if is_mark => at > 0 && marks <= MAX_MARKS,
            _ => c.is_alphanumeric() && !is_invisible(c),
        };
        if !fits {
            return false;
        }
    }
    chars.iter().any(|c| c.is_alphanumeric())
}

/// True for what facelatch took for a name before it knew more.
pub(super) fn was_usable(name: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '.' | '_' | '-');
    (1..=MAX_CHARS).contains(&name.chars().count()) && name.chars().all(allowed) && name.trim() == name
}

/// Unicode's default ignorable characters, which a skeleton leaves out.
fn is_invisible(c: char) -> bool {
    !c.is_ascii() && skeleton(c.encode_utf8(&mut [0; 4])).next().is_none()
}

/// What a name looks like; two names with the same looks, in either way, can be taken for one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looks {
    name: String,
    plain: String,
    lowercase: String,
}

impl Looks {
    /// Of this name.
    pub fn of(name: &str) -> Self {
        let (plain, lowercase) = (seen(name).collect(), seen(&name.to_lowercase()).collect());
        Looks { name: name.to_owned(), plain, lowercase }
    }

    /// True when that name can be taken for this one. It ends at the first letter that differs: there may be many
    /// names.
    pub fn are_those_of(&self, name: &str) -> bool {
        if self.name.is_ascii() && name.is_ascii() && !coarse(&self.name).eq(coarse(name)) {
            return false;
        }
        seen(name).eq(self.plain.chars()) || seen(&name.to_lowercase()).eq(self.lowercase.chars())
    }
}

/// What can look alike among the signs of ASCII is the same here, and more; without a look into Unicode's tables.
fn coarse(name: &str) -> impl Iterator<Item = u8> + '_ {
    name.bytes()
        .filter(|b| *b != b' ')
        .flat_map(|b| match b.to_ascii_lowercase() {
            b'm' => [Some(b'r'), Some(b'n')],
            b'0' => [Some(b'o'), None],
            b'1' | b'i' => [Some(b'l'), None],
            other => [Some(other), None],
        })
        .flatten()
}

fn seen(name: &str) -> impl Iterator<Item = char> + '_ {
    skeleton(name).filter(|c| *c != ' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_people_write_them_can_be_used() {
        for name in [
            "Ada",
            "O'Brien",
            "D\u{2019}Angelo",
            "Zoë 2.-_",
            "Jean-Luc",
            "प्रिया",
            "น้ำฝน",
            "Nguyễn Thị Hương",
            "عباس\u{200c}پور",
            "ʻIolani",
            "Gal·la",
            "בצלאל",
            "李小龍",
            "ジョン・スミス",
            "Тест",
            "e\u{301}mile",
            "བསོད་ནམས",
            "1",
            "Ægir",
            "ශ්\u{200d}රී",
        ] {
            assert!(is_usable(&tidy(name)), "{name:?}");
        }
    }

    #[test]
    fn what_is_no_name_or_cannot_be_seen_is_refused() {
        let zalgo = format!("a{}", "\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}");
        for name in [
            "",
            " ",
            " a",
            "a ",
            "a/b",
            "a\nb",
            "a\tb",
            "<b>",
            "a\"b",
            "a,b",
            "'",
            "-",
            "\u{301}a",
            "\u{3164}",
            "a\u{3164}b",
            "a\u{200b}b",
            "a\u{200d}b",
            "\u{202e}adA",
            "a\u{feff}",
            "a\u{fe0f}",
            "a\u{34f}b",
            "a\u{a0}b",
            "😀",
            zalgo.as_str(),
            "x".repeat(65).as_str(),
        ] {
            assert!(!is_usable(&tidy(name)), "{name:?}");
        }
    }

    #[test]
    fn one_name_typed_in_two_ways_is_one() {
        for (a, b) in [
            ("Zoe\u{308}", "Zoë"),
            ("Ada  L.", "Ada L."),
            ("\u{212b}sa", "Åsa"),
            ("\u{958}", "\u{915}\u{93c}"),
        ] {
            assert!(same(a, b) && tidy(a) == tidy(b), "{a} {b}");
        }
        assert!(!same("Ada", "ada") && !same("Zoe", "Zoë"));
    }

    /// The short way may only say no where the long way does.
    #[test]
    fn signs_that_look_alike_are_the_same_in_the_short_way() {
        let signs: Vec<String> =
            (' '..='~').filter(|c| is_usable(&format!("a{c}a"))).map(String::from).collect();
        assert!(signs.len() > 60, "{signs:?}");
        for (a, b) in signs.iter().flat_map(|a| signs.iter().map(move |b| (a, b))) {
            let like = seen(a).eq(seen(b)) || seen(&a.to_lowercase()).eq(seen(&b.to_lowercase()));
            assert!(!like || coarse(a).eq(coarse(b)), "{a} {b}");
        }
        assert!(seen("m").eq(seen("rn")) && coarse("m").eq(coarse("rn")));
    }

    #[test]
    fn names_that_can_be_taken_for_one_another_are_told() {
        let like = |a: &str, b: &str| Looks::of(a).are_those_of(b) && Looks::of(b).are_those_of(a);
        for (a, b) in [
            ("Ada", "ada"),
            ("ADA", "Ada"),
            ("Ada", "\u{410}da"),
            ("Ada", "\u{ff21}\u{ff44}\u{ff41}"),
            ("Ian", "lan"),
            ("Bill 1", "Bill l"),
            ("O'Brien", "O\u{2019}Brien"),
            ("Ada Lovelace", "AdaLovelace"),
            ("Bernd", "Bemd"),
            ("person-10", "person-1O"),
            ("عباس\u{200c}پور", "عباسپور"),
            ("Zoë", "zoe\u{308}"),
        ] {
            assert!(like(a, b), "{a} {b}");
        }
        for (a, b) in [
            ("Ada", "Adam"),
            ("Zoe", "Zoë"),
            ("person-10", "person-11"),
            ("O'Brien", "OBrien"),
            ("Jan", "Jon"),
            ("Anna Maria", "Anna Marie"),
            ("प्रिया", "प्रिय"),
        ] {
            assert!(!Looks::of(a).are_those_of(b) && !Looks::of(b).are_those_of(a), "{a} {b}");
        }
    }
}

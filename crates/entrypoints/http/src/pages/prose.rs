//! Fragments of text, as failures have them, in the sentences of a page.

use maud::{Markup, html};

/// A fragment as a sentence of its own; what stands between backticks is something to type.
pub(super) fn sentence(fragment: &str) -> Markup {
    let sentence = whole(fragment);
    html! {
        @for (number, part) in sentence.split('`').enumerate() {
            @if number % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

fn whole(fragment: &str) -> String {
    let mut letters = fragment.trim_end_matches('.').chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).chain(['.']).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_becomes_a_sentence() {
        for (fragment, said) in [
            ("the name is taken", "The name is taken."),
            ("Done.", "Done."),
            ("", ""),
            ("<b> & co", "&lt;b&gt; &amp; co."),
        ] {
            assert_eq!(sentence(fragment).into_string(), said);
        }
    }

    #[test]
    fn what_is_to_be_typed_looks_like_it() {
        assert_eq!(
            sentence("`wharf list` shows <them>").into_string(),
            "<code>wharf list</code> shows &lt;them&gt;."
        );
    }
}

//! What a mistyped word was meant to be.

/// The nearest of some words, if near enough to be what was meant.
#[must_use]
pub fn nearest<'a>(typed: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if typed.len() > 64 {
        return None;
    }
    let allowed = (typed.chars().count() / 3).min(3);
    let near = words.into_iter().map(|word| (distance(&typed.to_lowercase(), &word.to_lowercase()), word));
    near.filter(|(distance, _)| *distance <= allowed).min_by_key(|(distance, _)| *distance).map(|(_, word)| word)
}

/// Edits (insert, delete, replace, swap two neighbours) that make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let words = ["command", "args", "image", "containers", "initContainers"];
        assert_eq!(nearest("comand", words), Some("command"));
        assert_eq!(nearest("cotnainers", words), Some("containers"));
        assert_eq!(nearest("Image", words), Some("image"));
        assert_eq!(nearest("agrs", words), Some("args"));
        assert_eq!(nearest("livenessProbe", words), None);
        assert_eq!(nearest("v", ["w"]), None);
        assert_eq!(nearest(&"x".repeat(1 << 20), words), None);
    }
}

/// The candidate that looks most like `text`, if one is near enough to be meant.
pub(crate) fn nearest<'a>(text: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // the distance takes time by the product of both lengths, and the text may come from anyone
    if text.len() > LONGEST {
        return None;
    }
    let text = text.to_lowercase();
    candidates
        .map(|candidate| (strsim::normalized_damerau_levenshtein(&text, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

const LONGEST: usize = 64;

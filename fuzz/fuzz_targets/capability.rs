//! The text of a capability. It is read or refused as a plain reader does it, and what is read prints as one canonical
//! text that is read as the same.
#![no_main]

use accrue::{Capability, CapabilityError, Resource, Vocabulary};
use accrue_fuzz::{capability, json, printed, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let vocabulary = Vocabulary::default();
    let ours = Capability::parse(text, &vocabulary);
    let theirs = json(text.as_bytes()).as_ref().and_then(capability);
    assert_eq!(ours.as_ref().ok().map(read), theirs, "{ours:?}: {text}");
    match ours {
        Ok(capability) => {
            let canonical = capability.to_string();
            assert_eq!(canonical, printed(&read(&capability)), "{text}");
            let again = Capability::parse(&canonical, &vocabulary).expect("what is printed is read");
            assert!(again == capability && again.as_str() == canonical, "{text}");
            assert_eq!(serde_json::to_string(&capability).expect("serialises"), canonical);
            assert_eq!(capability.is_empty(), canonical == "{}");
            assert_eq!(capability.iter().count(), capability.len());
            for (resource, _) in capability.iter() {
                assert_eq!(Resource::parse(resource.as_str()), Ok(resource));
                assert!(resource.contains(resource));
            }
        }
        // says what is wrong in a few words, whatever was sent
        Err(error) => {
            assert_eq!(
                matches!(error, CapabilityError::Json(_) | CapabilityError::PythonDict),
                json_is_wrong(text)
            );
            assert!(error.to_string().len() <= 2048 && !error.to_string().contains('\n'), "{error}");
        }
    }
});

fn json_is_wrong(text: &str) -> bool {
    json(text.as_bytes()).is_none()
}

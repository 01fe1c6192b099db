use accrue::Environment;
use js_sys::{Object, Reflect};
use wasm_bindgen::JsCast as _;

/// A Worker's bindings (`[vars]` and secrets), as the environment that the configuration looks things up in.
pub(crate) struct Bindings(Object);

impl Bindings {
    pub(crate) fn new(env: Object) -> Self {
        Self(env)
    }

    /// The names of those that are set.
    pub(crate) fn names(&self) -> Vec<String> {
        let names = Object::keys(&self.0).into_iter().filter_map(|name| name.as_string());
        names.filter(|name| self.get(name).is_some()).collect()
    }

    /// A text, or what JavaScript makes one of: numbers, true and false, and lists, with commas.
    fn get(&self, name: &str) -> Option<String> {
        let value = Reflect::get(&self.0, &name.into()).ok()?;
        // null stands for a secret that was left out
        if value.is_null() || value.is_undefined() {
            return None;
        }
        Some(value.unchecked_into::<Object>().to_string().into())
    }
}

impl Environment for Bindings {
    fn variable(&self, name: &str) -> Option<String> {
        match self.get(name).filter(|value| !value.is_empty()) {
            // a Worker is reached from everywhere, so what is for loopback only is refused unless somebody says so
            None if name == "ACCRUE_LISTEN" => Some("0.0.0.0:443".to_owned()),
            value => value,
        }
    }

    /// There are no files: a binding of that name stands for one.
    fn file(&self, path: &str) -> Result<String, String> {
        self.get(path).ok_or_else(|| "a Worker has no files; bind the text under that name".to_owned())
    }
}

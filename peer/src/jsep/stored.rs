//! A description that was applied: its model, its text, or both.
//!
//! A text is a fraction of its model, which is made of many small strings. While nothing is negotiated the text is
//! enough; whoever asks for the model then has it read again.

use std::sync::OnceLock;

use super::model::Description;
use super::{read, write};
use crate::types::SdpType;

/// A description and its text.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) type_: SdpType,
    model: OnceLock<Box<Description>>,
    /// Of remote descriptions as it came; of local ones while the model is away.
    text: Option<Box<str>>,
    /// Candidates that were added by trickling: index of the section, and the line's value.
    pub(super) trickled: Vec<(usize, String)>,
}

impl Stored {
    /// One that we made.
    pub(super) fn ours(type_: SdpType, description: Description) -> Self {
        Stored {
            type_,
            model: Box::new(description).into(),
            text: None,
            trickled: Vec::new(),
        }
    }

    /// The far side's, as it came.
    pub(super) fn theirs(type_: SdpType, description: Description, text: &str) -> Self {
        Stored {
            type_,
            model: Box::new(description).into(),
            text: Some(text.into()),
            trickled: Vec::new(),
        }
    }

    /// The model. What is kept without one is a text that was read before.
    pub(super) fn description(&self) -> &Description {
        self.model
            .get_or_init(|| Box::new(read::parse(self.text()).unwrap_or_default()))
    }

    /// The text of a remote description.
    pub(super) fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    /// Leaves the model away, if the text says all of it.
    pub(super) fn rest(&mut self) {
        self.trickled.shrink_to_fit();
        let Some(model) = self.model.get() else {
            return;
        };
        if self.text.is_none() {
            let text = write::to_text(model, &[], false);
            let again = read::parse(&text).map(|d| write::to_text(&d, &[], false));
            if again.as_ref() != Ok(&text) {
                return;
            }
            self.text = Some(text.into());
        }
        self.model.take();
    }
}

//! Labels of jobs: short texts to find them by.

use sakuga_proto::generation::v1::{self as generation};

use super::caller::Caller;
use super::record::Record;
use super::registry::Jobs;
use crate::error::{ServerError, Violation};
use crate::store::Write;

/// The most labels of a job, and in a call.
const LABELS_MAX: usize = 16;
/// The most characters of a label.
const CHARACTERS_MAX: usize = 32;

/// What is wrong with the labels of a field.
pub(super) fn faults(field: &str, labels: &[String]) -> Vec<Violation> {
    if labels.len() > LABELS_MAX {
        let text = format!("{} labels are too many; use at most {LABELS_MAX}", labels.len());
        return vec![Violation::new(field, Violation::OUT_OF_RANGE, text)];
    }
    let is_valid = |label: &str| {
        let has_ends = label.trim() == label && !label.is_empty();
        has_ends && label.chars().count() <= CHARACTERS_MAX && !label.chars().any(char::is_control)
    };
    let invalid = labels.iter().enumerate().filter(|(_, label)| !is_valid(label));
    let what = format!("write 1 to {CHARACTERS_MAX} characters without control characters, and no spaces at the ends");
    let fault = |(place, _)| Violation::new(format!("{field}[{place}]"), Violation::BAD_TEXT, what.as_str());
    invalid.map(fault).collect()
}

/// A change of the labels of a job.
#[derive(Clone, Debug, Default)]
pub(crate) struct LabelChange {
    add: Vec<String>,
    remove: Vec<String>,
}

impl LabelChange {
    /// A change that adds and removes labels.
    ///
    /// # Errors
    ///
    /// [`ServerError::InvalidRequest`] with every label that is not valid, or both added and removed.
    pub(crate) fn new(add: Vec<String>, remove: Vec<String>) -> Result<Self, ServerError> {
        let mut faults = faults("add", &add);
        faults.extend(self::faults("remove", &remove));
        for (place, _) in remove.iter().enumerate().filter(|(_, label)| add.contains(label)) {
            let text = "the label is in `add` too; name it once";
            faults.push(Violation::new(format!("remove[{place}]"), Violation::CONFLICT, text));
        }
        if faults.is_empty() { Ok(Self { add, remove }) } else { Err(ServerError::InvalidRequest(faults)) }
    }

    /// The labels after the change.
    ///
    /// # Errors
    ///
    /// [`ServerError::InvalidRequest`] if they are too many.
    pub(crate) fn apply(&self, labels: &[String]) -> Result<Vec<String>, ServerError> {
        let mut changed: Vec<String> = labels.iter().filter(|label| !self.remove.contains(label)).cloned().collect();
        for label in &self.add {
            if !changed.contains(label) {
                changed.push(label.clone());
            }
        }
        if changed.len() > LABELS_MAX {
            let text = format!("the job would have {} labels; remove some, it may have {LABELS_MAX}", changed.len());
            return Err(ServerError::invalid("add", Violation::OUT_OF_RANGE, text));
        }
        Ok(changed)
    }
}

impl Jobs {
    /// Changes the labels of a job, and returns the job once they are stored.
    ///
    /// # Errors
    ///
    /// [`ServerError::UnknownJob`], [`ServerError::InvalidRequest`] or [`ServerError::Store`].
    pub(crate) async fn label(
        &self,
        caller: &Caller,
        job_id: &str,
        change: &LabelChange,
    ) -> Result<generation::Job, ServerError> {
        let _changing = self.record_changes.lock().await;
        // Read within the lock: the job may have been deleted, or have got other labels, meanwhile.
        let (id, mut record) = self.accessible(caller, job_id).await?;
        let labels = change.apply(&record.job().labels)?;
        if labels == record.job().labels {
            return Ok(self.with_progress(record.into_job()));
        }
        match self.live_journal(&id) {
            Some(journal) => {
                journal.set_labels(labels);
                // Batches are committed in order.
                self.dependencies.writer.write_once(Vec::new()).await?;
                record = Record::decode(&journal.record())?;
            }
            None => {
                // The job may have ended since it was read.
                record = self.record(&id).await?;
                record.set_labels(labels);
                let write = Write::PutJob { job: id.to_string(), record: record.encode() };
                self.dependencies.writer.write_once(vec![write]).await?;
            }
        }
        Ok(self.with_progress(record.into_job()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(labels: &[&str]) -> Vec<String> {
        labels.iter().map(|label| (*label).to_owned()).collect()
    }

    #[test]
    fn labels_are_added_once_and_in_order() {
        let change = LabelChange::new(owned(&["b", "c", "c"]), owned(&["a", "x"])).expect("valid");
        let changed = change.apply(&owned(&["a", "b"])).expect("few");
        assert_eq!(changed, ["b", "c"]);
        assert_eq!(change.apply(&changed), Ok(changed.clone()), "a repeated call changes nothing");
        let full: Vec<String> = (0..16).map(|number| number.to_string()).collect();
        assert!(matches!(change.apply(&full), Err(ServerError::InvalidRequest(_))));
    }

    #[test]
    fn what_is_no_label_is_refused_by_its_place() {
        let long = "x".repeat(33);
        let add = owned(&["お気に入り", "", " a", "a ", "a\nb", &long, "two words"]);
        let Err(ServerError::InvalidRequest(faults)) = LabelChange::new(add, owned(&["two words"])) else {
            panic!("faults")
        };
        let fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["add[1]", "add[2]", "add[3]", "add[4]", "add[5]", "remove[0]"]);
        assert!(LabelChange::new(vec!["a".into(); 17], Vec::new()).is_err());
    }
}

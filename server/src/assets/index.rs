//! [`Index`]: the records of all assets, in memory.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::id::{AssetId, AssetOwner};
use super::record::AssetRecord;

/// The records of all assets.
#[derive(Default)]
pub(super) struct Index {
    owners: HashMap<Arc<str>, BTreeMap<AssetId, AssetRecord>>,
    /// How many owners have a file.
    holders: HashMap<AssetId, usize>,
    /// Assets whose record is damaged: their files stay.
    damaged: HashSet<AssetId>,
}

impl Index {
    /// Adds a record, or replaces the one of the same owner and asset.
    pub(super) fn insert(&mut self, record: AssetRecord) {
        let (id, owner) = (record.id(), record.owner());
        let records = match self.owners.get_mut(owner) {
            Some(records) => records,
            None => self.owners.entry(owner.into()).or_default(),
        };
        if records.insert(id, record).is_none() {
            *self.holders.entry(id).or_default() += 1;
        }
    }

    /// Removes a record; `true` if nobody has the file any more.
    pub(super) fn remove(&mut self, owner: &str, id: AssetId) -> bool {
        let Some(records) = self.owners.get_mut(owner) else { return !self.holds(id) };
        if records.remove(&id).is_some()
            && let Some(holders) = self.holders.get_mut(&id)
        {
            *holders -= 1;
            if *holders == 0 {
                self.holders.remove(&id);
            }
        }
        if records.is_empty() {
            self.owners.remove(owner);
        }
        !self.holds(id)
    }

    /// Keeps the file of an asset whose record is damaged.
    pub(super) fn keep_damaged(&mut self, id: AssetId) {
        self.damaged.insert(id);
    }

    /// Whether a file has an owner.
    pub(super) fn holds(&self, id: AssetId) -> bool {
        self.holders.contains_key(&id) || self.damaged.contains(&id)
    }

    pub(super) fn get(&self, owner: &str, id: AssetId) -> Option<&AssetRecord> {
        self.owners.get(owner)?.get(&id)
    }

    pub(super) fn get_mut(&mut self, owner: &str, id: AssetId) -> Option<&mut AssetRecord> {
        self.owners.get_mut(owner)?.get_mut(&id)
    }

    /// The names of all owners.
    pub(super) fn owners(&self) -> impl Iterator<Item = &str> {
        self.owners.keys().map(|owner| &**owner)
    }

    /// The records of an owner, by id; none for an unknown owner.
    pub(super) fn of(&self, owner: &str) -> impl Iterator<Item = &AssetRecord> {
        self.owners.get(owner).into_iter().flat_map(BTreeMap::values)
    }

    /// How many assets an owner has, and their bytes.
    pub(super) fn usage(&self, owner: &str) -> (usize, u64) {
        self.of(owner).fold((0, 0), |(count, bytes), record| (count + 1, bytes + record.size()))
    }

    /// The assets of clients that were used last before a time. Those of jobs are kept until the jobs end.
    pub(super) fn unused_since(&self, before: SystemTime) -> Vec<(Arc<str>, AssetId)> {
        let of_owner = |(owner, records): (&Arc<str>, &BTreeMap<AssetId, AssetRecord>)| {
            let old = records.values().filter(|record| record.used() < before);
            old.map(|record| (owner.clone(), record.id())).collect::<Vec<_>>()
        };
        self.owners.iter().filter(|(owner, _)| AssetOwner::job_of(owner).is_none()).flat_map(of_owner).collect()
    }

    /// Notes a use. Returns the record if it has to be written, which is once in `period`.
    pub(super) fn touch(
        &mut self,
        owner: &str,
        id: AssetId,
        now: SystemTime,
        period: Duration,
    ) -> Option<&AssetRecord> {
        let record = self.get_mut(owner, id)?;
        if now.duration_since(record.used()).is_ok_and(|passed| passed >= period) {
            record.set_used(now);
            return Some(record);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use sakuga_proto::asset::v1::Asset;

    use super::*;

    #[test]
    fn a_file_is_held_until_its_last_owner_is_gone() {
        let (mut index, id) = (Index::default(), AssetId::of_bytes(b"x"));
        let record = |owner: &str, used: u64| {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(used);
            AssetRecord::new(id, owner, Asset { size: 3, ..Asset::default() }, time)
        };
        for owner in ["alice", "bob", "alice"] {
            index.insert(record(owner, 5));
        }
        assert_eq!((index.usage("alice"), index.usage("carol")), ((1, 3), (0, 0)));
        assert!(!index.remove("alice", id) && index.holds(id) && index.get("alice", id).is_none());
        assert!(!index.remove("alice", id), "Bob has it still");
        assert!(index.remove("bob", id) && !index.holds(id));
        index.insert(record("bob", 5));
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert!(index.touch("bob", id, at(6), Duration::from_secs(2)).is_none());
        assert!(index.touch("bob", id, at(7), Duration::from_secs(2)).is_some());
        assert_eq!((index.unused_since(at(7)).len(), index.unused_since(at(8)).len()), (0, 1));
        index.keep_damaged(id);
        assert!(!index.remove("bob", id), "the file of a damaged record stays");
    }
}

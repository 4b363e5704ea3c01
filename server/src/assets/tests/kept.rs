//! Uploads are stored once on the disk, are separate for each owner, and expire.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::assets::*;
use crate::job_id::JobId;
use crate::store::place::DataPlace;
use crate::store::redb::RedbStore;
use crate::store::writer::StoreWriter;
use crate::store::{JobStore, StoreError};

/// A file of tensors with these bytes at its end.
fn tensors(data: &[u8]) -> Vec<u8> {
    let header = format!(r#"{{"t":{{"dtype":"U8","shape":[{0}],"data_offsets":[0,{0}]}}}}"#, data.len());
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

struct Kept {
    assets: Arc<Assets>,
    store: Arc<dyn JobStore>,
    folder: tempfile::TempDir,
}

impl Kept {
    fn new(settings: AssetSettings) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store: Arc<dyn JobStore> = Arc::new(RedbStore::in_memory().expect("room"));
        let assets = open(&store, &folder, settings).expect("readable");
        Self { assets, store, folder }
    }

    /// The server starts again.
    fn reopen(self) -> Self {
        let Self { assets, store, folder } = self;
        let settings = assets.settings.clone();
        drop(assets);
        let assets = open(&store, &folder, settings).expect("readable");
        Self { assets, store, folder }
    }

    async fn begin(&self, owner: &str, file: &[u8], offset: u64) -> Result<StartedUpload, AssetError> {
        let id = AssetId::of_bytes(file);
        self.assets.begin(&AssetOwner::named(owner), id, file.len() as u64, offset).await
    }

    /// An upload of which one byte is there.
    async fn hold(&self, owner: &str, file: &[u8]) -> Result<Upload, AssetError> {
        let StartedUpload::Upload(mut upload) = self.begin(owner, file, 0).await? else {
            panic!("it is there already")
        };
        upload.write(Bytes::copy_from_slice(&file[..1])).await?;
        Ok(upload)
    }

    async fn upload(&self, owner: &str, file: &[u8]) -> Result<AssetId, AssetError> {
        if let StartedUpload::Upload(mut upload) = self.begin(owner, file, 0).await? {
            upload.write(Bytes::copy_from_slice(file)).await?;
            upload.finish().await?;
        }
        Ok(AssetId::of_bytes(file))
    }

    /// Whole files, and unfinished ones.
    fn files(&self) -> (usize, usize) {
        (self.assets.files.ids().len(), self.assets.files.unfinished().len())
    }
}

fn open(
    store: &Arc<dyn JobStore>,
    folder: &tempfile::TempDir,
    settings: AssetSettings,
) -> Result<Arc<Assets>, StoreError> {
    let writer = Arc::new(StoreWriter::start(store.clone()).expect("a thread"));
    Assets::open(&DataPlace::Folder(folder.path().into()), writer, settings)
}

fn used(kept: &Kept, owner: &str) -> u64 {
    kept.assets.usage(&AssetOwner::named(owner)).used
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_bytes_of_two_owners_are_one_file_and_neither_learns_of_it() {
    let kept = Kept::new(AssetSettings::default());
    let file = tensors(b"lora");
    let id = kept.upload("alice", &file).await.expect("kept");
    let [alice, bob] = ["alice", "bob"].map(AssetOwner::named);
    assert_eq!(kept.assets.read(&bob, id), Err(AssetError::Unknown(id)));
    assert_eq!(kept.assets.delete(&bob, id).await, Err(AssetError::Unknown(id)));
    // Bob's upload begins at 0 and needs every byte.
    let StartedUpload::Upload(mut upload) = kept.begin("bob", &file, 0).await.expect("his own") else {
        panic!("not his yet")
    };
    upload.write(Bytes::copy_from_slice(&file[..9])).await.expect("room");
    assert!(matches!(upload.finish().await, Err(AssetError::Offset { offset: 9, .. })));
    assert!(kept.assets.find(&bob, id).is_err());
    let StartedUpload::Upload(mut upload) = kept.begin("bob", &file, 9).await.expect("his own") else {
        panic!("not his yet")
    };
    upload.write(Bytes::copy_from_slice(&file[9..])).await.expect("room");
    assert_eq!(upload.finish().await.map(|asset| asset.sha256), Ok(id.to_string()));
    assert_eq!(kept.files(), (1, 0), "one file");
    assert_eq!((used(&kept, "alice"), used(&kept, "bob")), (file.len() as u64, file.len() as u64));
    kept.assets.delete(&alice, id).await.expect("hers");
    assert_eq!(kept.assets.read(&bob, id), Ok(file.clone().into()));
    let path = kept.assets.file(id).expect("a folder");
    assert_eq!(std::fs::read(&path).expect("there"), file);
    let whole = async |part: std::ops::Range<u64>| {
        let mut reader = kept.assets.reader(id, file.len() as u64, part).await?;
        let mut found = Vec::new();
        while !reader.is_finished() {
            let piece;
            (piece, reader) = reader.next(7).await?;
            found.extend_from_slice(&piece);
        }
        Ok::<_, AssetError>(found)
    };
    let size = file.len() as u64;
    assert_eq!((whole(0..size).await, whole(3..9).await), (Ok(file.clone()), Ok(file[3..9].to_vec())));
    let mut altered = file.clone();
    altered[0] ^= 1;
    std::fs::write(&path, &altered).expect("written");
    assert!(matches!(whole(0..size).await, Err(AssetError::Store(_))), "before its last piece");
    assert_eq!(whole(3..9).await, Ok(file[3..9].to_vec()), "a part is not compared");
    std::fs::write(&path, &file[..5]).expect("written");
    assert!(whole(3..9).await.is_err(), "it is too short");
    std::fs::write(&path, &file).expect("written");
    let kept = kept.reopen();
    assert_eq!(kept.assets.read(&bob, id), Ok(file.into()), "also after a restart");
    assert_eq!(kept.assets.read(&alice, id), Err(AssetError::Unknown(id)));
    kept.assets.delete(&bob, id).await.expect("his");
    assert_eq!((kept.files(), kept.store.assets()), ((0, 0), Ok(vec![])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_used_for_long_is_deleted() {
    let kept = Kept::new(AssetSettings { keep: Duration::from_secs(10_000), ..AssetSettings::default() });
    let id = kept.upload("alice", &tensors(b"x")).await.expect("kept");
    let owner = AssetOwner::named("alice");
    let now = SystemTime::now();
    kept.assets.delete_old(now + Duration::from_secs(9_000)).await;
    assert!(kept.assets.find(&owner, id).is_ok());
    kept.assets.delete_old(now + Duration::from_secs(10_060)).await;
    assert_eq!((kept.assets.find(&owner, id).err(), kept.files()), (Some(AssetError::Unknown(id)), (0, 0)));
    assert_eq!(kept.store.assets(), Ok(vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_are_bounded_in_bytes_count_and_time() {
    let settings = AssetSettings {
        quota: 300,
        uploads_per_owner: 2,
        uploads: 3,
        assets_per_owner: 2,
        keep_unfinished: Duration::ZERO,
        ..AssetSettings::default()
    };
    let kept = Kept::new(settings);
    let [one, two, three] = [b"1", b"2", b"3"].map(|data| tensors(data));
    let size = one.len() as u64;
    assert!(size < 100 && 300 < 5 * size, "{size}");
    kept.upload("alice", &one).await.expect("room");
    let large = kept.assets.begin(&AssetOwner::named("alice"), AssetId::of_bytes(b"large"), 301 - size, 0).await;
    assert_eq!(large.err(), Some(AssetError::Quota { size: 301 - size, used: size, quota: 300 }));
    // The bytes of others do not count.
    kept.hold("bob", &tensors(&[7; 200])).await.expect("room");
    // What is announced counts from the first byte on, and no more than two are open.
    let held = [kept.hold("alice", &two).await, kept.hold("alice", &three).await];
    assert!(held.iter().all(Result::is_ok));
    assert_eq!(used(&kept, "alice"), 3 * size);
    let four = tensors(b"4");
    assert_eq!(kept.begin("alice", &four, 0).await.err(), Some(AssetError::TooManyUploads { limit: 2 }));
    assert_eq!(kept.begin("carol", &four, 0).await.err(), Some(AssetError::TooManyUploads { limit: 3 }));
    // An upload that no call writes makes room, one without bytes is forgotten, and one that is too old is removed.
    drop(held);
    assert!(kept.begin("alice", &four, 0).await.is_ok());
    assert_eq!(used(&kept, "alice"), 2 * size);
    kept.assets.delete_old(SystemTime::now()).await;
    assert_eq!((used(&kept, "alice"), kept.files()), (size, (1, 0)));
    kept.upload("alice", &two).await.expect("room");
    assert_eq!(kept.begin("alice", &three, 0).await.err(), Some(AssetError::TooManyAssets { limit: 2 }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_call_takes_over_and_continues() {
    let kept = Kept::new(AssetSettings::default());
    let file = tensors(&[7; 1000]);
    let StartedUpload::Upload(mut older) = kept.begin("alice", &file, 0).await.expect("new") else { panic!("new") };
    older.write(Bytes::copy_from_slice(&file[..500])).await.expect("room");
    let superseded = older.superseded();
    let newer = kept.begin("alice", &file, 500);
    let end_older = async {
        superseded.cancelled().await;
        drop(older);
    };
    let (newer, ()) = tokio::join!(newer, end_older);
    let StartedUpload::Upload(mut newer) = newer.expect("it waited for the older one") else { panic!("not whole") };
    assert_eq!(newer.received(), 500);
    newer.write(Bytes::copy_from_slice(&file[500..])).await.expect("room");
    newer.finish().await.expect("whole");
    assert!(matches!(kept.begin("alice", &file, 77).await, Ok(StartedUpload::Existing(_))), "whatever its offset");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_removes_what_a_kill_left_and_keeps_files_of_damaged_records() {
    let kept = Kept::new(AssetSettings::default());
    let id = kept.upload("alice", &tensors(b"x")).await.expect("kept");
    let nobodys = kept.assets.files.path(AssetId::of_bytes(b"nobody")).expect("a folder");
    std::fs::write(&nobodys, "nobody").expect("written");
    std::fs::write(kept.folder.path().join("assets/unfinished/9"), "half").expect("written");
    std::fs::write(kept.folder.path().join("assets/notes.txt"), "not ours").expect("written");
    let kept = kept.reopen();
    assert_eq!((kept.files(), kept.folder.path().join("assets/notes.txt").exists()), ((1, 0), true));
    // A record that does not belong to its key.
    let (key, record) = kept.store.assets().expect("readable").remove(0);
    let other = [&key[32..], &key[32..]].concat();
    let writes = [
        crate::store::Write::DeleteAsset { key },
        crate::store::Write::PutAsset { key: other, record: record.expect("sound") },
    ];
    kept.store.commit(&writes).expect("room");
    let kept = kept.reopen();
    assert_eq!((kept.files().0, kept.assets.find(&AssetOwner::named("alice"), id).is_err()), (1, true));
}

#[tokio::test]
async fn files_of_a_job_are_its_own_until_it_ends() {
    let settings = AssetSettings { keep: Duration::ZERO, quota: 1, ..AssetSettings::default() };
    let kept = Kept::new(settings);
    let (job, id) = (JobId::new(), AssetId::of_bytes(b"picture"));
    let files = vec![Bytes::from_static(b"picture"), Bytes::from_static(b"mask"), Bytes::from_static(b"mask")];
    kept.assets.keep_for_job(&job, files).await.expect("room");
    let kept = kept.reopen();
    kept.assets.delete_old(SystemTime::now() + Duration::from_secs(60)).await;
    assert_eq!(kept.assets.jobs_with_files().as_slice(), std::slice::from_ref(&job));
    assert_eq!(kept.assets.read(&AssetOwner::of_job(&job), id), Ok(Bytes::from_static(b"picture")));
    for client in ["", "alice"] {
        let owner = AssetOwner::named(client);
        assert_eq!(kept.assets.read(&owner, id), Err(AssetError::Unknown(id)));
        assert_eq!((kept.assets.list(&owner, None, 9, 9).0, kept.assets.usage(&owner).used), (vec![], 0));
    }
    assert!(kept.assets.has_files_of_job(&job) && !kept.assets.has_files_of_job(&JobId::new()));
    kept.assets.release_job(&job).await;
    assert!(!kept.assets.has_files_of_job(&job));
    assert_eq!((kept.assets.files.ids(), kept.assets.files.unfinished()), (vec![], vec![]));
}

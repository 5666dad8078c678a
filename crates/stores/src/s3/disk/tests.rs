//! What a kill may leave behind, and what a second life makes of it.

use super::*;

fn disk() -> (tempfile::TempDir, Disk) {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path(), true).unwrap();
    disk.create_bucket("lake").unwrap();
    (folder, disk)
}

fn put(disk: &Disk, key: &str, text: &str, etag: &str) {
    let path = disk.temporary();
    fs::write(&path, text).unwrap();
    let attributes = Attributes { etag: etag.to_owned(), ..Attributes::default() };
    disk.publish(&path, "lake", key, &attributes, &Conditions::default()).unwrap();
}

#[test]
fn attributes_of_another_life_are_not_taken_for_this_object() {
    let (folder, disk) = disk();
    put(&disk, "a", "one", "first");
    assert_eq!(disk.etag("lake", "a").unwrap(), "first");
    // As if killed between the two renames: a new object beside old attributes.
    let path = folder.path().join("lake/.new");
    fs::write(&path, "two two").unwrap();
    fs::rename(&path, folder.path().join("lake/a")).unwrap();
    assert_eq!(disk.etag("lake", "a").unwrap(), md5_of(&mut "two two".as_bytes()).unwrap());
}

#[test]
fn what_was_half_written_is_gone_after_a_restart() {
    let (folder, disk) = disk();
    fs::write(disk.temporary(), "half").unwrap();
    drop(disk);
    Disk::open(folder.path(), false).unwrap();
    assert_eq!(fs::read_dir(folder.path().join(TEMPORARY)).unwrap().count(), 0);
}

#[test]
fn an_object_and_a_folder_of_one_name_are_refused_and_nothing_breaks() {
    let (_folder, disk) = disk();
    put(&disk, "a", "1", "1");
    let path = disk.temporary();
    fs::write(&path, "2").unwrap();
    let refused =
        disk.publish(&path, "lake", "a/b", &Attributes::default(), &Conditions::default()).unwrap_err();
    assert_eq!(*refused.code(), S3ErrorCode::InvalidRequest);
    assert_eq!(disk.etag("lake", "a").unwrap(), "1");
    assert_eq!(*disk.find("lake", "a/b").unwrap_err().code(), S3ErrorCode::NoSuchKey);
}

#[test]
fn a_bucket_with_objects_is_not_deleted() {
    let (_folder, disk) = disk();
    put(&disk, "a/b", "1", "1");
    assert_eq!(*disk.delete_bucket("lake").unwrap_err().code(), S3ErrorCode::BucketNotEmpty);
    disk.delete("lake", "a/b").unwrap();
    disk.delete("lake", "a/b").unwrap();
    disk.delete_bucket("lake").unwrap();
    assert_eq!(*disk.bucket("lake").unwrap_err().code(), S3ErrorCode::NoSuchBucket);
}

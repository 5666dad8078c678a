//! boto3 and the aws command line on the embedded S3 endpoint.

use std::process::Command;

use testkit::{ACCESS_KEY, SECRET_KEY, ran, run_python};

use crate::shared::{name, shared};

const BOTO3: &str = r#"
import hashlib, os, sys
import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
endpoint, bucket, access, secret = sys.argv[1:]
def client(secret):
    return boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=access,
                        aws_secret_access_key=secret, config=Config(retries={"max_attempts": 1}))
s3 = client(secret)
s3.create_bucket(Bucket=bucket)
assert bucket in [b["Name"] for b in s3.list_buckets()["Buckets"]]
body = b"line\n" * 1000
s3.put_object(Bucket=bucket, Key="a/b c/ü+0.json", Body=body, ContentType="application/json")
got = s3.get_object(Bucket=bucket, Key="a/b c/ü+0.json")
assert got["Body"].read() == body and got["ETag"].strip('"') == hashlib.md5(body).hexdigest()
part = s3.get_object(Bucket=bucket, Key="a/b c/ü+0.json", Range="bytes=5-9")["Body"].read()
assert part == b"line\n"
big = os.urandom(12 * 1024 * 1024)
upload = s3.create_multipart_upload(Bucket=bucket, Key="big")["UploadId"]
parts = []
for n in range(3):
    piece = big[n * 5 * 1024 * 1024:(n + 1) * 5 * 1024 * 1024]
    etag = s3.upload_part(Bucket=bucket, Key="big", UploadId=upload, PartNumber=n + 1, Body=piece)["ETag"]
    parts.append({"PartNumber": n + 1, "ETag": etag})
s3.complete_multipart_upload(Bucket=bucket, Key="big", UploadId=upload, MultipartUpload={"Parts": parts})
assert s3.get_object(Bucket=bucket, Key="big")["Body"].read() == big
left = s3.create_multipart_upload(Bucket=bucket, Key="left")["UploadId"]
s3.abort_multipart_upload(Bucket=bucket, Key="left", UploadId=left)
for n in range(25): s3.put_object(Bucket=bucket, Key=f"many/{n:03}", Body=b"x")
pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="many/", PaginationConfig={"PageSize": 10})
assert [o["Key"] for page in pages for o in page["Contents"]] == [f"many/{n:03}" for n in range(25)]
folders = s3.list_objects_v2(Bucket=bucket, Delimiter="/")["CommonPrefixes"]
assert [f["Prefix"] for f in folders] == ["a/", "many/"]
s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "many/001"})
assert s3.head_object(Bucket=bucket, Key="copy")["ContentLength"] == 1
s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": f"many/{n:03}"} for n in range(25)]})
def refused(action):
    try: action()
    except ClientError as error: return error.response["Error"]["Code"]
    raise SystemExit("not refused")
assert refused(lambda: s3.get_object(Bucket=bucket, Key="many/001")) == "NoSuchKey"
assert refused(lambda: s3.list_objects_v2(Bucket="no-such-bucket")) == "NoSuchBucket"
assert refused(lambda: client("wrong").list_objects_v2(Bucket=bucket)) == "SignatureDoesNotMatch"
print("kept")
"#;

#[test]
fn boto3_finds_an_s3() {
    let (_, parts) = shared();
    let Some(python) = testkit::python() else { return };
    let said = run_python(&python, BOTO3, &[&parts.s3(), &name("boto3"), ACCESS_KEY, SECRET_KEY]);
    assert_eq!(said, "kept\n");
}

#[test]
fn the_aws_command_line_copies_lists_and_removes() {
    let Some(aws) = testkit::aws_cli() else { return };
    let (world, parts) = shared();
    let file = world.write("aws/here.txt", "from the command line\n");
    let bucket = format!("s3://{}", name("aws"));
    let run = |args: &[&str]| {
        let mut command = Command::new(&aws);
        command.args(["--endpoint-url", &parts.s3()]).args(args).env("HOME", world.folder());
        command.envs([("AWS_ACCESS_KEY_ID", ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", SECRET_KEY)]);
        command.env("AWS_DEFAULT_REGION", "us-east-1");
        ran(&mut command, 60).expect_success()
    };
    run(&["s3", "mb", &bucket]);
    run(&["s3", "cp", &file.to_string_lossy(), &format!("{bucket}/in/here.txt")]);
    assert!(run(&["s3", "ls", "--recursive", &format!("{bucket}/")]).contains("in/here.txt"));
    assert_eq!(run(&["s3", "cp", &format!("{bucket}/in/here.txt"), "-"]), "from the command line\n");
    run(&["s3", "rb", "--force", &bucket]);
}

#[test]
fn our_own_ls_and_cat_read_what_boto3_wrote() {
    let (world, parts) = shared();
    let Some(python) = testkit::python() else { return };
    let key = name("ours");
    let script = "import boto3, sys\n\
        s3 = boto3.client('s3', endpoint_url=sys.argv[1], region_name='us-east-1', aws_access_key_id=sys.argv[2], aws_secret_access_key=sys.argv[3])\n\
        s3.put_object(Bucket='lake', Key=sys.argv[4] + '/one.json', Body=b'{\"a\":1}\\n')\n";
    run_python(&python, script, &[&parts.s3(), ACCESS_KEY, SECRET_KEY, &key]);
    assert!(world.ok(&["ls", &format!("s3://lake/{key}/")]).contains("one.json"));
    assert_eq!(world.ok(&["cat", &format!("s3://lake/{key}/one.json")]), "{\"a\":1}\n");
}

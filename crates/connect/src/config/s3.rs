//! Every key of Confluent's S3 sink: the connector's, the storage's, the partitioner's, Hive's.
//! Source: <https://docs.confluent.io/kafka-connectors/s3-sink/current/configuration_options.html>.

use super::definition::{
    Definition,
    Importance::{High, Medium},
    Kind, Valid,
};

pub(crate) const FORMATS: &[&str] = &[
    "io.confluent.connect.s3.format.avro.AvroFormat",
    "io.confluent.connect.s3.format.bytearray.ByteArrayFormat",
    "io.confluent.connect.s3.format.json.JsonFormat",
    "io.confluent.connect.s3.format.parquet.ParquetFormat",
];

pub(crate) const PARTITIONERS: &[&str] = &[
    "io.confluent.connect.storage.partitioner.DailyPartitioner",
    "io.confluent.connect.storage.partitioner.DefaultPartitioner",
    "io.confluent.connect.storage.partitioner.FieldPartitioner",
    "io.confluent.connect.storage.partitioner.HourlyPartitioner",
    "io.confluent.connect.storage.partitioner.TimeBasedPartitioner",
];

const STORAGES: &[&str] = &["io.confluent.connect.s3.storage.S3Storage"];

pub(crate) const CREDENTIALS: &[&str] = &[
    "com.amazonaws.auth.DefaultAWSCredentialsProviderChain",
    "com.amazonaws.auth.EnvironmentVariableCredentialsProvider",
    "com.amazonaws.auth.profile.ProfileCredentialsProvider",
    "software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider",
    "software.amazon.awssdk.auth.credentials.EnvironmentVariableCredentialsProvider",
    "software.amazon.awssdk.auth.credentials.ProfileCredentialsProvider",
];

const AVRO_CODECS: &[&str] = &["null", "deflate", "snappy", "bzip2"];
const PARQUET_CODECS: &[&str] = &["none", "gzip", "snappy", "lz4", "zstd", "brotli", "lzo"];
const NULL_VALUES: &[&str] = &["fail", "ignore", "write"];

const fn connector(name: &'static str, kind: Kind, doc: &'static str) -> Definition {
    Definition::new("Connector", name, kind, doc)
}

const fn s3(name: &'static str, kind: Kind, doc: &'static str) -> Definition {
    Definition::new("S3", name, kind, doc)
}

const fn storage(name: &'static str, kind: Kind, doc: &'static str) -> Definition {
    Definition::new("Storage", name, kind, doc)
}

const fn partitioner(name: &'static str, kind: Kind, doc: &'static str) -> Definition {
    Definition::new("Partitioner", name, kind, doc)
}

const fn hive(name: &'static str, kind: Kind, doc: &'static str) -> Definition {
    Definition::new("Hive", name, kind, doc).not_yet()
}

pub(crate) const KEYS: &[Definition] = &[
    connector("format.class", Kind::Class, "The format in which records are written to the store.")
        .required()
        .valid(Valid::ClassIn(FORMATS))
        .recommend(FORMATS)
        .display("Format class"),
    connector("flush.size", Kind::Int, "Records of a topic partition after which its files are committed.")
        .required()
        .valid(Valid::AtLeast(1))
        .display("Flush Size"),
    connector(
        "rotate.interval.ms",
        Kind::Long,
        "Record time that a file may span, in ms; -1 is without end.",
    )
    .or("-1")
    .importance(High)
    .display("Rotate Interval (ms)"),
    connector(
        "rotate.schedule.interval.ms",
        Kind::Long,
        "Wall time after which open files are committed, in ms; -1 is never.",
    )
    .or("-1")
    .importance(Medium)
    .display("Rotate Schedule Interval (ms)"),
    connector("schema.cache.size", Kind::Int, "Schemas that the Avro format keeps converted.")
        .or("1000")
        .valid(Valid::AtLeast(1))
        .display("Schema Cache Size")
        .no_effect(),
    connector(
        "enhanced.avro.schema.support",
        Kind::Boolean,
        "Whether Avro keeps enums and package names of Connect schemas.",
    )
    .or("true")
    .display("Enhanced Avro Support")
    .not_yet(),
    connector("connect.meta.data", Kind::Boolean, "Whether Avro schemas carry Connect's own metadata.")
        .or("true")
        .display("Connect Metadata")
        .not_yet(),
    connector("allow.optional.map.keys", Kind::Boolean, "Whether the keys of a map may be optional.")
        .or("false")
        .not_yet(),
    connector("retry.backoff.ms", Kind::Long, "How long the task waits after a transient failure, in ms.")
        .or("5000")
        .valid(Valid::AtLeast(0))
        .display("Retry Backoff (ms)")
        .not_yet(),
    connector("shutdown.timeout.ms", Kind::Long, "How long a stop waits for Hive's updates, in ms.")
        .or("3000")
        .importance(Medium)
        .display("Shutdown Timeout (ms)")
        .no_effect(),
    connector(
        "filename.offset.zero.pad.width",
        Kind::Int,
        "Digits to which the offset in a file's name is filled up.",
    )
    .or("10")
    .valid(Valid::AtLeast(0))
    .display("Filename Offset Zero Pad Width"),
    connector("avro.codec", Kind::String, "The compression inside Avro files.")
        .or("null")
        .valid(Valid::OneOf(AVRO_CODECS))
        .recommend(AVRO_CODECS)
        .display("Avro Compression Codec"),
    connector("parquet.codec", Kind::String, "The compression inside Parquet files.")
        .or("snappy")
        .valid(Valid::OneOf(PARQUET_CODECS))
        .recommend(PARQUET_CODECS)
        .display("Parquet Compression Codec"),
    connector(
        "schema.compatibility",
        Kind::String,
        "How records of an older or newer schema are brought into one file.",
    )
    .or("NONE")
    .importance(High)
    .valid(Valid::OneOfAnyCase(&["NONE", "BACKWARD", "FORWARD", "FULL"]))
    .recommend(&["NONE", "BACKWARD", "FORWARD", "FULL"])
    .display("Schema Compatibility")
    .not_yet(),
    connector("append.late.data", Kind::Boolean, "Whether late records go into the file that is open.")
        .or("false")
        .not_yet(),
    connector("store.kafka.keys", Kind::Boolean, "Whether keys are written to files of their own.")
        .or("false")
        .not_yet(),
    connector("store.kafka.headers", Kind::Boolean, "Whether headers are written to files of their own.")
        .or("false")
        .not_yet(),
    connector("keys.format.class", Kind::Class, "The format of the files of keys.").not_yet(),
    connector("headers.format.class", Kind::Class, "The format of the files of headers.").not_yet(),
    connector("behavior.on.null.values", Kind::String, "What is done with a record without a value.")
        .or("fail")
        .valid(Valid::OneOfAnyCase(NULL_VALUES))
        .recommend(NULL_VALUES)
        .display("Behavior for null-valued records"),
    connector(
        "report.null.values.to.dlq",
        Kind::Boolean,
        "Whether a record without a value becomes a dead letter.",
    )
    .or("true")
    .not_yet(),
    connector(
        "tombstone.encoded.partition",
        Kind::String,
        "The folder of tombstones where they are written.",
    )
    .or("tombstone")
    .not_yet(),
    connector("json.decimal.format", Kind::String, "How JSON files show decimals.")
        .or("BASE64")
        .valid(Valid::OneOfAnyCase(&["BASE64", "NUMERIC"]))
        .recommend(&["BASE64", "NUMERIC"])
        .not_yet(),
    connector(
        "rotate.file.on.partition.change",
        Kind::Boolean,
        "Whether a change of the encoded partition ends a file.",
    )
    .or("true")
    .not_yet(),
    connector("flush.timeout.ms", Kind::Long, "How long one flush may take, in ms.").or("10000").no_effect(),
    s3("s3.bucket.name", Kind::String, "The bucket that objects are written to.")
        .required()
        .valid(Valid::NotBlank)
        .display("S3 Bucket"),
    s3("s3.object.tagging", Kind::Boolean, "Whether objects are tagged with their offsets and record count.")
        .or("false")
        .display("Tag S3 Objects")
        .not_yet(),
    s3("s3.object.tagging.key.value.pairs", Kind::List, "More tags for each object.").or("").not_yet(),
    s3("s3.object.behavior.on.tagging.error", Kind::String, "What happens when tagging fails.")
        .or("ignore")
        .valid(Valid::OneOfAnyCase(&["ignore", "fail"]))
        .not_yet(),
    s3("s3.region", Kind::String, "The bucket's region.")
        .or("us-west-2")
        .importance(Medium)
        .display("AWS region"),
    s3("s3.part.size", Kind::Int, "Bytes of each part of a multipart upload.")
        .or("26214400")
        .importance(High)
        .valid(Valid::AtLeast(5 << 20))
        .display("S3 Part Size"),
    s3("s3.credentials.provider.class", Kind::Class, "Where AWS credentials come from.")
        .or("com.amazonaws.auth.DefaultAWSCredentialsProviderChain")
        .valid(Valid::ClassIn(CREDENTIALS))
        .recommend(CREDENTIALS)
        .display("AWS Credentials Provider Class"),
    s3("aws.access.key.id", Kind::String, "Access key id; without it the credentials provider is asked.")
        .or(""),
    s3("aws.secret.access.key", Kind::Password, "The secret access key that belongs to aws.access.key.id.")
        .or(""),
    s3("s3.ssea.name", Kind::String, "Server-side encryption: empty, AES256 or aws:kms.")
        .or("")
        .valid(Valid::OneOf(&["", "AES256", "aws:kms"]))
        .recommend(&["", "AES256", "aws:kms"])
        .display("S3 Server Side Encryption Algorithm")
        .not_yet(),
    s3("s3.sse.customer.key", Kind::Password, "The customer's own key for server-side encryption.").not_yet(),
    s3("s3.sse.kms.key.id", Kind::String, "The KMS key for server-side encryption.").or("").not_yet(),
    s3("s3.acl.canned", Kind::String, "The canned ACL of each object.").display("S3 Canned ACL").not_yet(),
    s3("s3.wan.mode", Kind::Boolean, "Whether S3's accelerated endpoint is used.")
        .or("false")
        .importance(Medium)
        .not_yet(),
    s3("s3.compression.type", Kind::String, "Compression of JSON and byte array files.")
        .or("none")
        .valid(Valid::OneOf(&["none", "gzip"]))
        .recommend(&["none", "gzip"])
        .display("Compression type"),
    s3("s3.compression.level", Kind::Int, "Level of the compression; -1 is zlib's own default.")
        .or("-1")
        .valid(Valid::AtLeast(-1))
        .display("Compression level"),
    s3("s3.part.retries", Kind::Int, "How often a failed S3 request is tried again.")
        .or("3")
        .importance(Medium)
        .valid(Valid::AtLeast(0))
        .display("S3 Part Upload Retries")
        .not_yet(),
    s3("s3.retry.backoff.ms", Kind::Long, "The wait before the first retry of a failed S3 request, in ms.")
        .or("200")
        .valid(Valid::AtLeast(0))
        .display("Retry Backoff (ms)"),
    s3(
        "s3.http.send.expect.continue",
        Kind::Boolean,
        "Whether requests ask the server before they send their body.",
    )
    .or("true")
    .display("S3 HTTP Send Uses Expect Continue")
    .no_effect(),
    s3(
        "s3.path.style.access.enabled",
        Kind::Boolean,
        "Whether the bucket is part of the path instead of the host name.",
    )
    .or("true")
    .display("Enable Path Style Access to S3"),
    s3("s3.elastic.buffer.enable", Kind::Boolean, "Whether the part buffer grows with its content.")
        .or("false")
        .no_effect(),
    s3("s3.elastic.buffer.init.capacity", Kind::Int, "The first size of an elastic part buffer.")
        .or("131072")
        .valid(Valid::AtLeast(4096))
        .no_effect(),
    s3(
        "s3.schema.partition.affix.type",
        Kind::String,
        "Whether the schema's name becomes a part of the path.",
    )
    .or("NONE")
    .valid(Valid::OneOfAnyCase(&["NONE", "PREFIX", "SUFFIX"]))
    .recommend(&["NONE", "PREFIX", "SUFFIX"])
    .not_yet(),
    s3("format.bytearray.extension", Kind::String, "The file extension of the byte array format.")
        .or(".bin")
        .not_yet(),
    s3(
        "format.bytearray.separator",
        Kind::String,
        "What stands between two records of the byte array format.",
    ),
    s3("s3.proxy.url", Kind::String, "A proxy on the way to S3.")
        .or("")
        .display("S3 Proxy Settings")
        .not_yet(),
    s3("s3.proxy.user", Kind::String, "The proxy's user.").not_yet(),
    s3("s3.proxy.password", Kind::Password, "The proxy's password.").not_yet(),
    storage("storage.class", Kind::Class, "The storage; S3Storage is the only one.")
        .required()
        .valid(Valid::ClassIn(STORAGES))
        .recommend(STORAGES)
        .display("Storage Class"),
    storage("topics.dir", Kind::String, "The folder that all topics' folders lie in.")
        .or("topics")
        .importance(High)
        .display("Topics directory"),
    storage("store.url", Kind::String, "Another S3 endpoint than AWS's.")
        .importance(High)
        .display("Store URL"),
    storage("directory.delim", Kind::String, "What separates folders.")
        .or("/")
        .importance(Medium)
        .display("Directory Delimiter"),
    storage("file.delim", Kind::String, "What separates the parts of a file's name.")
        .or("+")
        .importance(Medium)
        .display("File Delimiter"),
    partitioner("partitioner.class", Kind::Class, "How records are laid out in folders.")
        .or("io.confluent.connect.storage.partitioner.DefaultPartitioner")
        .importance(High)
        .valid(Valid::ClassIn(PARTITIONERS))
        .recommend(PARTITIONERS)
        .display("Partitioner Class"),
    partitioner(
        "partition.field.name",
        Kind::List,
        "The fields whose values make the folders of FieldPartitioner.",
    )
    .or("")
    .importance(Medium)
    .display("Partition Field Name"),
    partitioner(
        "partition.duration.ms",
        Kind::Long,
        "How much time one folder of TimeBasedPartitioner spans, in ms.",
    )
    .or("-1")
    .importance(Medium)
    .display("Partition Duration (ms)"),
    partitioner(
        "path.format",
        Kind::String,
        "The folders of TimeBasedPartitioner: 'year'=YYYY/'month'=MM/'day'=dd.",
    )
    .or("")
    .importance(Medium)
    .display("Path Format"),
    partitioner("locale", Kind::String, "The locale of time-based folders: en-US.")
        .or("")
        .importance(Medium)
        .valid(Valid::Locale)
        .display("Locale"),
    partitioner("timezone", Kind::String, "The time zone of time-based folders and of scheduled rotation.")
        .or("")
        .importance(Medium)
        .valid(Valid::Timezone)
        .display("Timezone"),
    partitioner("timestamp.extractor", Kind::String, "Where a record's time comes from.")
        .or("Wallclock")
        .importance(Medium)
        .valid(Valid::OneOf(&["Wallclock", "Record", "RecordField"]))
        .recommend(&["Wallclock", "Record", "RecordField"])
        .display("Timestamp Extractor"),
    partitioner("timestamp.field", Kind::String, "The field that RecordField reads.")
        .or("timestamp")
        .importance(Medium)
        .display("Record Field for Timestamp Extractor"),
    partitioner("partition.field.format.path", Kind::Boolean, "Whether field folders are named field=value.")
        .or("true")
        .not_yet(),
    partitioner(
        "partitioner.max.open.files",
        Kind::Int,
        "The most files that may be open at once; -1 is no bound.",
    )
    .or("-1")
    .not_yet(),
    hive("hive.integration", Kind::Boolean, "Whether Hive's tables follow the files.").or("false"),
    hive("hive.metastore.uris", Kind::String, "Hive's metastore.").or(""),
    hive("hive.conf.dir", Kind::String, "Hive's configuration folder.").or(""),
    hive("hive.home", Kind::String, "Hive's home folder.").or(""),
    hive("hive.database", Kind::String, "The database of Hive's tables.").or("default"),
    hive("hive.table.name", Kind::String, "How Hive's tables are named.").or("${topic}"),
    hive("schema.generator.class", Kind::Class, "How Hive's partition columns are named.")
        .or("io.confluent.connect.storage.hive.schema.DefaultSchemaGenerator")
        .no_effect(),
];

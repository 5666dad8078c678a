//! What every error of ours can say: what, where, why, what to do, and a code that names its page.
//!
//! The one list of codes is here; `docs/errors/` has a page for each, and a test compares the two. Only the binary draws.

use std::{error::Error, fmt, iter, sync::Arc};

use crate::Origin;

/// An error that a person will read. `Display` is what happened, `source` why.
pub trait Problem: Error + Send + Sync + 'static {
    fn code(&self) -> Code;
    fn spot(&self) -> Option<Spot> {
        None
    }
    /// What to do, as an order: `free the port, or set registry.listen`.
    fn help(&self) -> String;
}

/// So that `?` carries any problem to whoever draws it.
impl<P: Problem> From<P> for Box<dyn Problem> {
    fn from(problem: P) -> Self {
        Box::new(problem)
    }
}

/// An error as plain lines: what, where, why down to the root, what to do. Snapshots and logs use it.
pub fn plain(problem: &dyn Problem) -> String {
    let mut text = format!("{} × {problem}", problem.code().id);
    if let Some(spot) = problem.spot() {
        text += &format!("\n  at {spot}");
        if let Spot::Text { label, .. } = spot
            && !label.is_empty()
        {
            text += &format!(": {label}");
        }
    }
    for cause in causes(problem) {
        text += &format!("\n  because {cause}");
    }
    text + &format!("\n  help: {}\n", problem.help())
}

/// An error and its causes in one line, each said once.
pub fn line(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in causes(error) {
        let said = cause.to_string();
        if !text.contains(&said) {
            text += &format!(": {said}");
        }
    }
    text
}

/// Why an error came, and why that did, down to the root.
pub fn causes<'a>(error: &'a (impl Error + ?Sized)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(error.source(), |&error| error.source())
}

/// An error, and behind it its causes.
pub fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::once(error).chain(causes(error))
}

/// The cause that has none, which may be the error itself. Of what clients put around it most is their own: `Connection refused
/// (os error 111)` is what a person needs.
pub fn root<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    chain(error).last().unwrap_or(error)
}

/// Where it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spot {
    /// In a text file: the bytes `start..start + length` of `text` are underlined and carry `label`.
    Text { path: Arc<str>, text: Arc<str>, start: usize, length: usize, label: String },
    /// One record: topic/partition/offset, file:line, collection/_id.
    Record(Origin),
    /// A file:line:column whose text is not at hand (it is too large, or came from a stream).
    Line { path: Arc<str>, line: u64, column: u64 },
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Spot::Text { path, text, start, .. } => {
                let before = text.get(..*start).unwrap_or(text);
                let line = before.matches('\n').count() + 1;
                let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
                write!(f, "{path}:{line}:{column}")
            }
            Spot::Record(origin) => write!(f, "{origin}"),
            Spot::Line { path, line, column } => write!(f, "{path}:{line}:{column}"),
        }
    }
}

/// The process's exit code for an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    OurBug = 1,
    Usage = 2,
    Settings = 3,
    Denied = 4,
    Unreachable = 5,
    DataRefused = 6,
    PartFailed = 7,
    /// Ctrl-C or another signal asked for the end: 128 and the number of SIGINT, as shells report it.
    Interrupted = 130,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// `TM0412`; the page is `docs/errors/TM0412.md`.
    pub id: &'static str,
    /// A few words for lists and for the docs' index.
    pub title: &'static str,
    pub exit: Exit,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

macro_rules! codes {
    ($($id:ident $exit:ident $title:literal;)*) => {
        /// Every code there is, as a constant.
        pub mod code {
            use super::{Code, Exit};
            $(pub const $id: Code = Code { id: stringify!($id), title: $title, exit: Exit::$exit };)*
            /// In the order of their numbers; tests hold the pages against it.
            pub const ALL: &[Code] = &[$($id),*];
        }
    };
}

// 00 the process · 01 engine · 02 project · 03 broker · 04 registry · 05 contracts · 06 formats · 07 connectors
// 08 connect · 09 cloud and stores · 10 command line and environment. A number is never used twice.
codes! {
    TM0001 OurBug "a bug in tidemill";
    TM0101 PartFailed "a transfer cannot go on";
    TM0102 Unreachable "a transfer gave up after its retries";
    TM0103 PartFailed "the source cannot tell what there is";
    TM0104 PartFailed "the target cannot be prepared";
    TM0105 PartFailed "the target could not be finished";
    TM0107 Usage "the transfer is already running";
    TM0108 PartFailed "another life has taken over";
    TM0109 PartFailed "a checkpoint file cannot be used";
    TM0110 Settings "a checkpoint file is not one of ours";
    TM0111 PartFailed "dead letters cannot be written";
    TM0201 Settings "a file of the project cannot be read";
    TM0202 Settings "a settings file is not valid YAML";
    TM0203 Settings "there is no such setting";
    TM0204 Settings "a setting's value does not fit";
    TM0205 Usage "a --set flag sets nothing";
    TM0206 Settings "a line of .env cannot be read";
    TM0207 Settings "the project folder is not there";
    TM0208 PartFailed "the project's state cannot be written";
    TM0209 PartFailed "the environment already runs";
    TM0210 Settings "a file is not valid JSON";
    TM0211 Settings "a file is not a connector";
    TM0220 Settings "a file of connections or variables cannot be read";
    TM0221 Settings "a connection cannot be used";
    TM0222 Settings "there is no such connection";
    TM0223 Settings "connections or variables stand in two files";
    TM0224 PartFailed "the disk is full";
    TM0225 PartFailed "the disk is read-only";
    TM0226 PartFailed "too many connections";
    TM0227 PartFailed "the process may open few files";
    TM0228 PartFailed "the clock has jumped";
    TM0240 PartFailed "the transactions cannot be read back";
    TM0241 DataRefused "records of no transaction";
    TM0301 Unreachable "the broker cannot listen";
    TM0302 PartFailed "the broker cannot use its data folder";
    TM0303 PartFailed "a file of the broker cannot be understood";
    TM0304 PartFailed "the groups cannot be read back";
    TM0305 Settings "the advertised address is not host:port";
    TM0350 PartFailed "the log cannot use the disk";
    TM0351 PartFailed "the data folder is in use";
    TM0352 PartFailed "a log file is damaged";
    TM0353 DataRefused "the log or the offset is not there";
    TM0354 DataRefused "records that a log cannot take";
    TM0355 DataRefused "a producer's sequence or epoch does not fit";
    TM0401 Unreachable "the registry cannot listen";
    TM0402 Unreachable "the registry cannot use Kafka";
    TM0403 Settings "the registry's topic cannot be used";
    TM0404 DataRefused "the registry has no such subject or schema";
    TM0405 Usage "the registry wants a soft delete first";
    TM0406 DataRefused "the registry refused a schema";
    TM0407 Usage "the registry cannot take the request";
    TM0408 Usage "the registry's mode forbids it";
    TM0409 DataRefused "a schema is incompatible with earlier versions";
    TM0410 Unreachable "the registry does not answer";
    TM0411 Usage "the registry refused a command";
    TM0412 Settings "there is no contract file for a subject";
    TM0413 DataRefused "a Protobuf schema is not valid";
    TM0414 DataRefused "a schema refers to one that is not there";
    TM0415 Usage "a schema is still referred to";
    TM0416 Unreachable "the registry that leads does not answer";
    TM0417 Settings "another kind of registry leads the topic";
    TM0418 Usage "a subject or a topic has another association already";
    TM0501 DataRefused "a schema is not valid JSON";
    TM0502 DataRefused "an Avro schema is not valid";
    TM0503 DataRefused "a JSON Schema is not valid";
    TM0504 DataRefused "a kind of schema is not supported yet";
    TM0505 DataRefused "a record is not in the registry's wire format";
    TM0506 DataRefused "a record does not decode by its schema";
    TM0507 DataRefused "a schema has no rows";
    TM0508 Usage "there is no such compatibility level";
    TM0510 DataRefused "a record breaks its contract";
    TM0511 DataRefused "nothing to infer a contract from";
    TM0512 Settings "a file for a contract cannot be used";
    TM0601 DataRefused "a record cannot be written in this format";
    TM0602 Settings "the format needs a schema";
    TM0603 DataRefused "a file cannot be read in its format";
    TM0604 Settings "a format or codec is not known";
    TM0605 OurBug "an encoder failed";
    TM0701 Settings "a setting for Kafka does not work";
    TM0702 Unreachable "Kafka does not answer";
    TM0703 Settings "the topic does not exist";
    TM0704 Settings "a topic cannot be created";
    TM0705 Denied "Kafka refuses access";
    TM0706 PartFailed "reading a partition failed";
    TM0707 PartFailed "the group has given a partition away";
    TM0708 PartFailed "an offset cannot be committed";
    TM0709 DataRefused "records were not accepted by a topic";
    TM0710 DataRefused "a record is too large for Kafka";
    TM0720 Settings "a file cannot be opened";
    TM0721 Usage "the format of a file is not known";
    TM0722 DataRefused "a file breaks off";
    TM0723 DataRefused "a record is too long";
    TM0724 DataRefused "a CSV file has no header";
    TM0725 DataRefused "a file is malformed";
    TM0730 Settings "a setting for MongoDB does not work";
    TM0731 Unreachable "MongoDB does not answer";
    TM0732 Denied "MongoDB refuses access";
    TM0733 Settings "the collection does not exist";
    TM0734 Settings "a query for MongoDB does not work";
    TM0735 PartFailed "reading a collection failed";
    TM0736 Settings "a position is not one of this collection";
    TM0737 DataRefused "a record cannot become a document";
    TM0738 DataRefused "a collection does not take a document";
    TM0739 PartFailed "a collection cannot be changed";
    TM0740 Settings "a setting for DynamoDB does not work";
    TM0741 Settings "the DynamoDB table does not exist";
    TM0742 Denied "DynamoDB refuses access";
    TM0743 Unreachable "DynamoDB does not answer";
    TM0744 Denied "the credentials for DynamoDB have expired";
    TM0745 Unreachable "DynamoDB has too little throughput";
    TM0746 PartFailed "DynamoDB refused a request";
    TM0747 DataRefused "DynamoDB cannot hold a record";
    TM0748 Settings "a DynamoDB table cannot be created";
    TM0749 Settings "a position is not one of this table's split";
    TM0751 Settings "a setting of the object sink does not work";
    TM0752 DataRefused "a record has no value";
    TM0753 DataRefused "a record's partition cannot be worked out";
    TM0754 DataRefused "a record has no usable timestamp";
    TM0755 PartFailed "an object could not be kept or sent";
    TM0760 Settings "a setting for Firestore does not work";
    TM0761 Unreachable "Firestore does not answer";
    TM0762 Denied "Firestore refuses access";
    TM0763 Settings "the Firestore database does not exist";
    TM0764 Settings "Firestore cannot run a query";
    TM0765 DataRefused "a record cannot be a Firestore document";
    TM0766 DataRefused "Firestore refused a document";
    TM0767 PartFailed "Firestore failed";
    TM0768 PartFailed "a split or position is not one of Firestore's";
    TM0770 Usage "a file has no such key column";
    TM0771 Settings "the columns of a file cannot be told";
    TM0772 DataRefused "a field is not like the rows before it";
    TM0773 DataRefused "a row is no object";
    TM0774 DataRefused "a row has no key";
    TM0780 Usage "there is no such generator";
    TM0781 Usage "a generator's option is not known, or no number";
    TM0801 Unreachable "the Connect worker cannot listen";
    TM0802 Unreachable "the Connect worker cannot use Kafka";
    TM0803 Settings "an internal topic of the Connect worker cannot be used";
    TM0804 Usage "there is no such connector or task";
    TM0805 Usage "the connector exists already";
    TM0806 Usage "the Connect worker cannot take the request";
    TM0807 Settings "the connector's configuration is invalid";
    TM0808 Settings "there is no such connector class";
    TM0809 Usage "offsets change only while the connector is stopped";
    TM0810 Settings "a placeholder in a connector's configuration cannot be resolved";
    TM0811 DataRefused "a record's bytes do not match the converter";
    TM0812 DataRefused "a record's schema is not one the converter can use";
    TM0813 Unreachable "the registry did not give a schema";
    TM0815 Unreachable "dead letters cannot be written";
    TM0816 Unreachable "the Connect worker does not answer";
    TM0817 Usage "the Connect worker refused a command";
    TM0818 PartFailed "the connector has failed";
    TM0901 Denied "no AWS credentials were found";
    TM0902 Denied "the AWS sign-in has expired";
    TM0903 Denied "the AWS credentials could not be loaded";
    TM0904 Unreachable "the object store cannot be reached";
    TM0905 Denied "the object store refused access";
    TM0906 Settings "the bucket does not exist";
    TM0907 DataRefused "the object does not exist";
    TM0908 Settings "the settings of the object store do not work";
    TM0909 PartFailed "the object store failed";
    TM0910 Denied "no Google credentials were found";
    TM0911 Denied "the Google sign-in has expired";
    TM0912 Denied "the Google credentials could not be loaded";
    TM0913 Denied "acting as a service account is refused";
    TM0914 Unreachable "Google's token service does not answer";
    TM0951 PartFailed "the S3 endpoint cannot listen";
    TM0952 PartFailed "the folder of the S3 endpoint cannot be used";
    TM0953 Settings "a bucket cannot have this name";
    TM0954 PartFailed "the DynamoDB endpoint cannot listen";
    TM0955 PartFailed "the folder of the DynamoDB endpoint cannot be used";
    TM0956 PartFailed "the tables of the DynamoDB endpoint cannot be opened";
    TM0957 PartFailed "the DynamoDB endpoint has no threads";
    TM1001 PartFailed "a port is in use";
    TM1002 PartFailed "a part of the environment did not start";
    TM1003 PartFailed "a part of the environment failed while it ran";
    TM1004 PartFailed "the environment did not start in the background";
    TM1005 PartFailed "the environment does not stop";
    TM1006 Settings "the check found mistakes";
    TM1007 Settings "the folder cannot become a project";
    TM1008 PartFailed "a step of the quickstart failed";
    TM1009 DataRefused "the data file cannot be used";
    TM1010 DataRefused "the objects differ from the input";
    TM1011 Settings "the parts to start do not fit together";
    TM1013 Settings "the current folder cannot be used";
    TM1014 Interrupted "interrupted";
    TM1020 Usage "the arguments of a load do not fit together";
    TM1021 Settings "a contract cannot be found";
    TM1022 Unreachable "the schema registry does not answer";
    TM1023 DataRefused "the schema registry refuses a schema";
    TM1024 PartFailed "a load failed";
    TM1025 Usage "an argument of a load does not fit its target";
    TM1026 Settings "a connection is of another type";
    TM1027 Usage "a table is made without a key";
    TM1030 PartFailed "a run of a pipeline failed";
    TM1040 Unreachable "the scheduler does not answer";
    TM1041 Denied "the scheduler refuses access";
    TM1042 Usage "there is no such DAG, run or task";
    TM1043 Usage "the scheduler refused a command";
    TM1044 PartFailed "the scheduler failed";
    TM1045 PartFailed "a run of a DAG failed";
    TM1046 Usage "an argument of a dag command is wrong";
    TM1050 Unreachable "Kafka does not answer";
    TM1051 DataRefused "Kafka refuses a command";
    TM1052 Settings "the Kafka client cannot be set up";
    TM1053 DataRefused "there is no such topic or group";
    TM1054 Usage "a topic command says nothing to do";
    TM1055 Usage "a connection cannot be tested";
    TM1056 Unreachable "a connection does not work";
    TM1060 Settings "the broker's listeners do not fit together";
    TM1061 Settings "a TLS file of the broker cannot be used";
    TM1062 Settings "the broker cannot let clients authenticate";
    TM1063 Settings "a super user of the broker is no principal";
    TM1081 Settings "a connector's configuration is refused";
    TM1082 Settings "a connector's topic is not there";
    TM1083 Settings "a connector has more tasks than partitions";
    TM1084 Settings "a converter does not fit the topic's schema";
    TM1085 Settings "the registered schema is not the local contract";
    TM1087 Denied "credentials are missing or about to end";
    TM1088 Settings "delivery depends on the wall clock";
    TM1089 Unreachable "something could not be checked";
    TM1090 Settings "a contract is not registered";
    TM1101 PartFailed "the status page cannot listen";
    TM1102 Unreachable "a part does not answer the status page";
    TM1201 DataRefused "a document does not fit its table";
    TM1202 DataRefused "the schema contract left something out";
    TM1203 Settings "the stored schema cannot be used";
    TM1204 Settings "the stored schema is of another engine";
    TM1205 Settings "a hint contradicts the schema";
    TM1206 DataRefused "the schema is frozen";
    TM1207 DataRefused "a document is not JSON";
    TM1208 Settings "a pipeline cannot read columns";
    TM1209 OurBug "rows could not be made into columns";
    TM1220 Settings "a pipeline has no such key";
    TM1221 Settings "a value of a pipeline does not fit";
    TM1222 Usage "there is no such pipeline or stream";
    TM1223 Settings "the target cannot take a write disposition";
    TM1224 Settings "an address of a pipeline is none of ours";
    TM1225 Usage "another load of the pipeline is not finished";
    TM1226 PartFailed "the state of a pipeline cannot be used";
    TM1227 Settings "the state of a pipeline is not one of ours";
    TM1228 DataRefused "a record has no usable cursor or key";
    TM1229 DataRefused "a cursor does not tell records apart";
    TM1230 Usage "a stream has no cursor";
    TM1231 Settings "a source or target of a pipeline cannot be opened";
    TM1232 Usage "a load is too far to be given up";
    TM1233 Usage "a load is being given up";
    TM1301 Settings "a DAG file cannot be read";
    TM1302 Settings "a DAG file is not valid YAML";
    TM1303 Settings "a DAG file has an unknown key";
    TM1304 Settings "a value in a DAG file does not fit";
    TM1305 Settings "something is missing in a DAG file";
    TM1306 Settings "an operator does not run here";
    TM1307 Settings "a feature of DAG files does not run here";
    TM1308 Settings "a dependency names nothing";
    TM1309 Settings "tasks wait for each other";
    TM1310 Settings "an id cannot be used";
    TM1311 Settings "a name stands twice in a DAG file";
    TM1312 Settings "a schedule cannot be understood";
    TM1315 DataRefused "a template cannot be rendered";
    TM1316 DataRefused "another task gave no such output";
    TM1320 PartFailed "the scheduler cannot listen";
    TM1321 PartFailed "the scheduler's folder cannot be used";
    TM1322 PartFailed "the scheduler's SQLite database cannot be used";
    TM1323 Unreachable "the scheduler's PostgreSQL database cannot be used";
    TM1324 PartFailed "another scheduler has the database";
    TM1325 PartFailed "the scheduler's database is newer than tidemill";
    TM1326 Usage "the scheduler refuses a request";
    TM1330 Unreachable "the REST proxy cannot listen";
    TM1331 Unreachable "the REST proxy gets no answer from Kafka";
    TM1332 Settings "the REST proxy cannot use a Kafka property";
    TM1333 Unreachable "the REST proxy cannot use the schema registry";
    TM1334 DataRefused "what the REST proxy was asked for is not there";
    TM1335 DataRefused "the REST proxy cannot write or read a record";
    TM1336 Usage "the REST proxy refuses a request";
    TM1337 Usage "a consumer instance cannot be used so";
    TM1338 DataRefused "Kafka refuses what the REST proxy asks";
    TM1339 Usage "a bound of the REST proxy is reached";
    TM1400 Settings "the profile is not there";
    TM1401 Settings "a profile cannot be used";
    TM1402 Denied "a role wants an MFA code";
    TM1403 Settings "there is nothing to sign in to";
    TM1404 Denied "the sign-in was refused";
    TM1405 Unreachable "the sign-in service cannot be used";
    TM1406 PartFailed "a credentials file cannot be written";
    TM1407 Settings "a Google sign-in has no OAuth client";
    TM1408 Denied "the credentials have expired";
    TM1430 DataRefused "a field is not of the type it was given";
    TM1431 Usage "a file has no such column or sheet";
    TM1432 Usage "an option of reading cannot be understood";
    TM1433 DataRefused "a text is not in its encoding";
    TM1434 Settings "no file fits a pattern";
    TM1435 Unreachable "an object or an address cannot be fetched";
    TM1436 DataRefused "a JSON document has no records at a path";
    TM1450 Usage "the format of a target cannot be told";
    TM1451 DataRefused "a record does not fit the columns of its file";
    TM1452 Usage "a compression does not fit a format";
    TM1453 DataRefused "the columns of a file cannot be told";
    TM1454 Usage "an option does not fit a source or a target";
    TM1455 DataRefused "a record of a topic cannot be decoded";
    TM1456 DataRefused "there is nothing to update";
    TM1457 Usage "a target cannot be reset";
    TM1458 Usage "a reset was not confirmed";
    TM1459 PartFailed "a reset stopped on the way";
    TM1470 Usage "a load cannot go on";
    TM1471 DataRefused "an input has changed since its load began";
    TM1472 PartFailed "the state of a load cannot be used";
    TM1473 Usage "a pace cannot be understood";
    TM1474 DataRefused "a record gives no key, time or partition";
    TM1475 Usage "an expression cannot be used";
    TM1476 Usage "options of a load contradict each other";
    TM1477 Settings "a contract lacks what its serializer needs";
    TM1478 PartFailed "a transaction did not end";
    TM1479 Usage "there are no such dead letters";
    TM1480 DataRefused "a dead letter cannot be sent again";
    TM1481 Settings "a watched folder cannot be used";
    TM1482 DataRefused "a topic has no such partition";
    TM1483 Settings "a property of a schema registry cannot be used";
    TM1484 Denied "a schema registry refuses access";
    TM1485 DataRefused "a part of a record cannot be sent again alone";
    TM1490 Settings "no records can be made by a contract";
    TM1491 Usage "a setting for an HTTP source does not work";
    TM1492 Unreachable "an HTTP source does not answer";
    TM1493 Denied "an HTTP source refuses access";
    TM1494 Settings "an HTTP source refuses a request";
    TM1495 DataRefused "a page of an HTTP source cannot be read";
    TM1496 DataRefused "the pages of an HTTP source do not end";
    TM1497 Settings "a position is none of an HTTP source's pages";
    TM1510 Unreachable "the keys that sign tokens cannot be fetched";
    TM1511 Settings "a rule for the names of certificates' owners cannot be used";
    TM1512 Settings "new TLS files of the broker cannot be used";
    TM1523 Settings "what the columns of refused records were is not known";
    TM1524 Settings "a topic is no longer the one that was read";
    TM1525 Settings "a topic has no cursor";
    TM1526 Unreachable "a server cannot be trusted";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_rise_and_none_comes_twice() {
        assert!(code::ALL.windows(2).all(|pair| pair[0].id < pair[1].id));
    }

    #[test]
    fn a_spot_counts_lines_and_columns_from_one() {
        let text: Arc<str> = "first\nsecond line\n".into();
        let spot = Spot::Text { path: "a.yaml".into(), text, start: 13, length: 4, label: String::new() };
        assert_eq!(spot.to_string(), "a.yaml:2:8");
    }
}

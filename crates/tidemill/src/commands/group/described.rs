//! Consumer groups (KIP-848) as their coordinator describes them. The safe client has no such call: this file makes the C library's,
//! copies what it says, and hands out no pointer.

use std::{
    collections::BTreeMap,
    ffi::{CStr, CString, c_char},
    ptr, slice,
};

use rdkafka::{
    bindings::{
        rd_kafka_AdminOptions_destroy, rd_kafka_AdminOptions_new, rd_kafka_AdminOptions_set_request_timeout,
        rd_kafka_AdminOptions_t, rd_kafka_ConsumerGroupDescription_error,
        rd_kafka_ConsumerGroupDescription_group_id, rd_kafka_ConsumerGroupDescription_member,
        rd_kafka_ConsumerGroupDescription_member_count, rd_kafka_ConsumerGroupDescription_partition_assignor,
        rd_kafka_ConsumerGroupDescription_state, rd_kafka_ConsumerGroupDescription_t,
        rd_kafka_DescribeConsumerGroups, rd_kafka_DescribeConsumerGroups_result_groups,
        rd_kafka_MemberAssignment_partitions, rd_kafka_MemberDescription_assignment,
        rd_kafka_MemberDescription_client_id, rd_kafka_MemberDescription_consumer_id,
        rd_kafka_MemberDescription_host, rd_kafka_MemberDescription_t, rd_kafka_admin_op_t,
        rd_kafka_consumer_group_state_name, rd_kafka_error_code,
        rd_kafka_event_DescribeConsumerGroups_result, rd_kafka_event_destroy, rd_kafka_event_error,
        rd_kafka_event_t, rd_kafka_queue_destroy, rd_kafka_queue_new, rd_kafka_queue_poll, rd_kafka_queue_s,
        rd_kafka_resp_err_t as Response, rd_kafka_s,
    },
    error::{KafkaError, RDKafkaErrorCode},
};

use super::super::topic::cluster::{Cluster, Error, WAIT};

pub struct Described {
    pub state: String,
    pub assignor: String,
    pub members: Vec<Member>,
}

pub struct Member {
    pub id: String,
    pub client_id: String,
    pub host: String,
    /// What it holds.
    pub partitions: Vec<(String, i32)>,
}

/// A call that is under way, and what it was given; freed together.
struct Asked {
    queue: *mut rd_kafka_queue_s,
    options: *mut rd_kafka_AdminOptions_t,
    event: *mut rd_kafka_event_t,
}

impl Drop for Asked {
    #[expect(unsafe_code, reason = "the C library's objects are raw pointers")]
    fn drop(&mut self) {
        // SAFETY: each was made by the library and is freed once; an event that never came is null, which is taken.
        unsafe {
            rd_kafka_event_destroy(self.event);
            rd_kafka_AdminOptions_destroy(self.options);
            rd_kafka_queue_destroy(self.queue);
        }
    }
}

/// Those of them that are there.
pub fn described(cluster: &Cluster, names: &[&str]) -> Result<BTreeMap<String, Described>, Error> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let admin = cluster.admin()?;
    let asked = tokio::task::block_in_place(|| ask(admin.inner().native_ptr(), names));
    let mut found = BTreeMap::new();
    for (name, group) in read(&asked).map_err(|code| cluster.failed(KafkaError::AdminOp(code)))? {
        match group {
            Ok(group) => _ = found.insert(name, group),
            Err(RDKafkaErrorCode::GroupIdNotFound) => {}
            Err(code) => return Err(cluster.refused(format!("describe group {name}"), code)),
        }
    }
    Ok(found)
}

#[expect(unsafe_code, reason = "the safe client cannot describe consumer groups")]
fn ask(client: *mut rd_kafka_s, names: &[&str]) -> Asked {
    let names: Vec<CString> = names.iter().filter_map(|name| CString::new(*name).ok()).collect();
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let wait_ms = i32::try_from(WAIT.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the client outlives the call, the library copies names and options, and `Asked` frees what is made here.
    unsafe {
        let queue = rd_kafka_queue_new(client);
        let operation = rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS;
        let options = rd_kafka_AdminOptions_new(client, operation);
        rd_kafka_AdminOptions_set_request_timeout(options, wait_ms, ptr::null_mut(), 0);
        rd_kafka_DescribeConsumerGroups(client, pointers.as_mut_ptr(), pointers.len(), options, queue);
        Asked { queue, options, event: rd_kafka_queue_poll(queue, wait_ms) }
    }
}

type Named = (String, Result<Described, RDKafkaErrorCode>);

#[expect(unsafe_code, reason = "reads the C library's answer")]
fn read(asked: &Asked) -> Result<Vec<Named>, RDKafkaErrorCode> {
    if asked.event.is_null() {
        return Err(RDKafkaErrorCode::OperationTimedOut);
    }
    // SAFETY: the event lives as long as `asked`, and its result as long as the event.
    unsafe {
        let error = rd_kafka_event_error(asked.event);
        if error != Response::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(error.into());
        }
        let result = rd_kafka_event_DescribeConsumerGroups_result(asked.event);
        if result.is_null() {
            return Err(RDKafkaErrorCode::Unknown);
        }
        let mut count = 0;
        let groups = rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count);
        let groups = if count == 0 { &[] } else { slice::from_raw_parts(groups, count) };
        Ok(groups.iter().map(|group| self::group(*group)).collect())
    }
}

/// # Safety
/// It is a group of an event that is still there.
#[expect(unsafe_code, reason = "reads the C library's answer")]
unsafe fn group(group: *const rd_kafka_ConsumerGroupDescription_t) -> Named {
    // SAFETY: as the caller says; indices are below the count.
    unsafe {
        let name = text(rd_kafka_ConsumerGroupDescription_group_id(group));
        let error = rd_kafka_error_code(rd_kafka_ConsumerGroupDescription_error(group));
        if error != Response::RD_KAFKA_RESP_ERR_NO_ERROR {
            return (name, Err(error.into()));
        }
        let state = rd_kafka_consumer_group_state_name(rd_kafka_ConsumerGroupDescription_state(group));
        let count = rd_kafka_ConsumerGroupDescription_member_count(group);
        let members = (0..count).map(|at| member(rd_kafka_ConsumerGroupDescription_member(group, at)));
        let assignor = text(rd_kafka_ConsumerGroupDescription_partition_assignor(group));
        (name, Ok(Described { state: text(state), assignor, members: members.collect() }))
    }
}

/// # Safety
/// It is a member of an event that is still there.
#[expect(unsafe_code, reason = "reads the C library's answer")]
unsafe fn member(member: *const rd_kafka_MemberDescription_t) -> Member {
    // SAFETY: as the caller says; a list has as many elements as it tells.
    unsafe {
        let held = rd_kafka_MemberDescription_assignment(member);
        let held = if held.is_null() { ptr::null() } else { rd_kafka_MemberAssignment_partitions(held) };
        let held = match held.as_ref() {
            Some(list) if list.cnt > 0 => slice::from_raw_parts(list.elems, list.cnt.unsigned_abs() as usize),
            _ => &[],
        };
        Member {
            id: text(rd_kafka_MemberDescription_consumer_id(member)),
            client_id: text(rd_kafka_MemberDescription_client_id(member)),
            host: text(rd_kafka_MemberDescription_host(member)),
            partitions: held.iter().map(|place| (text(place.topic), place.partition)).collect(),
        }
    }
}

/// # Safety
/// It is null or ends with a zero.
#[expect(unsafe_code, reason = "reads the C library's answer")]
unsafe fn text(text: *const c_char) -> String {
    // SAFETY: as the caller says.
    if text.is_null() {
        String::new()
    } else {
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    }
}

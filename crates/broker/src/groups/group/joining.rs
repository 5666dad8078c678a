//! Joining: member ids, static members, and how a rebalance begins and completes.

use std::time::Duration;

use bytes::Bytes;
use indexmap::IndexMap;
use kafka_protocol::ResponseError;
use tokio::{sync::oneshot, time::Instant};

use super::{Group, Join, Joined, Member, MemberId, NEW_MEMBER_WAIT, State, Synced, refuse};

impl Group {
    /// `new_id` is used where the member has none yet.
    pub fn join(&mut self, join: Join, new_id: String, answer: oneshot::Sender<Joined>, now: Instant) {
        if self.state == State::Dead {
            return refuse(answer, &join.member_id, ResponseError::CoordinatorNotAvailable);
        }
        if !self.takes_protocols(&join) {
            return refuse(answer, &join.member_id, ResponseError::InconsistentGroupProtocol);
        }
        if join.member_id.is_empty() {
            return self.join_new(join, new_id, answer, now);
        }
        if self.pending.remove(&join.member_id).is_some() {
            let id = join.member_id.clone();
            return self.add_member(join, id.into(), answer, now);
        }
        if let Err(error) = self.check_member(&join.member_id, join.instance_id.as_deref()) {
            return refuse(answer, &join.member_id, error);
        }
        self.join_known(join, answer, now);
    }

    pub(super) fn join_new(
        &mut self,
        join: Join,
        new_id: String,
        answer: oneshot::Sender<Joined>,
        now: Instant,
    ) {
        if let Some(instance_id) = join.instance_id.clone() {
            match self.statics.get(&instance_id).cloned() {
                Some(old_id) => self.replace_static(join, old_id, new_id.into(), answer, now),
                None => self.add_member(join, new_id.into(), answer, now),
            }
        } else if join.member_id_required {
            let until = now + Duration::from_millis(join.session_timeout_ms.max(0) as u64);
            self.pending.insert(new_id.clone(), until);
            refuse(answer, &new_id, ResponseError::MemberIdRequired);
        } else {
            self.add_member(join, new_id.into(), answer, now);
        }
    }

    pub(super) fn join_known(&mut self, join: Join, answer: oneshot::Sender<Joined>, now: Instant) {
        let Some(member) = self.members.get_mut(join.member_id.as_str()) else {
            return refuse(answer, &join.member_id, ResponseError::UnknownMemberId);
        };
        let unchanged = member.protocols == join.protocols;
        let leads = self.leader.as_deref() == Some(&*join.member_id);
        let rebalance = match self.state {
            State::PreparingRebalance => true,
            State::CompletingRebalance => !unchanged,
            State::Stable => leads || !unchanged,
            State::Empty | State::Dead => {
                return refuse(answer, &join.member_id, ResponseError::UnknownMemberId);
            }
        };
        if rebalance {
            member.protocols = join.protocols;
            member.rebalance_timeout_ms = join.rebalance_timeout_ms;
            member.session_timeout_ms = join.session_timeout_ms;
            member.beat(now);
            if let Some(earlier) = member.joining.replace(answer) {
                refuse(earlier, &join.member_id, ResponseError::UnknownMemberId);
            }
            self.prepare_rebalance(now);
        } else {
            // It lost the answer to its join: the same one again, the generation goes on.
            member.beat(now);
            answer.send(self.joined(&join.member_id)).ok();
        }
    }

    pub(super) fn add_member(
        &mut self,
        join: Join,
        id: MemberId,
        answer: oneshot::Sender<Joined>,
        now: Instant,
    ) {
        if self.members.is_empty() {
            self.protocol_type = Some(join.protocol_type);
        }
        if let Some(instance_id) = &join.instance_id {
            self.statics.insert(instance_id.clone(), id.clone());
        }
        self.leader.get_or_insert_with(|| id.clone());
        let member = Member {
            id: id.clone(),
            instance_id: join.instance_id,
            client_id: join.client_id,
            client_host: join.client_host,
            session_timeout_ms: join.session_timeout_ms,
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            protocols: join.protocols,
            assignment: Bytes::new(),
            alive_until: now + NEW_MEMBER_WAIT,
            is_new: true,
            joining: Some(answer),
            syncing: None,
        };
        self.members.insert(id, member);
        if let (Some(latest), Some(_)) = (self.initial_until, self.phase_until) {
            self.phase_until = Some(latest.min(now + self.initial_delay)); // each newcomer extends the first wait
        }
        self.prepare_rebalance(now);
    }

    /// A static member came back under a new id: the old id is fenced, the place in the group is kept (KIP-345).
    pub(super) fn replace_static(
        &mut self,
        join: Join,
        old_id: MemberId,
        new_id: MemberId,
        answer: oneshot::Sender<Joined>,
        now: Instant,
    ) {
        let Some(mut member) = self.members.shift_remove(&old_id) else {
            return self.add_member(join, new_id, answer, now);
        };
        if let Some(earlier) = member.joining.take() {
            refuse(earlier, &old_id, ResponseError::FencedInstanceId);
        }
        if let Some(earlier) = member.syncing.take() {
            earlier.send(Synced::error(ResponseError::FencedInstanceId)).ok();
        }
        let led_before = self.leader.clone();
        let leads = led_before.as_ref() == Some(&old_id);
        if leads {
            self.leader = Some(new_id.clone());
        }
        self.statics.insert(join.instance_id.clone().unwrap_or_default(), new_id.clone());
        member.id = new_id.clone();
        member.protocols = join.protocols;
        member.client_id = join.client_id;
        member.client_host = join.client_host;
        member.session_timeout_ms = join.session_timeout_ms;
        member.rebalance_timeout_ms = join.rebalance_timeout_ms;
        member.beat(now);
        self.members.insert(new_id.clone(), member);
        if self.state == State::Stable && self.protocol == self.select_protocol() {
            self.store_due = true;
            let mut joined = self.joined(&new_id);
            if leads && join.may_skip_assignment {
                joined.skip_assignment = true;
            } else {
                // The old leader's name keeps a client that knows no skipping from assigning anew.
                joined.leader = led_before.map(|id| id.to_string()).unwrap_or_default();
                joined.members.clear();
            }
            answer.send(joined).ok();
            return;
        }
        if let Some(member) = self.members.get_mut(&new_id) {
            member.joining = Some(answer);
        }
        self.prepare_rebalance(now);
    }

    pub(super) fn prepare_rebalance(&mut self, now: Instant) {
        match self.state {
            State::PreparingRebalance => {}
            State::Empty => {
                self.phase_until = Some(now + self.initial_delay);
                self.initial_until = Some(now + self.rebalance_timeout());
                self.state = State::PreparingRebalance;
            }
            State::Stable | State::CompletingRebalance => {
                self.answer_syncs(Some(ResponseError::RebalanceInProgress), now);
                self.storing_generation = None;
                self.phase_until = Some(now + self.rebalance_timeout());
                self.state = State::PreparingRebalance;
            }
            State::Dead => return,
        }
        self.complete_join_if_all(now);
    }

    pub(super) fn complete_join_if_all(&mut self, now: Instant) {
        if self.state != State::PreparingRebalance {
            return;
        }
        let all = self.pending.is_empty() && self.members.values().all(|member| member.joining.is_some());
        let waits_for_more =
            self.initial_until.is_some() && self.phase_until.is_some_and(|until| until > now);
        if all && !waits_for_more {
            self.complete_join(now);
        }
    }

    pub(super) fn complete_join(&mut self, now: Instant) {
        self.initial_until = None;
        let gone: Vec<MemberId> = self
            .members
            .values()
            .filter(|member| member.joining.is_none() && member.instance_id.is_none())
            .map(|member| member.id.clone())
            .collect();
        for id in gone {
            self.remove(&id);
        }
        if self.members.is_empty() {
            self.generation_id += 1;
            self.become_empty();
            return;
        }
        let leader_joined = self
            .leader
            .as_ref()
            .and_then(|id| self.members.get(id))
            .is_some_and(|leader| leader.joining.is_some());
        if !leader_joined {
            let Some(elected) = self.members.values().find(|member| member.joining.is_some()) else {
                self.phase_until = Some(now + self.rebalance_timeout()); // only static members, none back yet
                return;
            };
            self.leader = Some(elected.id.clone());
        }
        self.generation_id += 1;
        self.protocol = self.select_protocol();
        self.state = State::CompletingRebalance;
        self.phase_until = Some(now + self.rebalance_timeout());
        let ids: Vec<MemberId> = self.members.keys().cloned().collect();
        for id in ids {
            let joined = self.joined(&id);
            if let Some(member) = self.members.get_mut(&id)
                && let Some(answer) = member.joining.take()
            {
                member.is_new = false;
                member.beat(now);
                answer.send(joined).ok();
            }
        }
    }

    /// The answer to a member of the running generation.
    pub(super) fn joined(&self, member_id: &str) -> Joined {
        let leader = self.leader.as_deref().unwrap_or_default().to_owned();
        let protocol = self.protocol.clone().unwrap_or_default();
        let members = if leader == member_id {
            let each =
                |member: &Member| (member.id.clone(), member.instance_id.clone(), member.metadata(&protocol));
            self.members.values().map(each).collect()
        } else {
            vec![]
        };
        Joined {
            error: None,
            generation_id: self.generation_id,
            protocol_type: self.protocol_type.clone(),
            protocol: Some(protocol),
            leader,
            member_id: member_id.to_owned(),
            skip_assignment: false,
            members,
        }
    }

    pub(super) fn takes_protocols(&self, join: &Join) -> bool {
        if join.protocol_type.is_empty() || join.protocols.is_empty() {
            return false;
        }
        let others: Vec<&Member> =
            self.members.values().filter(|member| *member.id != *join.member_id).collect();
        if others.is_empty() {
            return true;
        }
        self.protocol_type.as_deref() == Some(&join.protocol_type)
            && join.protocols.iter().any(|(name, _)| {
                others.iter().all(|other| other.protocols.iter().any(|(theirs, _)| theirs == name))
            })
    }

    /// Each member votes for the first of its protocols that all members have.
    pub(super) fn select_protocol(&self) -> Option<String> {
        let all_have = |name: &str| {
            self.members.values().all(|member| member.protocols.iter().any(|(theirs, _)| theirs == name))
        };
        let mut votes: IndexMap<&str, usize> = IndexMap::new();
        for member in self.members.values() {
            if let Some((name, _)) = member.protocols.iter().find(|(name, _)| all_have(name)) {
                *votes.entry(name).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name.to_owned())
    }

    pub(super) fn rebalance_timeout(&self) -> Duration {
        let longest = self.members.values().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0);
        Duration::from_millis(longest.max(0) as u64)
    }
}

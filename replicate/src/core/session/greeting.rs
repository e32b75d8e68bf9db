//! Who is there: the two hellos, and every reason to close a link.

use super::{Phase, Session, Told};
use crate::core::exchange::Records;
use crate::core::id::{LogId, NodeId, Stream};
use crate::core::message::{Cause, FleetId, Hello, Message, Nak, PROTO_MAX, PROTO_MIN, Refused, VectorPart};
use crate::core::message::{ENDS, FLOOR, PAST, VECTOR_MARKS_MAX, WORD_BYTES_MAX};
use crate::core::mutant::{Mutant, is_on};
use crate::core::view::Unreadable;

/// Why a link was closed, for people; short enough for the closing frame of a WebSocket (123 bytes).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The peer belongs to another fleet.
    #[error("the other node belongs to another fleet ({theirs})")]
    OtherFleet {
        /// Which.
        theirs: FleetId,
    },
    /// The peer says it is another node than the one whose key it has.
    #[error("the other node gives the name {says}, its key is another node's")]
    OtherNode {
        /// What it says.
        says: NodeId,
    },
    /// The peer has our name.
    #[error("the other node has this node's own name: a copied disk, or a node that dialled itself")]
    OwnNode,
    /// There is no protocol both speak.
    #[error("the other node speaks protocols {}..{}, this one {PROTO_MIN}..{PROTO_MAX}: update the older", .theirs.0, .theirs.1)]
    OtherProtocol {
        /// The oldest and newest the peer speaks.
        theirs: (u32, u32),
    },
    /// The peer did not say hello, in time or first.
    #[error("the other node did not say who it is")]
    NoHello,
    /// The peer is not heard any more.
    #[error("nothing was heard for {for_ms} ms")]
    Silent {
        /// How long.
        for_ms: u64,
    },
    /// The peer sent more than it had credit for.
    #[error("the other node sent more than it was allowed")]
    BeyondCredit,
    /// The peer tells of more logs than a fleet has.
    #[error("the other node knows more logs than this one can hold")]
    TooManyLogs,
    /// The peer does not keep to the protocol.
    #[error("the other node broke the protocol: {0}")]
    Breach(&'static str),
    /// Our own transport did not take what there was to send.
    #[error("what was to be sent was not taken")]
    NotTaken,
}

impl Session {
    pub(super) fn opened(&mut self, now_ms: u64, peer: NodeId, records: &impl Records) -> Result<(), Unreadable> {
        self.peer = Some(peer);
        self.phase = Phase::Greeting(now_ms);
        if peer == self.me.origin.node {
            self.close(Reason::OwnNode);
            return Ok(());
        }
        let stands = self.stands(records)?;
        let me = &self.me;
        let mut build = me.build.clone();
        build.truncate(build.floor_char_boundary(WORD_BYTES_MAX));
        let hello = Hello {
            proto: (PROTO_MIN, PROTO_MAX),
            fleet: me.fleet,
            node: me.origin.node,
            inc: me.origin.inc,
            nonce: me.origin.nonce,
            boot: me.boot,
            build,
            kinds: me.kinds.clone(),
            features: me.features.iter().cloned().chain([FLOOR, PAST, ENDS].map(str::to_string)).collect(),
            wants: me.wants.clone(),
            seen: me.seen,
            time: me.clock.at(now_ms),
            floor: Vec::new(),
            stands,
        };
        self.say(Message::Hello(Box::new(hello)));
        Ok(())
    }

    pub(super) fn greeted(&mut self, now_ms: u64, hello: Box<Hello>, records: &impl Records) -> Result<(), Unreadable> {
        if let Some(reason) = self.objection(&hello) {
            self.close(reason);
            return Ok(());
        }
        self.times.heard_ms = now_ms;
        self.phase = Phase::Talking;
        self.proto = hello.proto.1.min(PROTO_MAX);
        let origin = hello.origin();
        self.below.peer = hello.stands;
        self.known.keeps(hello.wish());
        self.tell(Told::Hello(hello.clone()));
        self.hello = Some(hello.into());
        // Two nodes under one name have drawn two nonces. What one of them wrote came here by some way.
        for stream in Stream::ALL {
            let log = origin.log(stream);
            if records.end(log)?.is_some_and(|head| head.nonce != origin.nonce) && !is_on(Mutant::NonceIgnored) {
                self.tell(Told::Clone { node: log.node, inc: log.inc });
                self.warn();
                break;
            }
        }
        self.ping(now_ms);
        self.tell_vectors(&Stream::ALL, records)?;
        self.told_all();
        Ok(())
    }

    fn objection(&self, hello: &Hello) -> Option<Reason> {
        if hello.fleet != self.me.fleet {
            return Some(Reason::OtherFleet { theirs: hello.fleet });
        }
        if hello.node == self.me.origin.node {
            return Some(Reason::OwnNode);
        }
        if self.peer != Some(hello.node) {
            return Some(Reason::OtherNode { says: hello.node });
        }
        let speaks_ours = hello.proto.0 <= PROTO_MAX && hello.proto.1 >= PROTO_MIN && hello.proto.0 <= hello.proto.1;
        (!speaks_ours).then_some(Reason::OtherProtocol { theirs: hello.proto })
    }

    /// Tells the peer that two nodes use its name. What it writes is left alone on this link.
    pub(super) fn warn(&mut self) {
        let Some(origin) = self.hello.as_ref().map(|hello| hello.origin()) else { return };
        for stream in Stream::ALL {
            self.known.leave_alone(origin.log(stream));
        }
        let places = vec![Refused { at: origin.log(Stream::Sec).at(1), why: Cause::Clone, have: None }];
        self.say(Message::Nak(Nak { number: 0, stream: Stream::Sec, why: None, places }));
    }

    /// Tells how far this node is in the logs that it keeps of these streams. An older build takes a vector of a stream for the
    /// wish for all of it: it is told only of those that are wanted whole.
    pub(super) fn tell_vectors(&mut self, streams: &[Stream], records: &impl Records) -> Result<(), Unreadable> {
        let knows_past = self.peer_says(PAST) && !is_on(Mutant::PastForgotten);
        for stream in Stream::ALL.into_iter().filter(|stream| streams.contains(stream)) {
            if knows_past || self.me.wants.contains(&stream) {
                self.tell_vector(stream, records)?;
            }
        }
        Ok(())
    }

    fn tell_vector(&mut self, stream: Stream, records: &impl Records) -> Result<(), Unreadable> {
        let mine = self.known.mine();
        let is_kept = |(node, inc): (NodeId, u32)| mine.covers(LogId { stream, node, inc });
        let mut marks: Vec<_> = records.vector(stream)?.into_iter().filter(|(writer, _)| is_kept(*writer)).collect();
        if is_on(Mutant::VectorBeforeData) {
            let others = marks.iter_mut().filter(|((node, _), _)| *node != self.me.origin.node);
            others.for_each(|(_, mark)| mark.seq += 1);
        }
        let mut parts = marks.chunks(VECTOR_MARKS_MAX).peekable();
        if parts.peek().is_none() {
            self.say(Message::Vector(VectorPart { stream, is_last: true, marks: Vec::new() }));
        }
        while let Some(part) = parts.next() {
            let (is_last, marks) = (parts.peek().is_none(), part.to_vec());
            self.say(Message::Vector(VectorPart { stream, is_last, marks }));
        }
        Ok(())
    }
}

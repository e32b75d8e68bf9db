//! Recorders that are seen on the network (DNS-SD over multicast DNS, RFC 6762 and 6763): each says who it is and hears the
//! others.
//!
//! Lives here: what is announced, and what of all that is heard is kept. All of it is anybody's word: bounded, of plain
//! characters, believed by nobody. A box that nobody has claimed may be invited by a person; at an address where a member was
//! seen it is dialled beside those of the roster, for it proves itself by its key. Does not live here: sockets (`mdns`).

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Fleet, held};
use crate::store::fleet::Member;
use crate::store::{Id, StoreError};

/// Services that are kept; others are only counted.
pub const SERVICES_MAX: usize = 256;
/// Addresses of one.
const ADDRESSES_MAX: usize = 4;
/// Characters of what one calls itself, and of each other word it says.
const WORD_CHARS_MAX: usize = 64;
/// What a box that nobody has claimed gives for its id.
const UNCLAIMED: &str = "unclaimed";
/// Characters of a key, and of a fleet's id, that are told: enough to tell them apart.
const KEY_CHARS: usize = 16;
const FLEET_CHARS: usize = 8;

/// What a recorder says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Its id; none if nobody has claimed it.
    pub node: Option<Id>,
    /// What it calls itself.
    pub name: String,
    /// The first characters of its fleet's id; empty without one.
    pub fleet: String,
    /// The first characters of its key.
    pub key: String,
    /// The four words of its certificate, as its own page shows them.
    pub words: String,
    /// Its program.
    pub version: String,
}

/// A recorder on the network, as this node heard of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    said: Said,
    /// `host:port`.
    addresses: Vec<String>,
    heard: Timestamp,
}

/// All that was heard.
#[derive(Debug, Clone, Default)]
pub struct Nearby {
    /// It is listened, if nothing keeps it from that.
    is_on: bool,
    trouble: Option<String>,
    services: BTreeMap<String, Service>,
    /// Beyond [`SERVICES_MAX`].
    more: u64,
}

/// What is seen on the network.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct NearbyView {
    /// This node announces itself and listens.
    pub is_on: bool,
    /// Why it is not heard, or hears nothing.
    pub trouble: Option<String>,
    /// Recorders, those that can be invited first.
    pub items: Vec<NearbyNode>,
    /// How many more were heard and are not kept.
    pub more: u64,
}

/// A recorder on the network. All it says is unproven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct NearbyNode {
    /// `unclaimed` (it can be invited), `stranger` (it says it is of this fleet, and the roster does not know it or its key),
    /// `member`, or `other_fleet`.
    pub kind: &'static str,
    /// Its id; none if nobody has claimed it.
    pub node_id: Option<String>,
    /// What it calls itself.
    pub name: String,
    /// The four words that its own page shows.
    pub words: String,
    /// Its program.
    pub version: String,
    /// Where it is.
    pub addresses: Vec<String>,
    /// Of a member: it is at an address that the roster lacks, and is tried there as well.
    pub is_elsewhere: bool,
    /// When it was heard last.
    #[schema(value_type = String, format = "date-time")]
    pub heard: Timestamp,
}

impl Said {
    /// As it is announced: name and value of each word (RFC 6763, section 6).
    pub fn announced(&self) -> [(&'static str, String); 7] {
        [
            ("v", "1".to_owned()),
            ("id", self.node.map_or(UNCLAIMED.to_owned(), |node| node.to_string())),
            ("name", self.name.clone()),
            ("fleet", self.fleet.clone()),
            ("key", self.key.clone()),
            ("words", self.words.clone()),
            ("version", self.version.clone()),
        ]
    }

    /// What was announced; nothing if it is not what one of ours says.
    pub fn read(word: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let plain = |name: &str| word(name).map(|text| plain(&text)).unwrap_or_default();
        let hex = |name: &str, chars: usize| {
            let text = word(name).unwrap_or_default();
            let is_hex = text.len() == chars && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_hex.then(|| text.to_ascii_lowercase())
        };
        let node = match word("id")?.as_str() {
            UNCLAIMED => None,
            id => Some(id.parse().ok()?),
        };
        Some(Self {
            node,
            name: plain("name"),
            fleet: hex("fleet", FLEET_CHARS).unwrap_or_default(),
            key: hex("key", KEY_CHARS)?,
            words: plain("words").chars().filter(|c| c.is_ascii_lowercase() || *c == '-').collect(),
            version: plain("version"),
        })
    }

    /// The beginning of a fleet's id, as it is announced.
    pub fn fleet_of(id: Id) -> String {
        id.0.simple().to_string().chars().take(FLEET_CHARS).collect()
    }

    /// The beginning of a key.
    pub fn key_of(spki: &str) -> String {
        spki.chars().take(KEY_CHARS).collect()
    }
}

/// Letters, digits, blanks and common signs; what turns the reading direction or draws over its neighbours does not come in.
fn plain(text: &str) -> String {
    let is_plain = |c: &char| c.is_alphanumeric() || " -_.,:()'/&+#".contains(*c);
    text.chars().filter(is_plain).take(WORD_CHARS_MAX).collect()
}

impl Service {
    /// Of what was said, from addresses; nothing if it is nowhere.
    pub fn at(said: Said, addresses: impl Iterator<Item = IpAddr>, port: u16, heard: Timestamp) -> Option<Self> {
        // An address that is of one link only cannot be told to anybody else.
        let is_usable = |ip: &IpAddr| match ip {
            IpAddr::V4(ip) => !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast(),
            IpAddr::V6(ip) => !ip.is_unspecified() && !ip.is_multicast() && !ip.is_unicast_link_local(),
        };
        let mut addresses: Vec<IpAddr> = addresses.filter(is_usable).collect();
        addresses.sort();
        addresses.dedup();
        addresses.truncate(ADDRESSES_MAX);
        let addresses: Vec<String> =
            addresses.into_iter().map(|ip| std::net::SocketAddr::new(ip, port).to_string()).collect();
        (port != 0 && !addresses.is_empty()).then_some(Self { said, addresses, heard })
    }
}

impl Nearby {
    /// Somebody announced itself. Whether that is news.
    pub fn hear(&mut self, name: &str, service: Service) -> bool {
        if self.services.len() >= SERVICES_MAX && !self.services.contains_key(name) {
            self.more += 1;
            return false;
        }
        let is_same = |known: &Service| (&known.said, &known.addresses) == (&service.said, &service.addresses);
        let is_news = !self.services.get(name).is_some_and(is_same);
        self.services.insert(name.chars().take(4 * WORD_CHARS_MAX).collect(), service);
        is_news
    }

    /// Somebody said good-bye, or was not heard for too long. Whether they were known.
    pub fn forget(&mut self, name: &str) -> bool {
        self.services.remove(&name.chars().take(4 * WORD_CHARS_MAX).collect::<String>()).is_some()
    }

    /// It is listened from now on, or not, and why not. Whether that is news.
    pub fn is(&mut self, is_on: bool, trouble: Option<String>) -> bool {
        let is_news = (self.is_on, &self.trouble) != (is_on, &trouble);
        (self.is_on, self.trouble) = (is_on, trouble);
        is_news
    }

    /// Where a member was seen, as far as the one who said so gave its key.
    pub fn addresses_of(&self, member: Id, spki: &str) -> Vec<String> {
        let is_it = |service: &&Service| service.said.node == Some(member) && service.said.key == Said::key_of(spki);
        self.services.values().filter(is_it).flat_map(|service| service.addresses.clone()).take(ADDRESSES_MAX).collect()
    }

    /// As it is shown; `us` and its key are left out, `fleet` is ours.
    pub fn view(&self, us: (Id, &str), fleet: Option<Id>, members: &[Member]) -> NearbyView {
        let ours = fleet.map(Said::fleet_of);
        let others = self.services.values().filter(|service| service.said.key != Said::key_of(us.1));
        let mut items: Vec<NearbyNode> = others.map(|service| service.view(ours.as_deref(), members)).collect();
        let order = ["unclaimed", "stranger", "member", "other_fleet"];
        items.sort_by_key(|item| (order.iter().position(|kind| *kind == item.kind), item.name.clone()));
        NearbyView { is_on: self.is_on, trouble: self.trouble.clone(), items, more: self.more }
    }
}

impl Service {
    fn view(&self, fleet: Option<&str>, members: &[Member]) -> NearbyNode {
        let Said { node, name, key, words, version, .. } = self.said.clone();
        let has_key = |member: &&Member| member.key.as_ref().is_some_and(|known| Said::key_of(&known.spki) == key);
        // What a member announced before it was one is heard for a while.
        let member = members.iter().filter(|member| !member.is_retired).find(has_key);
        let member = member.filter(|member| node.is_none_or(|node| node == member.id));
        let kind = match (node, member) {
            (_, Some(_)) => "member",
            (None, None) => "unclaimed",
            (Some(_), None) if fleet == Some(&self.said.fleet) => "stranger",
            (Some(_), None) => "other_fleet",
        };
        let is_known = |address: &String| member.is_none_or(|member| member.profile.addresses.contains(address));
        NearbyNode {
            kind,
            node_id: member.map(|member| member.id).or(node).map(|node| node.to_string()),
            name: if name.is_empty() { "no name".to_owned() } else { name },
            words,
            version,
            addresses: self.addresses.clone(),
            is_elsewhere: member.is_some() && !self.addresses.iter().any(is_known),
            heard: self.heard,
        }
    }
}

impl Fleet {
    /// What is seen on the network. Blocks for the roster.
    ///
    /// # Errors
    /// The records cannot be read.
    pub fn nearby(&self) -> Result<NearbyView, StoreError> {
        let (store, spki) = (&self.0.store, crate::access::fleet::hex(&self.0.identity.spki));
        let (fleet, members) = (store.fleet()?.map(|fleet| fleet.id), store.members()?);
        Ok(held(&self.0.nearby).view((store.node(), &spki), fleet, &members))
    }

    /// What this node announces of itself; nothing before it knows. Blocks for the records.
    pub(super) fn said(&self) -> Option<Said> {
        let us = self.0.access.us()?;
        let is_claimed = self.0.access.is_claimed().ok()?;
        let fleet = self.0.store.fleet().ok()?.map(|fleet| Said::fleet_of(fleet.id));
        Some(Said {
            node: Some(self.0.store.node()).filter(|_| is_claimed),
            name: plain(&us.name),
            fleet: fleet.unwrap_or_default(),
            key: Said::key_of(&crate::access::fleet::hex(&us.spki)),
            words: self.0.identity.words(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::fleet::{Key, Profile};

    fn at() -> Timestamp {
        Timestamp::from_second(1_790_000_000).unwrap()
    }

    fn said(node: Option<Id>, key: u8) -> Said {
        Said {
            node,
            name: "Hall B".into(),
            fleet: "0199aaaa".into(),
            key: format!("{key:02x}").repeat(8),
            words: "amber-otter-violin-crane".into(),
            version: "0.5.0".into(),
        }
    }

    fn service(said: Said, address: &str) -> Service {
        Service::at(said, [address.parse().unwrap()].into_iter(), 8443, at()).unwrap()
    }

    fn member(id: Id, key: u8) -> Member {
        Member {
            id,
            key: Some(Key { spki: format!("{key:02x}").repeat(32), certificate: String::new() }),
            profile: Profile {
                name: "Hall B".into(),
                addresses: vec!["192.0.2.2:8443".into()],
                priority: 0,
                is_keeper: true,
                is_candidate: true,
                weight: 1,
            },
            joined: None,
            is_retired: false,
            version: String::new(),
        }
    }

    #[test]
    fn what_is_announced_is_read_as_it_was_said() {
        for said in [said(Some(Id::of_name("b")), 7), said(None, 7)] {
            let words = said.announced();
            let read = Said::read(|name| words.iter().find(|(word, _)| *word == name).map(|(_, value)| value.clone()));
            assert_eq!(read, Some(said));
        }
    }

    #[test]
    fn each_is_called_what_it_is_and_we_are_not_among_them() {
        let ids = ["us", "b", "c", "d"].map(Id::of_name);
        let mut nearby = Nearby::default();
        nearby.hear("us", service(said(Some(ids[0]), 1), "192.0.2.1"));
        nearby.hear("b", service(said(Some(ids[1]), 2), "192.0.2.2"));
        nearby.hear("moved", service(said(Some(ids[2]), 3), "192.0.2.33"));
        nearby.hear("impostor", service(said(Some(ids[1]), 9), "192.0.2.66"));
        nearby.hear("other", service(Said { fleet: "ffffffff".into(), ..said(Some(ids[3]), 4) }, "192.0.2.4"));
        nearby.hear("was new", service(said(None, 2), "192.0.2.2"));
        nearby.hear("new", service(said(None, 5), "192.0.2.5"));
        let members = [member(ids[0], 1), member(ids[1], 2), member(ids[2], 3)];
        let fleet = Id("0199aaaa-0000-7000-8000-000000000001".parse().unwrap());

        let view = nearby.view((ids[0], &"01".repeat(32)), Some(fleet), &members);

        let told: Vec<_> = view.items.iter().map(|item| (item.kind, &*item.addresses[0], item.is_elsewhere)).collect();
        let expected = [
            ("unclaimed", "192.0.2.5:8443", false),
            ("stranger", "192.0.2.66:8443", false),
            ("member", "192.0.2.2:8443", false),
            ("member", "192.0.2.33:8443", true),
            ("member", "192.0.2.2:8443", false),
            ("other_fleet", "192.0.2.4:8443", false),
        ];
        assert_eq!(told, expected);
        assert_eq!(nearby.addresses_of(ids[2], &"03".repeat(32)), ["192.0.2.33:8443"]);
        assert_eq!(nearby.addresses_of(ids[1], &"02".repeat(32)), ["192.0.2.2:8443"], "not the impostor's");
    }

    #[test]
    fn only_so_many_are_kept_and_what_changes_is_news() {
        let mut nearby = Nearby::default();
        for number in 0..SERVICES_MAX + 5 {
            nearby.hear(&number.to_string(), service(said(None, 7), "192.0.2.1"));
        }
        assert_eq!((nearby.services.len(), nearby.more), (SERVICES_MAX, 5));
        assert!(!nearby.hear("0", service(said(None, 7), "192.0.2.1")));
        assert!(nearby.hear("0", service(said(None, 7), "192.0.2.2")));
        assert!(nearby.forget("0") && !nearby.forget("0"));
        assert!(nearby.is(true, None) && !nearby.is(true, None) && nearby.is(true, Some("no network".into())));
    }

    #[test]
    fn an_address_that_leads_nowhere_is_none() {
        for address in ["0.0.0.0", "224.0.0.251", "255.255.255.255", "::", "ff02::fb", "fe80::1"] {
            assert_eq!(
                Service::at(said(None, 7), [address.parse().unwrap()].into_iter(), 8443, at()),
                None,
                "{address}"
            );
        }
        assert_eq!(Service::at(said(None, 7), ["192.0.2.1".parse().unwrap()].into_iter(), 0, at()), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn what_anybody_announces_is_short_and_plain_or_nothing(
            id in "(unclaimed|.{0,40})", texts in prop::collection::vec(".{0,300}", 5),
        ) {
            let names = ["name", "fleet", "key", "words", "version"];
            let word = |name: &str| match name {
                "id" => Some(id.clone()),
                name => names.iter().position(|known| *known == name).map(|at| texts[at].clone()),
            };
            let key = |name: &str| if name == "key" { Some("0a".repeat(8)) } else { word(name) };
            let _ = Said::read(word);
            if let Some(said) = Said::read(key) {
                for text in [said.name, said.fleet, said.key, said.words, said.version] {
                    prop_assert!(text.chars().count() <= WORD_CHARS_MAX);
                    let is_odd = text.contains(['<', '>', '"', '\u{202e}', '\n', '\0']);
                    prop_assert!(!is_odd, "{:?}", text);
                }
            }
        }
    }
}

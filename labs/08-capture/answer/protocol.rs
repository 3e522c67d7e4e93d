// SPDX-License-Identifier: GPL-2.0-only

//! The protocol of a frame, by its first bytes.
//!
//! The bytes come from an unknown sender: any of them may be missing or wrong.

// --- answer
/// Place of the EtherType in an Ethernet header.
const ETHERTYPE: usize = 12;
/// Places of the IPv4 header in a frame, and of the fragment's offset and the protocol in it.
const IPV4: usize = 14;
const FRAGMENT: usize = IPV4 + 6;
const PROTOCOL: usize = IPV4 + 9;

// --- end
/// The protocols that have counters of their own.
#[derive(Clone, Copy)]
// --- starter
//| #[allow(dead_code, reason = "until `of` makes all of them")]
// --- end
pub(crate) enum Protocol {
    Arp,
    Icmp,
    Tcp,
    Udp,
    /// Every other protocol over IPv4.
    Ipv4,
    Ipv6,
    Other,
}

impl Protocol {
    /// All protocols, in the order of their values as `usize`.
    pub(crate) const ALL: [Self; 7] = [
        Self::Arp,
        Self::Icmp,
        Self::Tcp,
        Self::Udp,
        Self::Ipv4,
        Self::Ipv6,
        Self::Other,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Arp => "arp",
            Self::Icmp => "icmp",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Other => "other",
        }
    }
}

/// Returns the protocol of a frame that begins with these bytes.
// --- starter
//| pub(crate) fn of(_frame: &[u8]) -> Protocol {
//|     // YOURS (protocols): decide by the EtherType, and for IPv4 by its protocol.
//|     // YOURS (malformed): a frame may end anywhere: `frame.get(…)` in place of `frame[…]`.
//|     Protocol::Other
//| }
// --- answer
pub(crate) fn of(frame: &[u8]) -> Protocol {
    match frame.get(ETHERTYPE..ETHERTYPE + 2) {
        Some([0x08, 0x06]) => Protocol::Arp,
        Some([0x08, 0x00]) => match frame.get(PROTOCOL) {
            Some(1) => Protocol::Icmp,
            Some(6) => Protocol::Tcp,
            Some(17) => Protocol::Udp,
            _ => Protocol::Ipv4,
        },
        Some([0x86, 0xdd]) => Protocol::Ipv6,
        _ => Protocol::Other,
    }
}
// --- end

/// Returns source and destination port of a frame of TCP or UDP over IPv4 that begins with these
/// bytes.
// --- starter
//| #[allow(dead_code, reason = "until main.rs asks for them")]
//| pub(crate) fn ports(_frame: &[u8]) -> Option<(u16, u16)> {
//|     // YOURS (port, malformed): the ports lie behind the IPv4 header, which contains its own length.
//|     // A fragment other than the first has no ports.
//|     None
//| }
// --- answer
///
/// A fragment other than the first has no ports.
pub(crate) fn ports(frame: &[u8]) -> Option<(u16, u16)> {
    if !matches!(of(frame), Protocol::Tcp | Protocol::Udp) {
        return None;
    }
    let words = usize::from(frame.get(IPV4)? & 0x0f);
    let fragment = frame.get(FRAGMENT..FRAGMENT + 2)?;
    if words < 5 || fragment[0] & 0x1f != 0 || fragment[1] != 0 {
        return None;
    }
    let at = IPV4 + 4 * words;
    match frame.get(at..at + 4)? {
        &[a, b, c, d] => Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))),
        _ => None,
    }
}
// --- end

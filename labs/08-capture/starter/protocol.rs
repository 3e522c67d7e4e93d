// SPDX-License-Identifier: GPL-2.0-only

//! The protocol of a frame, by its first bytes.
//!
//! The bytes come from an unknown sender: any of them may be missing or wrong.

/// The protocols that have counters of their own.
#[derive(Clone, Copy)]
#[allow(dead_code, reason = "until `of` makes all of them")]
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
pub(crate) fn of(_frame: &[u8]) -> Protocol {
    // YOURS (protocols): decide by the EtherType, and for IPv4 by its protocol.
    // YOURS (malformed): a frame may end anywhere: `frame.get(…)` in place of `frame[…]`.
    Protocol::Other
}

/// Returns source and destination port of a frame of TCP or UDP over IPv4 that begins with these
/// bytes.
#[allow(dead_code, reason = "until main.rs asks for them")]
pub(crate) fn ports(_frame: &[u8]) -> Option<(u16, u16)> {
    // YOURS (port, malformed): the ports lie behind the IPv4 header, which contains its own length.
    // A fragment other than the first has no ports.
    None
}

// SPDX-License-Identifier: GPL-2.0-only

//! What a frame carries, by its first bytes.
//!
//! They come from a stranger: any of them may be missing or wrong.

/// The protocols that are counted apart.
#[derive(Clone, Copy)]
#[allow(dead_code, reason = "until `of` makes all of them")]
pub(crate) enum Protocol {
    Arp,
    Icmp,
    Tcp,
    Udp,
    /// The others over IPv4.
    Ipv4,
    Ipv6,
    Other,
}

impl Protocol {
    /// All of them, each at the place that `as usize` gives it.
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

/// What a frame carries that begins with these bytes.
pub(crate) fn of(_frame: &[u8]) -> Protocol {
    // YOURS (protocols): by the EtherType, and in IPv4 by the protocol.
    // YOURS (malformed): a frame may end anywhere: `frame.get(…)` in place of `frame[…]`.
    Protocol::Other
}

/// The ports, source and destination, of a frame of TCP or UDP over IPv4 that begins with these bytes.
#[allow(dead_code, reason = "until main.rs asks for them")]
pub(crate) fn ports(_frame: &[u8]) -> Option<(u16, u16)> {
    // YOURS (port, malformed): behind the IPv4 header, as long as that says it is. A fragment other
    // than the first has no ports.
    None
}

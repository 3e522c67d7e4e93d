// SPDX-License-Identifier: GPL-2.0-only

//! What a frame carries, by its first bytes. The numbers are IANA's.

/// Where the EtherType stands in an Ethernet header.
const ETHERTYPE: usize = 12;
/// Where the protocol stands in a frame with an IPv4 header.
const IPV4_PROTOCOL: usize = 14 + 9;

/// The protocols that are counted apart.
#[derive(Clone, Copy)]
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

/// How many there are.
pub(crate) const COUNT: usize = Protocol::ALL.len();

/// What a frame carries that begins with these bytes.
pub(crate) fn of(frame: &[u8]) -> Protocol {
    match frame.get(ETHERTYPE..ETHERTYPE + 2) {
        Some([0x08, 0x06]) => Protocol::Arp,
        Some([0x08, 0x00]) => match frame.get(IPV4_PROTOCOL) {
            Some(1) => Protocol::Icmp,
            Some(6) => Protocol::Tcp,
            Some(17) => Protocol::Udp,
            _ => Protocol::Ipv4,
        },
        Some([0x86, 0xdd]) => Protocol::Ipv6,
        _ => Protocol::Other,
    }
}

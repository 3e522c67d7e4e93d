// SPDX-License-Identifier: GPL-2.0-only

//! The protocol of a frame, by its first bytes. The numbers are IANA's.

/// Place of the EtherType in an Ethernet header.
const ETHERTYPE: usize = 12;
/// Place of the protocol in a frame with an IPv4 header.
const IPV4_PROTOCOL: usize = 14 + 9;

/// The protocols that have counters of their own.
#[derive(Clone, Copy)]
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

/// Number of protocols.
pub(crate) const COUNT: usize = Protocol::ALL.len();

/// Returns the protocol of a frame that begins with these bytes.
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

//! Networks of IP addresses.

use std::net::IpAddr;

/// Addresses that begin alike (RFC 4632).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    bits: u32,
}

impl Network {
    /// Read `10.0.0.0/8` or `::1`; without a length it is one address.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let first: IpAddr = address.parse().map_err(|_| format!("{text:?} is no IP address or network"))?;
        let most = if first.is_ipv4() { 32 } else { 128 };
        let bits = length.map_or(Ok(most), str::parse).map_err(|_| format!("{text:?}: the length is no number"))?;
        if bits > most {
            return Err(format!("{text:?}: the length is more than {most}"));
        }
        Ok(Self { first, bits })
    }

    /// Return whether `address` lies in it. A network of one family holds no address of the other.
    pub fn holds(&self, address: IpAddr) -> bool {
        match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                (u32::from(first) ^ u32::from(address)).checked_shr(32 - self.bits).unwrap_or(0) == 0
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                (u128::from(first) ^ u128::from(address)).checked_shr(128 - self.bits).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// Return the IP address of `10.0.0.1:80`, `[::1]:80`, `10.0.0.1` or `::1`; a unix socket has none.
pub fn address_of(text: &str) -> Option<IpAddr> {
    socket_of(text).map(|(address, _)| address)
}

/// Return address and port of `10.0.0.1:80` or `[::1]:80`; without a port it is 0.
pub fn socket_of(text: &str) -> Option<(IpAddr, u16)> {
    match text.parse::<std::net::SocketAddr>() {
        Ok(socket) => Some((socket.ip(), socket.port())),
        Err(_) => text.parse().ok().map(|address| (address, 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(network: &str, address: &str) -> bool {
        Network::parse(network).unwrap().holds(address.parse().unwrap())
    }

    #[test]
    fn a_network_holds_what_begins_like_it() {
        for (network, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.4", false),
            ("0.0.0.0/0", "200.1.1.1", true),
            ("0.0.0.0/0", "::1", false),
            ("fd00::/8", "fdff::1", true),
            ("::/0", "fe80::1", true),
            ("::1", "::2", false),
        ] {
            assert_eq!(holds(network, address), expected, "{network} {address}");
        }
    }

    #[test]
    fn what_is_no_network_is_told() {
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/x", "10.0.0.0/-1"] {
            assert!(Network::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_are_read_with_and_without_their_ports() {
        assert_eq!(socket_of("[::1]:80"), Some(("::1".parse().unwrap(), 80)));
        assert_eq!(address_of("10.0.0.1:443"), Some("10.0.0.1".parse().unwrap()));
        assert_eq!((address_of("::1"), address_of("unix")), (Some("::1".parse().unwrap()), None));
    }
}

//! Domain types to wire types and back: how a type's fields become fields of its wire type.
//!
//! Domain types do not know that they are written down. A wire type is made by `mirror!`, which names every field: a field
//! added to the domain type does not compile until it is in the recording too.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::net::{Ipv4Addr, SocketAddr};

/// A type that can be in a recording.
pub(super) trait Mirror: Sized {
    type Wire: Serialize + DeserializeOwned;
    fn wire(&self) -> Self::Wire;
    fn domain(wire: Self::Wire) -> Self;
}

/// Types that are their own wire type.
macro_rules! plain {
    ($($plain:ty),*) => {$(
        impl Mirror for $plain {
            type Wire = Self;
            fn wire(&self) -> Self {
                self.clone()
            }
            fn domain(wire: Self) -> Self {
                wire
            }
        }
    )*};
}
plain!(bool, u8, u32, u64, String);

impl<T: Mirror> Mirror for Option<T> {
    type Wire = Option<T::Wire>;
    fn wire(&self) -> Self::Wire {
        self.as_ref().map(T::wire)
    }
    fn domain(wire: Self::Wire) -> Self {
        wire.map(T::domain)
    }
}

impl<T: Mirror> Mirror for Vec<T> {
    type Wire = Vec<T::Wire>;
    fn wire(&self) -> Self::Wire {
        self.iter().map(T::wire).collect()
    }
    fn domain(wire: Self::Wire) -> Self {
        wire.into_iter().map(T::domain).collect()
    }
}

/// Nanoseconds since the epoch: 64 bits last until the year 2262.
impl Mirror for i128 {
    type Wire = i64;
    fn wire(&self) -> i64 {
        i64::try_from(*self).unwrap_or(i64::MAX)
    }
    fn domain(wire: i64) -> Self {
        Self::from(wire)
    }
}

/// A socket address with a default, for files that do not have it.
#[derive(Clone, Copy, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub(super) struct Address(SocketAddr);

impl Default for Address {
    fn default() -> Self {
        Self((Ipv4Addr::UNSPECIFIED, 0).into())
    }
}

impl Mirror for SocketAddr {
    type Wire = Address;
    fn wire(&self) -> Address {
        // Flow label and scope are no part of the text form.
        Address((self.ip(), self.port()).into())
    }
    fn domain(wire: Address) -> Self {
        wire.0
    }
}

/// A struct's wire type, named field by field. A field that a file does not have is the default.
macro_rules! mirror {
    ($domain:ident as $wire:ident { $($field:ident: $type:ty),* $(,)? }) => {
        #[derive(Default, serde::Serialize, serde::Deserialize)]
        #[serde(default)]
        pub(super) struct $wire {
            $($field: <$type as Mirror>::Wire,)*
        }

        impl Mirror for $domain {
            type Wire = $wire;
            fn wire(&self) -> $wire {
                $wire { $($field: self.$field.wire(),)* }
            }
            fn domain(wire: $wire) -> Self {
                Self { $($field: Mirror::domain(wire.$field),)* }
            }
        }
    };
}

/// An enum's wire type: its variants as words.
macro_rules! mirror_words {
    ($domain:ident as $wire:ident { $first:ident $(, $variant:ident)* $(,)? }) => {
        #[derive(Default, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub(super) enum $wire {
            #[default]
            $first,
            $($variant,)*
        }

        impl Mirror for $domain {
            type Wire = $wire;
            fn wire(&self) -> $wire {
                match self {
                    Self::$first => $wire::$first,
                    $(Self::$variant => $wire::$variant,)*
                }
            }
            fn domain(wire: $wire) -> Self {
                match wire {
                    $wire::$first => Self::$first,
                    $($wire::$variant => Self::$variant,)*
                }
            }
        }
    };
}

pub(super) use {mirror, mirror_words};

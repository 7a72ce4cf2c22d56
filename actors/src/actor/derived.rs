//! Addresses that take a part of an actor's messages: whoever sends knows that part alone, and any
//! actor that has it can be the receiver (`ractor::DerivedActorRef`).

/// Lets the actor whose messages are `$whole` be addressed by `$part`, which its variant `$variant`
/// holds: `address.get_derived::<$part>()`.
macro_rules! accepts {
    ($whole:ident, $variant:ident, $part:ty) => {
        impl From<$part> for $whole {
            fn from(part: $part) -> Self {
                Self::$variant(part)
            }
        }

        /// Gives back what could not be sent, as ractor asks for.
        impl TryFrom<$whole> for $part {
            type Error = ();

            fn try_from(whole: $whole) -> Result<Self, ()> {
                match whole {
                    $whole::$variant(part) => Ok(part),
                    _ => Err(()),
                }
            }
        }
    };
}

pub(super) use accepts;

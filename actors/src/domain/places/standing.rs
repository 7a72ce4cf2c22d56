/// What a proved key is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It may change things.
    Admin,
    /// It may work: it is listed, or enrolled and not revoked.
    Enrolled,
    /// It has no rights. A worker that wants to enrol is one until it proved the secret.
    Stranger,
}

//! Thin ractor shells and both supervision trees.

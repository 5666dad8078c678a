//! Files of every kind, and the places of their flaws.

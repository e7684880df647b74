//go:build invariants

package processor

// invariants has the protocol's invariants checked where they could break.
const invariants = true

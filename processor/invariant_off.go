//go:build !invariants

package processor

const invariants = false

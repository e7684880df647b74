//go:build race

package experiment

// The race detector makes hashing many times slower.
const million = 20_000

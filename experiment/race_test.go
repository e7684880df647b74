//go:build race

package experiment

// The race detector makes hashing ten times slower.
const million = 100_000

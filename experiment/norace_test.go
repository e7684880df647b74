//go:build !race

package experiment

const million = 1_000_000

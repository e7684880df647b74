//go:build race

package integration

// raceEnabled says that the tests look for data races; so does the program then.
const raceEnabled = true

// Package rules is the pure core of nudged: compiled rules, the state of one
// user, and Step, the function that takes one input in and says what follows.
//
// Nothing here reads a clock, draws a random number, starts a goroutine, logs
// or does I/O: the same state and the same inputs give the same bytes out. The
// live daemon, a backtest and a rule test are shells around this one function.
//
// All times are milliseconds since 1970-01-01T00:00:00Z, all spans of time are
// milliseconds.
package rules

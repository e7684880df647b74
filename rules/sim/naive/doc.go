// Package naive is a second interpreter of the rule language, for the tests. It
// is written from the description of the language alone and shares no code with
// the engine: it imports nothing of the project, and nothing of the project but
// tests imports it.
//
// It is slow on purpose. Of each user it keeps the full history of events, sends
// and exposures, and works out every metric, attribute, cooldown and cap anew
// from that history, so that there is little to get wrong.
//
// A Spec is a rule set as plain data. Read makes one of the text of a rule file,
// Text writes it as one, so that both the compiler and this package can be given
// the same rules; package draw draws specs and events at random.
package naive

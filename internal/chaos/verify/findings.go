package verify

import (
	"fmt"
	"slices"
)

// Findings are what a check has found.
type Findings struct {
	Owed       int // commands
	Lost       int // commands and decisions that ought to be there and are not
	Duplicated int // records that are there more than once
	Extra      int // commands and decisions that ought not to be there
	Problems   []string
	// Outcomes counts what was decided.
	Outcomes map[string]int
	Lateness []int64 // ms from due to the record's append, of commands that the clock made
}

// problem notes what is wrong.
func (f *Findings) problem(format string, args ...any) {
	f.Problems = append(f.Problems, fmt.Sprintf(format, args...))
}

// Clean says that nothing was found.
func (f *Findings) Clean() bool {
	return f.Lost == 0 && f.Duplicated == 0 && f.Extra == 0 && len(f.Problems) == 0
}

func (f *Findings) count(outcome string) {
	if f.Outcomes == nil {
		f.Outcomes = map[string]int{}
	}
	f.Outcomes[outcome]++
}

// Percentile returns a percentile of the lateness, ms.
func (f *Findings) Percentile(p float64) int64 {
	if len(f.Lateness) == 0 {
		return 0
	}
	slices.Sort(f.Lateness)
	return f.Lateness[min(len(f.Lateness)-1, int(p/100*float64(len(f.Lateness))))]
}

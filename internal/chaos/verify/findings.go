package verify

import (
	"fmt"
	"slices"
	"strings"
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
	// Newest is the number of the newest batch with records, by input partition.
	Newest   map[int32]int64
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

// Positions compares what the group has committed for each input partition with what
// is visible: they have to be of the same transactions. ends are those of the input.
func (f *Findings) Positions(metadata map[int32]string, ends map[int32]int64) {
	for p, end := range ends {
		values := map[string]string{}
		for field := range strings.SplitSeq(metadata[p], ";") {
			key, value, _ := strings.Cut(field, "=")
			values[key] = value
		}
		if last := fmt.Sprint(f.Newest[p]); values["l"] != last || end > 0 && values["o"] != fmt.Sprint(end) {
			f.problem("input %d: its records end at offset %d and the newest batch with records is %s, committed is %q", p, end, last, metadata[p])
		}
	}
}

// Percentile returns a percentile of the lateness, ms.
func (f *Findings) Percentile(p float64) int64 {
	if len(f.Lateness) == 0 {
		return 0
	}
	slices.Sort(f.Lateness)
	return f.Lateness[min(len(f.Lateness)-1, int(p/100*float64(len(f.Lateness))))]
}

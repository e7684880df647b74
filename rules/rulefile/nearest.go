package rulefile

import (
	"slices"
	"strings"
)

// nearest returns the name that looks most like what was written, or "" if none
// looks like it. Of equally near names the first in the alphabet wins.
func nearest(written string, names []string) string {
	names = slices.Sorted(slices.Values(names))
	limit := max(1, len([]rune(written))/3)
	best, bestDistance := "", limit+1
	for _, name := range names {
		if name == written {
			continue
		}
		if strings.EqualFold(name, written) {
			return name
		}
		if d := distance(written, name, bestDistance); d < bestDistance {
			best, bestDistance = name, d
		}
	}
	return best
}

// didYouMean is the way out for a wrong name: the nearest right one, else all
// the right ones; what says in the plural what they are.
func didYouMean(written string, names []string, what string) string {
	if n := nearest(written, names); n != "" {
		return "did you mean " + n + "?"
	}
	if len(names) == 0 {
		return "no " + what + " are declared"
	}
	return "the " + what + " are: " + shortList(names)
}

// shortList joins at most 20 names.
func shortList(names []string) string {
	const most = 24
	if len(names) > most {
		return strings.Join(names[:most], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}

// distance counts the letters to insert, delete, replace or swap with their
// neighbour to get from a to b (Damerau-Levenshtein, restricted). It may stop at
// limit.
func distance(a, b string, limit int) int {
	x, y := []rune(a), []rune(b)
	if d := len(x) - len(y); d >= limit || -d >= limit {
		return limit
	}
	before := make([]int, len(y)+1)
	last := make([]int, len(y)+1)
	row := make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(y)]
}
